/**
 * What a daemon says of itself, by plain node:http: probing must not load the client library, and a client that is set
 * to one API version cannot ask a daemon that has another.
 */
import { request } from 'node:http';
import type { Daemon } from './daemon.js';
import type { DaemonEndpoint } from './daemon-endpoint.js';
import { isRecord } from './daemon-replies.js';
import { mapDaemonError } from './map-daemon-error.js';

export interface DaemonVersion {
  /** The engine's version: `20.10.24`. */
  readonly version: string;
  readonly apiVersion: string;
  /** Absent from old daemons. */
  readonly oldestApiVersion: string | undefined;
  /** The program that answered, where it says so: `Engine`, `Podman Engine`. */
  readonly program: string | undefined;
  /** Whether it carries the header that every Docker daemon sends; Pouch does not. */
  readonly hasApiVersionHeader: boolean;
  /** How the program signs its replies: `Docker/20.10.24 (linux)`. */
  readonly signature: string | undefined;
  /** The daemon's own clock, in seconds since 1970; undefined when it does not tell. */
  readonly clockSeconds: number | undefined;
}

const longestReplyBytes = 1024 * 1024;

/**
 * Rejects with a system error, with code `TIMEOUT` when `signal` aborts, with code `FOREIGN` for anything but a
 * version of an API.
 */
export async function readDaemonVersion(endpoint: DaemonEndpoint, signal: AbortSignal): Promise<DaemonVersion> {
  const { status, body: reply, headers } = await readDaemonJson(endpoint, '/version', signal);
  if (status !== 200 || !isRecord(reply) || typeof reply.ApiVersion !== 'string') {
    throw foreign(`it answers GET /version with status ${status} and no version of an API`);
  }
  const [component] = Array.isArray(reply.Components) ? reply.Components : [];
  return {
    version: typeof reply.Version === 'string' ? reply.Version : 'unknown',
    apiVersion: reply.ApiVersion,
    oldestApiVersion: typeof reply.MinAPIVersion === 'string' ? reply.MinAPIVersion : undefined,
    program: isRecord(component) && typeof component.Name === 'string' ? component.Name : undefined,
    hasApiVersionHeader: headers['api-version'] !== undefined,
    signature: headers.server,
    clockSeconds: clockOf(headers),
  };
}

/**
 * What the daemon is now, where it was `known` before; failures are typed errors. For its full answer dockerd runs the
 * runtime and waits for it, so it is asked for that only when a ping is not signed as before.
 */
export async function askDaemonVersion(
  endpoint: DaemonEndpoint,
  daemon: Daemon,
  known: DaemonVersion,
  signal: AbortSignal,
): Promise<DaemonVersion> {
  try {
    if (known.signature !== undefined && known.hasApiVersionHeader) {
      const { status, headers } = await readDaemonJson(endpoint, '/_ping', signal);
      const isSame = headers.server === known.signature && headers['api-version'] === known.apiVersion;
      if (status === 200 && isSame) return { ...known, clockSeconds: clockOf(headers) };
    }
    return await readDaemonVersion(endpoint, signal);
  } catch (error) {
    throw mapDaemonError(error, { daemon, what: 'ask for the version', changes: false });
  }
}

function clockOf(headers: DaemonReply['headers']): number | undefined {
  const date = Date.parse(headers.date ?? '');
  return Number.isNaN(date) ? undefined : date / 1000;
}

/** Negative when `one` is older than `other`. What is no number counts as 0. */
export function compareApiVersions(one: string, other: string): number {
  const parts = (version: string): number[] => version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const [oneMajor = 0, oneMinor = 0] = parts(one);
  const [otherMajor = 0, otherMinor = 0] = parts(other);
  return oneMajor - otherMajor || oneMinor - otherMinor;
}

export interface DaemonReply {
  readonly status: number;
  /** Undefined when it is no JSON. */
  readonly body: unknown;
  readonly headers: NodeJS.Dict<string>;
}

/** One GET on a connection of its own. Rejects as `readDaemonVersion` does. */
export function readDaemonJson(endpoint: DaemonEndpoint, path: string, signal: AbortSignal): Promise<DaemonReply> {
  return new Promise((resolve, reject) => {
    if (endpoint.kind === 'unsupported') {
      reject(Object.assign(new Error(endpoint.reason), { code: 'UNSUPPORTED' }));
      return;
    }
    const target =
      endpoint.kind === 'unix'
        ? { socketPath: endpoint.path, host: 'localhost' }
        : { host: endpoint.host, port: endpoint.port };
    // A one-shot agent, so that no idle connection stays behind.
    const call = request({ ...target, path, agent: false, headers: { Connection: 'close' } });
    const onAbort = (): void => {
      fail(Object.assign(new Error('no answer in time'), { code: 'TIMEOUT', cause: signal.reason }));
    };
    const fail = (error: Error): void => {
      signal.removeEventListener('abort', onAbort);
      call.destroy();
      reject(error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    call.on('error', (error: NodeJS.ErrnoException) => {
      fail(error.code?.startsWith('HPE_') === true ? foreign(`it does not speak HTTP (${error.code})`) : error);
    });
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > longestReplyBytes) fail(foreign(`its reply to GET ${path} is endless`));
        else chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('aborted', () => fail(Object.assign(new Error('the reply was cut off'), { code: 'ECONNRESET' })));
      response.on('end', () => {
        signal.removeEventListener('abort', onAbort);
        resolve({
          status: response.statusCode ?? 0,
          body: parse(Buffer.concat(chunks).toString()),
          headers: response.headers as NodeJS.Dict<string>,
        });
      });
    });
    call.end();
  });
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function foreign(why: string): Error {
  return Object.assign(new Error(why), { code: 'FOREIGN' });
}
