import { once } from 'node:events';
import { InvalidArgumentError } from '@crikit/core';
import type { MetaStore } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import { createToken, isLoopback, requireToken } from './access.js';
import { createHttpInterface, type HttpInterface } from './create-http-interface.js';

export interface ServeRequest {
  /** The address to listen on. Default: `127.0.0.1`. */
  readonly host?: string | undefined;
  /** 0: any that is free. Default: 9847. */
  readonly port?: number | undefined;
  /** What whoever asks must know. Default: CRIKIT_TOKEN of the environment, else a new one, which is printed. */
  readonly token?: string | undefined;
}

export const defaultServePort = 9_847;

/**
 * Serves the store over HTTP until the context's signal aborts, and resolves when all connections are closed. The store
 * stays the caller's: it need not have been started yet, and is not closed. Rejects with `InvalidArgumentError` for a
 * token, port or address that cannot be used.
 */
export async function runServe(context: CommandContext, store: MetaStore, request: ServeRequest): Promise<void> {
  const { stdout, stderr, environment, signal } = context;
  const { host = '127.0.0.1', port = defaultServePort } = request;
  const given = request.token ?? (environment.CRIKIT_TOKEN || undefined);
  const token = given === undefined ? createToken() : requireToken(given);

  const server = await listen({ store, host, port, token, onError: (error) => report(stderr, error) });
  const address = `http://${host.includes(':') ? `[${host}]` : host}:${server.port}/`;
  // A token that somebody gave is known to them, and stays out of logs.
  if (given === undefined) stdout.write(`Serving this node at ${address}?token=${token}\n`);
  else stdout.write(`Serving this node at ${address} for those who have the token (${address}?token=…)\n`);
  if (!isLoopback(host)) {
    stderr.write(`crikit: ${host} is reached from elsewhere, and nothing is encrypted: the token can be overheard.\n`);
  }

  if (!signal.aborted) await once(signal, 'abort');
  await server.close();
}

async function listen(
  options: Pick<Parameters<typeof createHttpInterface>[0], 'store' | 'host' | 'port' | 'token' | 'onError'>,
): Promise<HttpInterface> {
  const { host, port } = options;
  try {
    return await createHttpInterface(options);
  } catch (error) {
    const remedy = remedies[(error as NodeJS.ErrnoException).code ?? ''];
    if (remedy === undefined) throw error;
    throw new InvalidArgumentError(`Cannot listen on ${host}, port ${port}: ${remedy}`);
  }
}

const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program does. Give another one by --port; 0 takes any that is free.',
  EACCES: 'not permitted. Give a port above 1023 by --port.',
  EADDRNOTAVAIL: 'this machine has no such address. Give one of its own by --host.',
  ENOTFOUND: 'there is no such name. Give an address by --host.',
};

function report(stderr: NodeJS.WritableStream, error: unknown): void {
  stderr.write(`crikit: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}
