/** For tests: a store on engines in memory, served on a free port. */
import { type IncomingHttpHeaders, request as sendRequest } from 'node:http';
import { createInMemoryEngine, type InMemoryEngineControl } from '@crikit/engine-conformance';
import { createMetaStore, labelPods, type MetaStore, type MetaStoreOptions } from '@crikit/metastore';
import { createHttpInterface, type HttpInterface, type HttpInterfaceOptions } from './create-http-interface.js';

export interface ServeFixtureOptions {
  readonly events?: HttpInterfaceOptions['events'];
  /** Default: `127.0.0.1`. */
  readonly host?: string;
  readonly store?: Partial<MetaStoreOptions>;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Throws when it is not JSON. */
  json(): unknown;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: true. */
  readonly withToken?: boolean;
}

export interface ServeFixture extends AsyncDisposable {
  readonly engine: InMemoryEngineControl;
  readonly store: MetaStore;
  readonly server: HttpInterface;
  readonly token: string;
  /** What the server could not foresee. */
  readonly errors: unknown[];
  ask(path: string, options?: AskOptions): Promise<Reply>;
}

export const fixtureToken = 'a-token-that-is-long-enough';

export async function startServeFixture(options: ServeFixtureOptions = {}): Promise<ServeFixture> {
  const { definition, control: engine } = createInMemoryEngine({ type: 'memory' });
  const store = createMetaStore({
    engines: [definition],
    pods: labelPods(),
    enrichment: false,
    environment: { NODE_NAME: 'node-1', POD_IP: '10.0.0.9' },
    ...options.store,
  });
  await store.start();
  const errors: unknown[] = [];
  const host = options.host ?? '127.0.0.1';
  const server = await createHttpInterface({
    store,
    token: fixtureToken,
    host,
    port: 0,
    onError: (error) => errors.push(error),
    ...(options.events === undefined ? {} : { events: options.events }),
  });

  const ask: ServeFixture['ask'] = (path, { method = 'GET', headers = {}, withToken = true } = {}) =>
    new Promise((resolve, reject) => {
      const request = sendRequest({
        host: '127.0.0.1',
        port: server.port,
        path,
        method,
        agent: false,
        headers: { ...(withToken ? { authorization: `Bearer ${fixtureToken}` } : {}), ...headers },
      });
      request.once('error', reject);
      request.once('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          const { statusCode: status = 0, headers: received } = response;
          resolve({ status, headers: received, text, json: () => JSON.parse(text) as unknown });
        });
      });
      request.end();
    });

  return {
    engine,
    store,
    server,
    token: fixtureToken,
    errors,
    ask,
    [Symbol.asyncDispose]: async () => {
      await server.close();
      await store.close();
    },
  };
}
