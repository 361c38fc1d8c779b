/** A server on loopback that can fail in the ways in which servers and networks do. */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer, type ServerOptions as HttpsOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface FakeServerOptions {
  /** PEM; makes the server speak https. With `clientCa`, clients must show a certificate that it signed. Default: http. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly clientCa?: string };
  /** The bearer tokens that are let in; others get 401. Default: everybody is let in. */
  readonly tokens?: readonly string[];
}

/** A request as the server saw it. */
export interface FakeRequest {
  /** When it came, by `performance.now()`. */
  readonly timeMs: number;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization?: string;
}

/**
 * - `status`: an answer of that status, with a Kubernetes Status as body.
 * - `drop`: the connection breaks at once.
 * - `hang`: no answer, ever.
 * - `cut`: the answer breaks off after so many bytes of its body.
 * - `slow`: the body comes in portions of so many bytes, one each `intervalMs`.
 * - `garbage`: 200 with a body that is none of Kubernetes.
 */
export type FakeFault =
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds?: number }
  | { readonly kind: 'drop' }
  | { readonly kind: 'hang' }
  | { readonly kind: 'cut'; readonly afterBytes: number }
  | { readonly kind: 'slow'; readonly portionBytes: number; readonly intervalMs: number }
  | { readonly kind: 'garbage' };

export interface FakeServer extends AsyncDisposable {
  /** Such as `http://127.0.0.1:41234`. Stays the same over `goAway` and `comeBack`. */
  readonly url: string;
  readonly port: number;
  /** All that came, the oldest first. */
  readonly requests: readonly FakeRequest[];
  /** Connections that are open. */
  readonly connections: number;
  /** The bearer tokens that are let in from now on; undefined: everybody is. Requests under way are not touched. */
  setTokens(tokens: readonly string[] | undefined): void;
  /** Asked for each request what to do to it; undefined: nothing. Replaces the last one. */
  setFault(choose: ((request: FakeRequest) => FakeFault | undefined) | undefined): void;
  /** Breaks all connections, once. */
  dropConnections(): void;
  /** Connections stay, and new ones are made, but not a byte is sent until `thaw`: a half-open network. */
  freeze(): void;
  thaw(): void;
  /** Breaks all connections and refuses new ones. */
  goAway(): Promise<void>;
  /** Listens again, on the same port. */
  comeBack(): Promise<void>;
  /** Resolves when a request has come that fits, or had come already. Rejects after `deadlineMs`. Default: 5 s. */
  seen(fits: (request: FakeRequest) => boolean, deadlineMs?: number): Promise<FakeRequest>;
}

/** The answer to a request, as far as faults do not change it. */
export interface FakeReply {
  status(status: number, body: object, headers?: Record<string, string>): void;
  /** A body of JSON text with status 200. */
  json(text: string): void;
  /** Starts an answer that stays open; `onClose` is called when it has ended. */
  stream(onClose: () => void): { write(text: string): void; end(): void };
}

export type FakeHandler = (request: FakeRequest & { readonly accept: string }, reply: FakeReply) => void;

export async function startFakeServer(
  { tls, tokens: firstTokens }: FakeServerOptions,
  handle: FakeHandler,
): Promise<FakeServer> {
  const requests: FakeRequest[] = [];
  const sockets = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  const watchers = new Set<() => void>();
  /** What the freeze holds back. */
  let frozen: (() => void)[] | undefined;
  let tokens = firstTokens;
  let chooseFault: ((request: FakeRequest) => FakeFault | undefined) | undefined;

  const whenThawed = (run: () => void): void => {
    if (frozen === undefined) run();
    else frozen.push(run);
  };

  const send = (response: ServerResponse, status: number, text: string, headers: Record<string, string> = {}): void => {
    whenThawed(() => {
      if (response.destroyed) return;
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(text);
    });
  };

  const sendSlowly = (response: ServerResponse, text: string, portionBytes: number, intervalMs: number): void => {
    const bytes = Buffer.from(text);
    let sent = 0;
    response.writeHead(200, { 'content-type': 'application/json' });
    const timer = setInterval(() => {
      if (frozen !== undefined) return;
      if (response.destroyed || sent >= bytes.length) {
        clearInterval(timer);
        timers.delete(timer);
        response.end();
        return;
      }
      response.write(bytes.subarray(sent, sent + portionBytes));
      sent += portionBytes;
    }, intervalMs);
    timers.add(timer);
  };

  const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(message.url ?? '/', 'http://fake');
    const { authorization, accept = '' } = message.headers;
    const request: FakeRequest = {
      timeMs: performance.now(),
      path: url.pathname,
      query: url.searchParams,
      ...(authorization === undefined ? {} : { authorization }),
    };
    requests.push(request);
    const fault = chooseFault?.(request);
    for (const watcher of [...watchers]) watcher();
    response.on('error', () => {});
    if (fault?.kind === 'drop') {
      message.socket.destroy();
      return;
    }
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'status') {
      const { status, retryAfterSeconds } = fault;
      const headers = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
      send(response, status, JSON.stringify(statusObject(status, 'a fault of the fake server')), headers);
      return;
    }
    if (fault?.kind === 'garbage') {
      send(response, 200, '<html>not what you think</html>');
      return;
    }
    if (tokens !== undefined && !tokens.some((token) => authorization === `Bearer ${token}`)) {
      send(response, 401, JSON.stringify(statusObject(401, 'Unauthorized', 'Unauthorized')));
      return;
    }
    handle(
      { ...request, accept },
      {
        status: (status, body, headers) => send(response, status, JSON.stringify(body), headers),
        json: (text) => {
          if (fault?.kind === 'slow') sendSlowly(response, text, fault.portionBytes, fault.intervalMs);
          else if (fault?.kind === 'cut') {
            response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
            response.write(Buffer.from(text).subarray(0, fault.afterBytes), () => message.socket.destroy());
          } else send(response, 200, text);
        },
        stream: (onClose) => {
          let leftBytes = fault?.kind === 'cut' ? fault.afterBytes : Number.POSITIVE_INFINITY;
          response.once('close', onClose);
          whenThawed(() => {
            if (response.destroyed) return;
            response.writeHead(200, { 'content-type': 'application/json' });
            response.flushHeaders();
          });
          return {
            write: (text) =>
              whenThawed(() => {
                if (response.destroyed) return;
                const bytes = Buffer.from(text);
                response.write(bytes.subarray(0, Math.min(bytes.length, leftBytes)), () => {
                  if (leftBytes <= 0) message.socket.destroy();
                });
                leftBytes -= bytes.length;
              }),
            end: () => whenThawed(() => response.end()),
          };
        },
      },
    );
  };

  const server = tls === undefined ? createHttpServer(onRequest) : createHttpsServer(httpsOptions(tls), onRequest);
  server.keepAliveTimeout = 0;
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
  });
  // A client that refuses our certificate is not an error of this server.
  server.on('tlsClientError', () => {});
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', () => {
        server.off('error', reject);
        resolve();
      });
    });
  const dropConnections = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const goAway = async (): Promise<void> => {
    const closed = server.listening ? new Promise<void>((resolve) => server.close(() => resolve())) : undefined;
    dropConnections();
    await closed;
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;

  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    port,
    requests,
    get connections() {
      return sockets.size;
    },
    setTokens: (next) => {
      tokens = next;
    },
    setFault: (choose) => {
      chooseFault = choose;
    },
    dropConnections,
    freeze: () => {
      frozen ??= [];
    },
    thaw: () => {
      const held = frozen ?? [];
      frozen = undefined;
      for (const run of held) run();
    },
    goAway,
    comeBack: () => listen(port),
    seen: (fits, deadlineMs = 5_000) =>
      new Promise((resolve, reject) => {
        const found = requests.find(fits);
        if (found !== undefined) {
          resolve(found);
          return;
        }
        const stop = (): void => {
          clearTimeout(timer);
          watchers.delete(look);
        };
        const look = (): void => {
          const last = requests.at(-1);
          if (last === undefined || !fits(last)) return;
          stop();
          resolve(last);
        };
        const timer = setTimeout(() => {
          stop();
          reject(new Error(`No such request came within ${deadlineMs} ms; ${requests.length} others did.`));
        }, deadlineMs);
        watchers.add(look);
      }),
    [Symbol.asyncDispose]: async () => {
      for (const timer of timers) clearInterval(timer);
      await goAway();
    },
  };
}

function httpsOptions({ key, cert, clientCa }: NonNullable<FakeServerOptions['tls']>): HttpsOptions {
  return clientCa === undefined
    ? { key, cert }
    : { key, cert, ca: clientCa, requestCert: true, rejectUnauthorized: true };
}

/** What Kubernetes answers when it does not do what was asked. */
export function statusObject(code: number, message: string, reason?: string): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    ...(reason === undefined ? {} : { reason }),
    code,
  };
}
