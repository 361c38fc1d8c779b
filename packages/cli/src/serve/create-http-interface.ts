/** The store over HTTP: read-only, for those who have the token. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { MetaStore } from '@crikit/metastore';
import { createAccess, isHostAllowed } from './access.js';
import { type Answer, answerFailure } from './answer.js';
import { createMetrics } from './create-metrics.js';
import { createEventFeed, type EventFeedOptions } from './event-feed.js';
import { loadPage } from './load-page.js';
import { createRoutes, findRoute } from './routes.js';

export interface HttpInterfaceOptions {
  readonly store: MetaStore;
  readonly token: string;
  /** Address or name to listen on. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Gets what nobody foresaw; whoever asked gets a plain 500. */
  readonly onError: (error: unknown) => void;
  readonly events?: Omit<EventFeedOptions, 'store'>;
}

export interface HttpInterface {
  /** The one that was given, or that was free. */
  readonly port: number;
  /** Ends the streams of events, lets other answers end for a second, and closes all connections. Idempotent. */
  close(): Promise<void>;
}

const closingGraceMs = 1_000;

const securityHeaders = {
  'cache-control': 'no-store',
  // For all but the page, which says what it needs.
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** Listens. Rejects with the system's error when it cannot. */
export async function createHttpInterface(options: HttpInterfaceOptions): Promise<HttpInterface> {
  const { store, host, token, onError } = options;
  const page = await loadPage();
  const access = createAccess(token);
  const feed = createEventFeed({ store, ...options.events });
  const metrics = createMetrics({ store, eventReaders: feed.readerCount });
  const routes = createRoutes({ store, page, metrics });

  const answer = async (request: IncomingMessage): Promise<Answer | 'event-stream'> => {
    if (!isHostAllowed(request.headers.host, host)) {
      return answerFailure('HOST_REFUSED', 'Ask by the address that the server listens on, not by another name.');
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      const refusal = answerFailure('METHOD_NOT_ALLOWED', 'Nothing can be changed here: GET and HEAD only.');
      return { ...refusal, headers: { allow: 'GET, HEAD' } };
    }
    const [path = '', search = ''] = (request.url ?? '').split(/\?(.*)/s, 2);
    const query = new URLSearchParams(search);
    const found = findRoute(routes, path);

    if (path === '/' && query.has('token')) {
      if (!access.isTokenRight(query.get('token') ?? '')) return unauthorized('The token is not the right one.');
      // Away from the address with the token, which would stay in the browser's history.
      const headers = { location: '/', 'set-cookie': access.cookie(portOf()) };
      return { status: 303, contentType: 'text/plain; charset=utf-8', body: '', headers };
    }
    if (found?.route.isOpen !== true && !access.isAuthorized(request.headers)) {
      return unauthorized(
        "Give the token that 'crikit serve' printed: open the address that it printed, or send 'Authorization: Bearer TOKEN'.",
      );
    }
    if (found === undefined)
      return answerFailure('NOT_FOUND', `Nothing is at ${path}; /openapi.json has what there is.`);
    const { route, parameter } = found;
    const unknown = [...query.keys()].find((name) => route.query?.includes(name) !== true);
    if (unknown !== undefined) {
      return answerFailure('INVALID_ARGUMENT', `${route.path} takes no parameter '${unknown}'.`);
    }
    if (route.answer === 'event-stream') return 'event-stream';
    return route.answer({ parameter, query });
  };

  const openEvents = (request: IncomingMessage, response: ServerResponse): void => {
    response.setHeader('content-type', 'text/event-stream; charset=utf-8');
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    response.setHeader('connection', 'close');
    // Quiet for long, and looked after by the feed.
    request.socket.setTimeout(0);
    if (!feed.open(response)) {
      send(request, response, answerFailure('BUSY', 'Too many read events already; try again later.'));
    }
  };

  const server = createServer(
    {
      maxHeaderSize: 8 * 1024,
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: 2_500,
    },
    (request, response) => {
      for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
      answer(request)
        .catch((error: unknown) => {
          onError(error);
          return answerFailure('INTERNAL', 'Something failed here; the output of the server says what.');
        })
        .then((decided) => {
          if (response.destroyed) return;
          if (decided === 'event-stream') openEvents(request, response);
          else send(request, response, decided);
        });
    },
  );
  server.maxConnections = 256;
  // Of silence, while an answer is being sent.
  server.setTimeout(30_000);

  const portOf = (): number => (server.address() as AddressInfo).port;

  try {
    server.listen({ host, port: options.port });
    await once(server, 'listening');
  } catch (error) {
    metrics.close();
    feed.close();
    throw error;
  }

  let closing: Promise<void> | undefined;
  return {
    port: portOf(),
    close: () => {
      closing ??= (async () => {
        const closed = once(server, 'close');
        server.close();
        feed.close();
        metrics.close();
        const timer = setTimeout(() => server.closeAllConnections(), closingGraceMs);
        await closed;
        clearTimeout(timer);
      })();
      return closing;
    },
  };
}

function unauthorized(message: string): Answer {
  return { ...answerFailure('UNAUTHORIZED', message), headers: { 'www-authenticate': 'Bearer realm="crikit"' } };
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const body = Buffer.from(answer.body);
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': body.length,
    ...answer.headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
