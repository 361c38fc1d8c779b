/** HTTP on Podman's socket: its own API (libpod), not the one that imitates Docker. */
import { type IncomingMessage, request } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { InvalidArgumentError, ProtocolError } from '@crikit/core';
import { mapPodmanError, mapPodmanReply } from './map-podman-error.js';

/** The oldest that Podman 4 and 5 both serve. */
const apiVersion = 'v4.0.0';
const longestReplyBytes = 64 * 1024 * 1024;

export interface PodmanCall {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Below `/libpod`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** A stream is sent as a tar, anything else as JSON. */
  readonly body?: Readable | object;
  /** Cuts the call off, and the body of its reply too. */
  readonly signal: AbortSignal;
  /** For messages: `list containers`. */
  readonly what: string;
  /** Whether a lost answer leaves open what happened. Default: false. */
  readonly changes?: boolean;
}

export interface PodmanApi {
  readonly engine: string;
  /** The reply with its body unread; every failure, a status from 400 on too, is one of core's errors. */
  open(call: PodmanCall): Promise<IncomingMessage>;
  /** The reply's JSON. */
  ask(call: PodmanCall): Promise<unknown>;
  /** What is read from the connection is the output of an exec, what is written is its stdin. */
  hijack(call: PodmanCall): Promise<Duplex>;
}

export function createPodmanApi(socketPath: string, engine: string): PodmanApi {
  const send = async (call: PodmanCall, upgrade: boolean): Promise<IncomingMessage | Duplex> => {
    const { body, signal, what, changes = false } = call;
    const stream = isStream(body) ? body : undefined;
    const json = body === undefined || stream !== undefined ? undefined : JSON.stringify(body);
    const query = call.query === undefined ? '' : `?${new URLSearchParams(call.query)}`;
    try {
      const reply = await new Promise<IncomingMessage | Duplex>((resolve, reject) => {
        const sent = request({
          socketPath,
          method: call.method ?? 'GET',
          path: `/${apiVersion}/libpod${call.path}${query}`,
          agent: false,
          headers: {
            host: 'podman',
            ...(stream === undefined ? {} : { 'content-type': 'application/x-tar' }),
            ...(json === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) }),
            ...(upgrade ? { connection: 'Upgrade', upgrade: 'tcp' } : {}),
          },
        });
        const onAbort = (): void => {
          sent.destroy(Object.assign(new Error('the call was given up'), { code: 'ABORT_ERR', cause: signal.reason }));
        };
        const settle = <Value>(deliver: (value: Value) => void, value: Value): void => {
          if (upgrade) signal.removeEventListener('abort', onAbort);
          deliver(value);
        };
        if (signal.aborted) onAbort();
        signal.addEventListener('abort', onAbort, { once: true });
        sent.once('close', () => signal.removeEventListener('abort', onAbort));
        sent.on('error', (error) => settle(reject, error));
        sent.on('response', (response) => settle(resolve, response));
        sent.on('upgrade', (_response, socket: Duplex, head: Buffer) => {
          if (head.length > 0) socket.unshift(head);
          settle(resolve, socket);
        });
        if (stream === undefined) sent.end(json);
        else stream.on('error', (error) => sent.destroy(error)).pipe(sent);
      });
      if (!isReply(reply)) return reply;
      const status = reply.statusCode ?? 0;
      if (status >= 400) {
        const text = call.method === 'HEAD' ? '' : (await readAll(reply)).toString();
        throw mapPodmanReply(status, text, { engine, what, changes });
      }
      return reply;
    } catch (error) {
      throw mapPodmanError(error, { engine, what, changes });
    }
  };

  return {
    engine,
    open: async (call) => (await send(call, false)) as IncomingMessage,
    async ask(call) {
      const { what, changes = false } = call;
      const reply = (await send(call, false)) as IncomingMessage;
      let text: string;
      try {
        text = (await readAll(reply)).toString();
      } catch (error) {
        throw mapPodmanError(error, { engine, what, changes });
      }
      try {
        return JSON.parse(text);
      } catch (cause) {
        throw new ProtocolError(`Could not ${what}: Podman's reply is no JSON.`, { engine, retryable: true, cause });
      }
    },
    async hijack(call) {
      const reply = await send(call, true);
      if (!isReply(reply)) return reply;
      reply.destroy();
      throw new ProtocolError(`Could not ${call.what}: Podman did not hand the connection over.`, { engine });
    },
  };
}

/** Throws `InvalidArgumentError` for what would lead to another path of the API. */
export function containerPath(id: string): string {
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(id)) throw new InvalidArgumentError(`'${id}' is no id of a container.`);
  return `/containers/${id}`;
}

async function readAll(reply: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of reply) {
    bytes += (chunk as Buffer).length;
    if (bytes > longestReplyBytes) throw Object.assign(new Error('the reply is endless'), { code: 'HPE_TOO_LONG' });
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function isReply(reply: IncomingMessage | Duplex): reply is IncomingMessage {
  return 'statusCode' in reply;
}

function isStream(body: PodmanCall['body']): body is Readable {
  return body !== undefined && 'pipe' in body;
}
