/** Requests to an API server or a kubelet over HTTP(S): GET only, each with deadlines, errors typed. */
import { Agent as HttpAgent, get as httpGet, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, get as httpsGet } from 'node:https';
import type { Clock } from './clock.js';
import { isPodSourceError, PodSourceError } from './errors/pod-source-error.js';

/** How to prove oneself to a server, and the server to oneself. */
export interface KubernetesCredentials {
  /** Sent with the request, `authorization` among them. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: KubernetesTls;
  /** Makes the connections, for a proxy say; the members of `tls` are then its own business. It stays the giver's. */
  readonly agent?: HttpAgent;
}

export interface KubernetesTls {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly passphrase?: string;
  /** The name that the certificate must have. Default: the host of the URL. */
  readonly servername?: string;
  /** Default: true. */
  readonly rejectUnauthorized?: boolean;
}

export interface KubernetesClient {
  /** The answer, once its head is there and says 200. Rejects with `PodSourceError`. */
  get(path: string, options: KubernetesGetOptions): Promise<IncomingMessage>;
  /** Closes the connections that are kept. */
  dropConnections(): void;
}

export interface KubernetesGetOptions {
  readonly credentials: () => Promise<KubernetesCredentials>;
  readonly signal: AbortSignal;
  readonly answerTimeoutMs: number;
  /** Called when a request really goes out. */
  readonly onRequest?: () => void;
}

/** `server`: a URL, a path in it included. Keeps connections until they are dropped. */
export function createKubernetesClient(server: string, clock: Clock): KubernetesClient {
  const base = new URL(server);
  const isSecure = base.protocol === 'https:';
  // One request at a time: what is kept beyond one connection would only grow old.
  const agentOptions = { keepAlive: true, maxFreeSockets: 1 };
  let agent = isSecure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);

  const send = (
    url: URL,
    { headers = {}, tls = {}, agent: given }: KubernetesCredentials,
    signal: AbortSignal,
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const options = {
        agent: given ?? agent,
        headers: { accept: 'application/json', 'user-agent': 'crikit', ...headers } satisfies OutgoingHttpHeaders,
        signal,
      };
      const request = isSecure ? httpsGet(url, { ...tls, ...options }, resolve) : httpGet(url, options, resolve);
      // Stays for the life of the request: a socket may fail once more after it failed.
      request.on('error', reject);
      request.on('socket', (socket) => socket.setKeepAlive(true, 15_000));
    });

  return {
    get: async (path, { credentials, signal, answerTimeoutMs, onRequest }) => {
      const url = new URL(base.href.replace(/\/$/, '') + path);
      const deadline = new AbortController();
      const abort = (): void => deadline.abort();
      const cancel = clock.setTimer(abort, answerTimeoutMs);
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      const place = `${url.origin}${url.pathname}`;
      let response: IncomingMessage;
      try {
        const given = await raceAbort(readCredentials(credentials, place), deadline.signal);
        onRequest?.();
        response = await send(url, given, deadline.signal);
        if (response.statusCode === 200) {
          // From here on the caller's signal alone ends the answer.
          followSignal(response, signal);
          return response;
        }
        const body = await readBody(response, { maximumBytes: 65_536, timeoutMs: answerTimeoutMs, clock, place }).catch(
          () => '',
        );
        throw refusal(response, body, place);
      } catch (error) {
        if (isPodSourceError(error)) throw error;
        if (signal.aborted) throw new PodSourceError('UNAVAILABLE', `The request to ${place} was given up.`);
        if (deadline.signal.aborted) {
          throw new PodSourceError('TIMEOUT', `${place} did not answer within ${answerTimeoutMs} ms.`);
        }
        throw failedConnection(error, place);
      } finally {
        cancel();
        signal.removeEventListener('abort', abort);
      }
    },
    dropConnections: () => {
      agent.destroy();
      agent = isSecure ? new HttpsAgent(agentOptions) : new HttpAgent(agentOptions);
    },
  };
}

async function readCredentials(
  credentials: () => Promise<KubernetesCredentials>,
  place: string,
): Promise<KubernetesCredentials> {
  try {
    return await credentials();
  } catch (error) {
    if (isPodSourceError(error)) throw error;
    const { message } = error as { message?: unknown };
    throw new PodSourceError('PERMISSION', `There are no credentials for ${place}: ${String(message ?? error)}.`, {
      cause: error,
    });
  }
}

export interface ReadBodyOptions {
  readonly maximumBytes: number;
  /** For the whole body. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** For messages. */
  readonly place: string;
}

/** The whole body as text. Rejects with `PodSourceError`: `TIMEOUT`, `UNAVAILABLE` when cut off, `PROTOCOL` when too long. */
export async function readBody(response: IncomingMessage, options: ReadBodyOptions): Promise<string> {
  const { maximumBytes, timeoutMs, clock, place } = options;
  const cancel = clock.setTimer(() => {
    response.destroy(new PodSourceError('TIMEOUT', `The answer of ${place} was not complete within ${timeoutMs} ms.`));
  }, timeoutMs);
  try {
    const portions: Buffer[] = [];
    let bytes = 0;
    for await (const portion of response as AsyncIterable<Buffer>) {
      bytes += portion.length;
      if (bytes > maximumBytes) {
        throw new PodSourceError('PROTOCOL', `The answer of ${place} is longer than ${maximumBytes} bytes.`);
      }
      portions.push(portion);
    }
    return Buffer.concat(portions, bytes).toString('utf8');
  } catch (error) {
    throw isPodSourceError(error) ? error : failedConnection(error, place);
  } finally {
    cancel();
  }
}

/** What to throw for a connection that failed or broke. */
export function failedConnection(cause: unknown, place: string): PodSourceError {
  const { code, message } = cause as { code?: unknown; message?: unknown };
  const isCertificate = typeof code === 'string' && /CERT|ALTNAME|SELF_SIGNED|VERIFY/.test(code);
  return new PodSourceError('UNAVAILABLE', `${place} cannot be reached: ${String(message || code || cause)}.`, {
    cause,
    ...(isCertificate ? { remedy: 'Give the CA that signed its certificate, and the name that it is for.' } : {}),
  });
}

function refusal(response: IncomingMessage, body: string, place: string): PodSourceError {
  const status = response.statusCode ?? 0;
  const told = statusMessage(body);
  const message = `${place} answered ${status}${told === undefined ? '' : `: ${told}`}.`;
  if (status === 401) {
    return new PodSourceError('PERMISSION', message, { status, remedy: 'Look at the token: it may have expired.' });
  }
  if (status === 403) {
    return new PodSourceError('PERMISSION', message, {
      status,
      remedy:
        "Allow get, list and watch on pods, or, for the kubelet, get on nodes/pods, to the agent's service account.",
    });
  }
  const isTransient = status === 408 || status === 410 || status === 429 || status >= 500;
  const seconds = Number(response.headers['retry-after']);
  return new PodSourceError(isTransient ? 'UNAVAILABLE' : 'PROTOCOL', message, {
    status,
    ...(seconds > 0 ? { retryAfterMs: Math.min(seconds, 60) * 1000 } : {}),
  });
}

/** The `message` of a Kubernetes Status, or the beginning of whatever else it is. */
function statusMessage(body: string): string | undefined {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    if (typeof message === 'string') return message.slice(0, 300);
  } catch {
    // Not JSON: a proxy's page, say.
  }
  return body.trim().slice(0, 100) || undefined;
}

function followSignal(response: IncomingMessage, signal: AbortSignal): void {
  const end = (): void => {
    response.destroy();
  };
  signal.addEventListener('abort', end, { once: true });
  response.once('close', () => signal.removeEventListener('abort', end));
  // Whoever reads gets the error from the iteration; when nobody reads it must not end the process.
  response.on('error', () => {});
}

async function raceAbort<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let onAbort: (() => void) | undefined;
  const abortion = new Promise<never>((_, reject) => {
    onAbort = () => reject(new Error('aborted'));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, abortion]);
  } finally {
    work.catch(() => {});
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
