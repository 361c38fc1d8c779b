/**
 * Plain GETs of JSON on connections that are kept. The client library spends more time on one inspection than the daemon
 * does, and a node's first look at its containers is hundreds of them.
 */
import { Agent, type ClientRequest, request } from 'node:http';
import type { DaemonEndpoint } from './daemon-endpoint.js';

export interface DaemonGetter {
  /**
   * The reply's JSON; text that is none is given as it is. Rejects with a `statusCode` and the reply as `json` where the
   * daemon refuses, with a system error where it is lost, with the signal's reason.
   */
  get(path: string, signal: AbortSignal): Promise<unknown>;
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

  const once = (path: string, signal: AbortSignal): Promise<unknown> =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const call = request({ ...target, path, agent });
      const onAbort = (): void => {
        call.destroy();
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const settle = (run: () => void): void => {
        signal.removeEventListener('abort', onAbort);
        run();
      };
      call.on('error', (error) => settle(() => reject(markStale(error, call))));
      call.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', (error) => settle(() => reject(error)));
        response.on('end', () => {
          const status = response.statusCode ?? 0;
          const body = parse(Buffer.concat(chunks).toString());
          settle(() => (status < 300 ? resolve(body) : reject(refused(status, body))));
        });
      });
      call.end();
    });

  return {
    async get(path, signal) {
      try {
        return await once(path, signal);
      } catch (error) {
        // The daemon may close a kept connection at the moment in which it is used again.
        if ((error as { stale?: boolean } | null)?.stale !== true || signal.aborted) throw error;
        return await once(path, signal);
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
