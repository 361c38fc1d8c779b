/**
 * Plain GETs of JSON on connections that are kept. The client library spends more time on one inspection than the daemon
 * does, and a node's first look at its containers is hundreds of them.
 */
import { Agent, type ClientRequest, request } from 'node:http';
import type { DaemonEndpoint } from './daemon-endpoint.js';

export interface DaemonGetter {
  /**
   * The reply's JSON; text that is none is given as it is. Rejects with a `statusCode` and the reply as `json` where the
   * daemon refuses, with a system error where it is lost, with code `TIMEOUT` after `timeoutMs`, with the signal's reason.
   */
  get(path: string, signal: AbortSignal, timeoutMs?: number): Promise<unknown>;
  /** Gives the idle connections up. */
  close(): void;
}

export type ReachableEndpoint = Exclude<DaemonEndpoint, { readonly kind: 'unsupported' }>;

export function createDaemonGetter(endpoint: ReachableEndpoint): DaemonGetter {
  const agent = new Agent({ keepAlive: true });
  const target =
    endpoint.kind === 'unix'
      ? { socketPath: endpoint.path, host: 'localhost' }
      : { host: endpoint.host, port: endpoint.port };
  // Headers in this form go out as they are; from an object Node makes each of them anew for every request.
  const headers = ['Host', endpoint.kind === 'unix' ? 'localhost' : `${endpoint.host}:${endpoint.port}`];

  const once = (path: string, signal: AbortSignal, timeoutMs: number | undefined): Promise<unknown> =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const call = request({ ...target, path, agent, headers });
      const settle = (run: () => void): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        run();
      };
      const cutOff = (reason: unknown): void => {
        settle(() => reject(reason));
        call.destroy();
      };
      // A timer of its own, not a signal: a node's first look would make hundreds of those.
      const timer = timeoutMs === undefined ? undefined : setTimeout(() => cutOff(timedOut(timeoutMs)), timeoutMs);
      const onAbort = (): void => cutOff(signal.reason);
      signal.addEventListener('abort', onAbort, { once: true });
      call.on('error', (error) => settle(() => reject(markStale(error, call))));
      call.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => settle(() => reject(error)));
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          const [only] = chunks;
          const body = parse((chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)).toString());
          settle(() => (status < 300 ? resolve(body) : reject(refused(status, body))));
        });
      });
      call.end();
    });

  return {
    async get(path, signal, timeoutMs) {
      try {
        return await once(path, signal, timeoutMs);
      } catch (error) {
        // The daemon may close a kept connection at the moment in which it is used again.
        if ((error as { stale?: boolean } | null)?.stale !== true || signal.aborted) throw error;
        return await once(path, signal, timeoutMs);
      }
    },
    close: () => agent.destroy(),
  };
}

function markStale(error: Error, call: ClientRequest): Error {
  const { code } = error as NodeJS.ErrnoException;
  const stale = call.reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE');
  return stale ? Object.assign(error, { stale }) : error;
}

function timedOut(timeoutMs: number): Error {
  return Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'TIMEOUT' });
}

function refused(statusCode: number, json: unknown): Error {
  return Object.assign(new Error(`status ${statusCode}`), { statusCode, json });
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
