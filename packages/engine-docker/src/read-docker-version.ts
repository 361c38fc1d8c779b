/**
 * What a daemon says of itself, by plain node:http: probing must not load the client library, and a client that is set
 * to one API version cannot ask a daemon that has another.
 */
import { request } from 'node:http';
import { UnsupportedError } from '@crikit/core';
import type { DockerEndpoint } from './docker-endpoints.js';
import { isRecord } from './docker-replies.js';

/** The oldest API that this package knows: Docker 20.10. */
export const OLDEST_API_VERSION = '1.41';
/** The newest API that it was tried with: Docker 26.1. Newer daemons go on serving it. */
export const NEWEST_API_VERSION = '1.45';

export interface DockerVersion {
  /** The engine's version: `20.10.24`. */
  readonly version: string;
  readonly apiVersion: string;
  /** Absent from old daemons. */
  readonly oldestApiVersion: string | undefined;
  /** The program that answered, where it says so: `Engine`, `Podman Engine`. */
  readonly program: string | undefined;
  /** Whether it carries the header that every Docker daemon sends; Pouch does not. */
  readonly hasApiVersionHeader: boolean;
  /** The daemon's own clock, in seconds since 1970; undefined when it does not tell. */
  readonly clockSeconds: number | undefined;
}

/** Why a daemon that answers cannot be used. */
export interface VersionObjection {
  readonly code: 'NOT_DOCKER' | 'TOO_OLD' | 'TOO_NEW';
  readonly message: string;
  readonly remedy: string;
}

const longestReplyBytes = 1024 * 1024;

/** Rejects with a system error, with code `TIMEOUT` when `signal` aborts, with code `NOT_DOCKER` for any other reply. */
export async function readDockerVersion(endpoint: DockerEndpoint, signal: AbortSignal): Promise<DockerVersion> {
  const { status, body, headers } = await get(endpoint, '/version', signal);
  const reply = parse(body);
  if (status !== 200 || !isRecord(reply) || typeof reply.ApiVersion !== 'string') {
    throw notDocker(`it answers GET /version with status ${status} and no version of an API`);
  }
  const [component] = Array.isArray(reply.Components) ? reply.Components : [];
  const date = Date.parse(headers.date ?? '');
  return {
    version: typeof reply.Version === 'string' ? reply.Version : 'unknown',
    apiVersion: reply.ApiVersion,
    oldestApiVersion: typeof reply.MinAPIVersion === 'string' ? reply.MinAPIVersion : undefined,
    program: isRecord(component) && typeof component.Name === 'string' ? component.Name : undefined,
    hasApiVersionHeader: headers['api-version'] !== undefined,
    clockSeconds: Number.isNaN(date) ? undefined : date / 1000,
  };
}

/** Undefined when this package can work with the daemon. */
export function objectTo(daemon: DockerVersion): VersionObjection | undefined {
  const itself = `version ${daemon.version}, API ${daemon.apiVersion}`;
  if (/podman/i.test(daemon.program ?? '')) {
    return {
      code: 'NOT_DOCKER',
      message: `it is ${daemon.program} (${itself})`,
      remedy: 'Podman imitates Docker’s API; use an engine package for Podman.',
    };
  }
  if (!daemon.hasApiVersionHeader && daemon.program === undefined) {
    return {
      code: 'NOT_DOCKER',
      message: `it has no Api-Version header (${itself}), as Pouch`,
      remedy: 'For Pouch use @crikit/engine-pouch.',
    };
  }
  if (compareApiVersions(daemon.apiVersion, OLDEST_API_VERSION) < 0) {
    return {
      code: 'TOO_OLD',
      message: `it is too old (${itself}); API ${OLDEST_API_VERSION} or newer is needed`,
      remedy: 'Update Docker to 20.10 or newer.',
    };
  }
  if (daemon.oldestApiVersion !== undefined && compareApiVersions(daemon.oldestApiVersion, NEWEST_API_VERSION) > 0) {
    return {
      code: 'TOO_NEW',
      message: `it serves API ${daemon.oldestApiVersion} and newer only; ${NEWEST_API_VERSION} is the newest known here`,
      remedy: 'Update @crikit/engine-docker.',
    };
  }
  return undefined;
}

/** The version to speak with the daemon; throws `UnsupportedError` when there is none. */
export function negotiateApiVersion(daemon: DockerVersion, engine: string): string {
  const objection = objectTo(daemon);
  if (objection !== undefined) {
    throw new UnsupportedError(`Cannot work with this daemon: ${objection.message}.`, {
      engine,
      applied: 'no',
      remedy: objection.remedy,
    });
  }
  return compareApiVersions(daemon.apiVersion, NEWEST_API_VERSION) < 0 ? daemon.apiVersion : NEWEST_API_VERSION;
}

/** Negative when `one` is older than `other`. What is no number counts as 0. */
export function compareApiVersions(one: string, other: string): number {
  const parts = (version: string): number[] => version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  const [oneMajor = 0, oneMinor = 0] = parts(one);
  const [otherMajor = 0, otherMinor = 0] = parts(other);
  return oneMajor - otherMajor || oneMinor - otherMinor;
}

interface Reply {
  readonly status: number;
  readonly body: string;
  readonly headers: NodeJS.Dict<string>;
}

function get(endpoint: DockerEndpoint, path: string, signal: AbortSignal): Promise<Reply> {
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
      fail(error.code?.startsWith('HPE_') === true ? notDocker(`it does not speak HTTP (${error.code})`) : error);
    });
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > longestReplyBytes) fail(notDocker('its reply to GET /version is endless'));
        else chunks.push(chunk);
      });
      response.on('error', fail);
      response.on('aborted', () => fail(Object.assign(new Error('the reply was cut off'), { code: 'ECONNRESET' })));
      response.on('end', () => {
        signal.removeEventListener('abort', onAbort);
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString(),
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

function notDocker(why: string): Error {
  return Object.assign(new Error(why), { code: 'NOT_DOCKER' });
}
