/**
 * The part of a Kubernetes API server that clients of pods and nodes meet: get, list in pages, watch with bookmarks,
 * field selectors, resourceVersions and their expiry. Objects are kept as JSON text, so that ten thousand cost little.
 */
import { randomUUID } from 'node:crypto';
import {
  type FakeReply,
  type FakeRequest,
  type FakeServer,
  type FakeServerOptions,
  startFakeServer,
  statusObject,
} from './fake-http-server.js';

/** Any object of Kubernetes that has a name. */
export interface FakeObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly [member: string]: unknown;
  };
  readonly [member: string]: unknown;
}

export type FakeResource = 'pods' | 'nodes';

export interface FakeApiServerOptions extends FakeServerOptions {
  /** Between bookmarks of a watch that asked for them. Default: none but by `bookmark()`. */
  readonly bookmarkIntervalMs?: number;
}

export interface FakeApiServer extends FakeServer {
  /** The newest resourceVersion. */
  readonly resourceVersion: string;
  /** Watches that stand now. */
  readonly watches: number;
  /**
   * Adds the object or updates the one of that namespace and name; gives it as it is kept, with resourceVersion, and
   * uid (that of the one before) and creationTimestamp where it had none.
   */
  put<Kept extends FakeObject>(resource: FakeResource, object: Kept): Kept;
  /** False when there is none. */
  remove(resource: FakeResource, name: string, namespace?: string): boolean;
  /** Sends a bookmark on all watches that asked for them. */
  bookmark(): void;
  /** Ends all watches as a server does when their time is over. */
  endWatches(): void;
  /** Sends an ERROR event on all watches and ends them. */
  failWatches(code: number, message: string): void;
  /**
   * Forgets what was: watches from older versions and pages of older lists are answered by 410, watches as HTTP status
   * or as ERROR event.
   */
  compact(expiredWatch?: 'status' | 'event'): void;
}

interface Entry {
  readonly key: string;
  readonly version: number;
  readonly uid: string;
  /** Without kind and apiVersion, as in lists. */
  readonly text: string;
  readonly fields: ReadonlyMap<string, string>;
}

interface Change {
  readonly version: number;
  readonly resource: FakeResource;
  readonly previous?: Entry;
  readonly next?: Entry;
}

interface Watch {
  readonly resource: FakeResource;
  readonly selects: (entry: Entry) => boolean;
  readonly bookmarks: boolean;
  readonly write: (text: string) => void;
  readonly end: () => void;
}

const kinds = { pods: 'Pod', nodes: 'Node' } as const;

export async function createFakeApiServer(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
  const objects = { pods: new Map<string, Entry>(), nodes: new Map<string, Entry>() };
  const watches = new Set<Watch>();
  /** Lists that are being read in pages, by version. */
  const snapshots = new Map<string, readonly Entry[]>();
  const timers = new Set<NodeJS.Timeout>();
  let history: Change[] = [];
  let version = 1_000;
  let oldestVersion = 0;
  let expiredWatch: 'status' | 'event' = 'event';

  const eventText = (type: string, resource: FakeResource, { text }: Entry): string =>
    `{"type":"${type}","object":{"kind":"${kinds[resource]}","apiVersion":"v1",${text.slice(1)}}\n`;

  const bookmarkText = (resource: FakeResource): string =>
    `${JSON.stringify({
      type: 'BOOKMARK',
      object: {
        kind: kinds[resource],
        apiVersion: 'v1',
        metadata: { resourceVersion: String(version), creationTimestamp: null },
      },
    })}\n`;

  /** What a change is to a watch: an object that begins or ceases to be selected comes or goes. */
  const tell = (watch: Watch, { version: changeVersion, resource, previous, next }: Change): void => {
    if (watch.resource !== resource) return;
    const before = previous !== undefined && watch.selects(previous) ? previous : undefined;
    const after = next !== undefined && watch.selects(next) ? next : undefined;
    if (after !== undefined) watch.write(eventText(before === undefined ? 'ADDED' : 'MODIFIED', resource, after));
    else if (before !== undefined) {
      // The last state, with the version of the deletion.
      const text = before.text.replace(/"resourceVersion":"\d+"/, `"resourceVersion":"${changeVersion}"`);
      watch.write(eventText('DELETED', resource, { ...before, text }));
    }
  };

  const record = (change: Change): void => {
    history.push(change);
    for (const watch of watches) tell(watch, change);
  };

  const listObjects = (request: FakeRequest, reply: FakeReply, resource: FakeResource, selects: Selects): void => {
    const limit = Number(request.query.get('limit') ?? 0);
    const token = request.query.get('continue');
    let listVersion = String(version);
    let entries: readonly Entry[];
    let start = 0;
    if (token === null) {
      entries = [...objects[resource].values()]
        .filter(selects)
        .sort((one, other) => (one.key < other.key ? -1 : one.key > other.key ? 1 : 0));
      // A list from the cache is not cut into pages.
      if (limit > 0 && entries.length > limit && request.query.get('resourceVersion') !== '0') {
        snapshots.set(`${resource}/${listVersion}/${request.query.get('fieldSelector')}`, entries);
      }
    } else {
      const place = parseContinue(token);
      const snapshot =
        place === undefined
          ? undefined
          : snapshots.get(`${resource}/${place.rv}/${request.query.get('fieldSelector')}`);
      if (place === undefined || snapshot === undefined) {
        const message =
          'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.';
        reply.status(410, statusObject(410, message, 'Expired'));
        return;
      }
      listVersion = place.rv;
      entries = snapshot;
      start = place.start;
    }
    const isPaged = limit > 0 && request.query.get('resourceVersion') !== '0';
    const page = isPaged ? entries.slice(start, start + limit) : entries;
    const left = entries.length - start - page.length;
    const metadata = {
      resourceVersion: listVersion,
      ...(left > 0
        ? {
            continue: Buffer.from(JSON.stringify({ rv: listVersion, start: start + limit })).toString('base64url'),
            // Only known to a server that need not select.
            ...(request.query.has('fieldSelector') ? {} : { remainingItemCount: left }),
          }
        : {}),
    };
    reply.json(
      `{"kind":"${kinds[resource]}List","apiVersion":"v1","metadata":${JSON.stringify(metadata)},"items":[${page
        .map(({ text }) => text)
        .join(',')}]}\n`,
    );
  };

  const watchObjects = (request: FakeRequest, reply: FakeReply, resource: FakeResource, selects: Selects): void => {
    const from = request.query.get('resourceVersion') ?? '';
    const isFromNow = from === '' || from === '0';
    if (!isFromNow && !/^\d+$/.test(from)) {
      reply.status(400, statusObject(400, `resourceVersion: Invalid value: "${from}"`, 'BadRequest'));
      return;
    }
    if (Number(from) > version) {
      reply.status(504, statusObject(504, `Too large resource version: ${from}, current: ${version}`, 'Timeout'));
      return;
    }
    const isExpired = !isFromNow && Number(from) < oldestVersion;
    const status = statusObject(410, `too old resource version: ${from} (${oldestVersion})`, 'Expired');
    if (isExpired && expiredWatch === 'status') {
      reply.status(410, status);
      return;
    }
    let stop = (): void => {};
    const stream = reply.stream(() => stop());
    if (isExpired) {
      stream.write(`${JSON.stringify({ type: 'ERROR', object: status })}\n`);
      stream.end();
      return;
    }
    const watch: Watch = {
      resource,
      selects,
      bookmarks: request.query.get('allowWatchBookmarks') === 'true',
      write: stream.write,
      end: () => {
        stop();
        stream.end();
      },
    };
    const seconds = Number(request.query.get('timeoutSeconds') ?? 0);
    const timeout = seconds > 0 ? setTimeout(watch.end, seconds * 1000) : undefined;
    const { bookmarkIntervalMs } = options;
    const interval =
      watch.bookmarks && bookmarkIntervalMs !== undefined
        ? setInterval(() => stream.write(bookmarkText(resource)), bookmarkIntervalMs)
        : undefined;
    for (const timer of [timeout, interval]) if (timer !== undefined) timers.add(timer);
    stop = () => {
      watches.delete(watch);
      for (const timer of [timeout, interval]) {
        if (timer === undefined) continue;
        clearInterval(timer);
        timers.delete(timer);
      }
    };
    if (isFromNow) {
      for (const entry of objects[resource].values()) {
        if (selects(entry)) stream.write(eventText('ADDED', resource, entry));
      }
    } else {
      for (const change of history) if (change.version > Number(from)) tell(watch, change);
    }
    watches.add(watch);
  };

  const server = await startFakeServer(options, (request, reply) => {
    const discovery = discoveryOf(request.path);
    if (discovery !== undefined) {
      reply.json(JSON.stringify(discovery));
      return;
    }
    const [, namespace, resource, name] =
      /^\/api\/v1(?:\/namespaces\/([^/]+))?\/(pods|nodes)(?:\/([^/]+))?$/.exec(request.path) ?? [];
    if (resource !== 'pods' && resource !== 'nodes') {
      reply.status(404, statusObject(404, 'the server could not find the requested resource', 'NotFound'));
      return;
    }
    if (name !== undefined) {
      const entry = objects[resource].get(`${namespace ?? ''}/${name}`);
      if (entry === undefined) {
        reply.status(404, statusObject(404, `${resource} "${name}" not found`, 'NotFound'));
      } else reply.json(`{"kind":"${kinds[resource]}","apiVersion":"v1",${entry.text.slice(1)}`);
      return;
    }
    const selector = parseFieldSelector(request.query.get('fieldSelector') ?? '');
    if (typeof selector === 'string') {
      reply.status(400, statusObject(400, selector, 'BadRequest'));
      return;
    }
    const selects: Selects = (entry) =>
      (namespace === undefined || entry.fields.get('metadata.namespace') === namespace) && selector(entry);
    if (/^(1|true)$/.test(request.query.get('watch') ?? '')) watchObjects(request, reply, resource, selects);
    else listObjects(request, reply, resource, selects);
  });

  const endWatches = (last = ''): void => {
    for (const watch of [...watches]) {
      if (last !== '') watch.write(last);
      watch.end();
    }
  };

  const api = {
    get resourceVersion() {
      return String(version);
    },
    get watches() {
      return watches.size;
    },
    put: <Kept extends FakeObject>(resource: FakeResource, object: Kept): Kept => {
      const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
      const previous = objects[resource].get(key);
      version += 1;
      const { kind: _kind, apiVersion: _apiVersion, ...rest } = object;
      const kept = {
        ...rest,
        metadata: {
          ...object.metadata,
          uid: object.metadata.uid ?? previous?.uid ?? randomUUID(),
          creationTimestamp: object.metadata.creationTimestamp ?? new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
          resourceVersion: String(version),
        },
      };
      const next: Entry = { key, version, uid: kept.metadata.uid, text: JSON.stringify(kept), fields: fieldsOf(kept) };
      objects[resource].set(key, next);
      record({ version, resource, ...(previous === undefined ? {} : { previous }), next });
      return kept as unknown as Kept;
    },
    remove: (resource: FakeResource, name: string, namespace = '') => {
      const previous = objects[resource].get(`${namespace}/${name}`);
      if (previous === undefined) return false;
      version += 1;
      objects[resource].delete(previous.key);
      record({ version, resource, previous });
      return true;
    },
    bookmark: () => {
      for (const watch of watches) if (watch.bookmarks) watch.write(bookmarkText(watch.resource));
    },
    endWatches: () => endWatches(),
    failWatches: (code: number, message: string) =>
      endWatches(`${JSON.stringify({ type: 'ERROR', object: statusObject(code, message) })}\n`),
    compact: (how: 'status' | 'event' = 'event') => {
      expiredWatch = how;
      // What stands at the newest version is known still.
      version += 1;
      oldestVersion = version;
      history = [];
      snapshots.clear();
    },
    [Symbol.asyncDispose]: async () => {
      for (const timer of timers) clearInterval(timer);
      await server[Symbol.asyncDispose]();
    },
  } satisfies Omit<FakeApiServer, Exclude<keyof FakeServer, typeof Symbol.asyncDispose>>;
  // By descriptors, since what is counted is a getter.
  return Object.create(null, {
    ...Object.getOwnPropertyDescriptors(server),
    ...Object.getOwnPropertyDescriptors(api),
  }) as FakeApiServer;
}

type Selects = (entry: Entry) => boolean;

function fieldsOf(object: object): ReadonlyMap<string, string> {
  const { metadata, spec, status } = object as {
    metadata?: { name?: string; namespace?: string };
    spec?: { nodeName?: string };
    status?: { phase?: string };
  };
  return new Map([
    ['metadata.name', metadata?.name ?? ''],
    ['metadata.namespace', metadata?.namespace ?? ''],
    ['spec.nodeName', spec?.nodeName ?? ''],
    ['status.phase', status?.phase ?? ''],
  ]);
}

/** The selector, or what is wrong with it. */
function parseFieldSelector(text: string): Selects | string {
  const terms: Selects[] = [];
  for (const term of text.split(',').filter((part) => part !== '')) {
    const [, field = '', operator, value = ''] = /^([^=!]+)(!=|==?)(.*)$/.exec(term) ?? [];
    if (!/^(metadata\.(name|namespace)|spec\.nodeName|status\.phase)$/.test(field)) {
      return `field label not supported: ${field || term}`;
    }
    terms.push(({ fields }) => (fields.get(field) === value) === (operator !== '!='));
  }
  return (entry) => terms.every((term) => term(entry));
}

function parseContinue(token: string): { readonly rv: string; readonly start: number } | undefined {
  try {
    return JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as { rv: string; start: number };
  } catch {
    return undefined;
  }
}

/** What kubectl asks before it asks for anything else. */
function discoveryOf(path: string): object | undefined {
  if (path === '/version') return { major: '1', minor: '36', gitVersion: 'v1.36.0' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: [] };
  if (path !== '/api/v1') return undefined;
  const verbs = ['get', 'list', 'watch'];
  return {
    kind: 'APIResourceList',
    groupVersion: 'v1',
    resources: [
      { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs, shortNames: ['po'] },
      { name: 'nodes', singularName: 'node', namespaced: false, kind: 'Node', verbs, shortNames: ['no'] },
    ],
  };
}
