/** One request to an API server, a kubelet or an agent, by Node alone. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { KubernetesTls } from '@crikit/metastore';

export interface HttpRequest {
  readonly method?: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: KubernetesTls;
  /** Sent as JSON. */
  readonly body?: object;
  /** Whether the body of the answer is left unread. Default: false. */
  readonly headOnly?: boolean;
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** The server's clock, in milliseconds since 1970; undefined when it does not tell. */
  readonly dateMs: number | undefined;
  /** Undefined when it is no JSON, or was not read. */
  readonly body: unknown;
}

const longestBodyBytes = 4 * 1024 * 1024;

/** Rejects with the system's error, or the signal's reason. */
export async function sendRequest(url: string, request: HttpRequest): Promise<HttpAnswer> {
  const { method = 'GET', headers = {}, tls = {}, body, headOnly = false, signal } = request;
  signal.throwIfAborted();
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const options = {
      method,
      signal,
      agent: false as const,
      headers: {
        accept: 'application/json',
        'user-agent': 'crikit-doctor',
        connection: 'close',
        ...(text === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...headers,
      },
    };
    const call = url.startsWith('https:')
      ? httpsRequest(url, { ...tls, ...options }, resolve)
      : httpRequest(url, options, resolve);
    call.on('error', (error) => reject(signal.aborted ? signal.reason : error));
    call.end(text);
  });
  const date = Date.parse(response.headers.date ?? '');
  const answer = { status: response.statusCode ?? 0, dateMs: Number.isNaN(date) ? undefined : date };
  if (headOnly) {
    response.on('error', () => {});
    response.destroy();
    return { ...answer, body: undefined };
  }
  return { ...answer, body: parse(await readText(response, signal)) };
}

async function readText(response: IncomingMessage, signal: AbortSignal): Promise<string> {
  const portions: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const portion of response as AsyncIterable<Buffer>) {
      bytes += portion.length;
      if (bytes > longestBodyBytes) throw new Error(`The answer is longer than ${longestBodyBytes} bytes.`);
      portions.push(portion);
    }
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
  return Buffer.concat(portions).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What the server says about its refusal, in brackets: the `message` of a Kubernetes Status. */
export function toldBy({ body }: HttpAnswer): string {
  const { message } = (typeof body === 'object' && body !== null ? body : {}) as { message?: unknown };
  return typeof message === 'string' ? ` (${message.slice(0, 300)})` : '';
}

export type ConnectionFailure = 'unreachable' | 'untrusted';

/** Whether it was the server's certificate that failed. */
export function failureOf(error: unknown): ConnectionFailure {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /CERT|ALTNAME|SELF_SIGNED|VERIFY|SIGNATURE/.test(code)
    ? 'untrusted'
    : 'unreachable';
}
