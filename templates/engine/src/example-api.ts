/** HTTP on the daemon's socket. Every failure leaves here as one of core's errors. */
import { type ClientRequest, request } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  ContainerNotRunningError,
  ContainerPausedError,
  type CrikitError,
  EngineUnavailableError,
  NoSuchContainerError,
  OperationAbortedError,
  ProtocolError,
} from '@crikit/core';

/** The identity of the engine on its node: its type and endpoint. Errors carry it. */
export function engineId(socketPath: string): string {
  return `example:${socketPath}`;
}

/** One question; resolves to the JSON of the answer. */
export function askExample(socketPath: string, path: string, signal: AbortSignal): Promise<unknown> {
  return call(socketPath, 'GET', path, signal, (sent, resolve, reject) => {
    sent.on('response', async (response) => {
      try {
        let text = '';
        for await (const chunk of response.setEncoding('utf8')) text += chunk;
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(mapReply(socketPath, path, response.statusCode ?? 0, text));
      } catch (error) {
        reject(error);
      }
    });
    sent.end();
  });
}

export interface ExampleConnection {
  readonly execId: string;
  /** Reads the output in frames, writes the command's input. */
  readonly stream: Duplex;
}

/** Starts a command; resolves when its streams are attached. */
export function startExample(
  socketPath: string,
  path: string,
  body: object,
  signal: AbortSignal,
): Promise<ExampleConnection> {
  return call(socketPath, 'POST', path, signal, (sent, resolve, reject) => {
    sent.on('upgrade', (response, stream, head) => {
      if (head.length > 0) stream.unshift(head);
      resolve({ execId: String(response.headers['exec-id']), stream });
    });
    sent.on('response', (response) => {
      response.resume();
      reject(mapReply(socketPath, path, response.statusCode ?? 0, response.statusMessage ?? ''));
    });
    sent.setHeader('connection', 'Upgrade');
    sent.setHeader('upgrade', 'example');
    sent.setHeader('exec-request', encodeURIComponent(JSON.stringify(body)));
    sent.end();
  });
}

async function call<Value>(
  socketPath: string,
  method: string,
  path: string,
  signal: AbortSignal,
  run: (sent: ClientRequest, resolve: (value: Value) => void, reject: (error: unknown) => void) => void,
): Promise<Value> {
  const sent = request({ socketPath, method, path, agent: false });
  const onAbort = (): void => void sent.destroy(Object.assign(new Error('given up'), { name: 'AbortError' }));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await new Promise<Value>((resolve, reject) => {
      sent.on('error', reject);
      if (signal.aborted) onAbort();
      else run(sent, resolve, reject);
    });
  } catch (error) {
    throw mapFailure(socketPath, path, error);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function mapFailure(socketPath: string, path: string, cause: unknown): unknown {
  const engine = engineId(socketPath);
  const { code, name, message } = cause as { code?: string; name?: string; message: string };
  const said = `Could not ask ${path}: ${message}.`;
  if (name === 'AbortError') return new OperationAbortedError(said, { engine, cause, applied: 'unknown' });
  if (cause instanceof SyntaxError) return new ProtocolError(said, { engine, cause });
  // System errors are in capitals; what is one of core's already stays as it is.
  if (code !== undefined && /^E[A-Z]+$/.test(code)) {
    return new EngineUnavailableError(said, {
      engine,
      cause,
      retryable: true,
      remedy: 'Start the example daemon.',
    });
  }
  return cause;
}

function mapReply(socketPath: string, path: string, status: number, text: string): CrikitError {
  const options = { engine: engineId(socketPath), applied: 'no' } as const;
  const said = `Could not ask ${path}: ${text}.`;
  if (status === 404) return new NoSuchContainerError(said, options);
  if (status === 409 && /paused/.test(text)) return new ContainerPausedError(said, options);
  if (status === 409) return new ContainerNotRunningError(said, options);
  return new ProtocolError(said, options);
}
