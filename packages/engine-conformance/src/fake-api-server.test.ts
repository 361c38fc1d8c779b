import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFakeApiServer, type FakeApiServer, type FakeObject } from './fake-api-server.js';
import { createFakeKubelet } from './fake-kubelet.js';
import { waitUntil } from './suite-runner.js';

interface RecordedList {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: object;
  readonly items: readonly FakeObject[];
}

const recorded = (file: string): RecordedList =>
  JSON.parse(readFileSync(new URL(`./__fixtures__/${file}.json`, import.meta.url), 'utf8')) as RecordedList;

let server: FakeApiServer;
beforeEach(async () => {
  server = await createFakeApiServer();
});
afterEach(() => server[Symbol.asyncDispose]());

const get = async (path: string): Promise<{ status: number; body: Record<string, unknown> }> => {
  const response = await fetch(`${server.url}${path}`);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

interface WatchEvent {
  readonly type: string;
  readonly object: FakeObject & { readonly kind: string; readonly code?: number };
}

/** All events up to the end of the watch. */
const readWatch = async (query: string): Promise<WatchEvent[]> => {
  const response = await fetch(`${server.url}/api/v1/pods?watch=1&${query}`);
  expect(response.status).toBe(200);
  return (await response.text())
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as WatchEvent);
};

const podOn = (name: string, nodeName: string) => ({ metadata: { name, namespace: 'lab' }, spec: { nodeName } });
const namesOf = (events: readonly WatchEvent[]): string[] =>
  events.map(({ type, object }) => `${type} ${object.metadata.name}`);

describe('the fake API server', () => {
  test('serves recorded pods as they were recorded', async () => {
    const { items } = recorded('api-pods');
    for (const item of items) server.put('pods', item);
    const { body } = await get('/api/v1/pods?fieldSelector=spec.nodeName%3Dlab-node');
    expect(body).toMatchObject({
      kind: 'PodList',
      apiVersion: 'v1',
      metadata: { resourceVersion: expect.any(String) },
    });
    // Items of a typed list have no kind; kubectl, which made the record, adds it.
    const untyped = items.map(({ kind: _kind, apiVersion: _apiVersion, ...item }) => ({
      ...item,
      metadata: { ...item.metadata, resourceVersion: expect.any(String) },
    }));
    expect(body.items).toEqual(expect.arrayContaining(untyped));
    const { body: single } = await get('/api/v1/namespaces/lab/pods/tz');
    expect(single).toMatchObject({ kind: 'Pod', apiVersion: 'v1', metadata: { name: 'tz' } });
  });

  test('a list in pages is of one moment, whatever changes meanwhile', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) server.put('pods', podOn(name, 'n'));
    const names: string[] = [];
    const versions = new Set<unknown>();
    let token = '';
    do {
      const { body } = await get(`/api/v1/pods?limit=2${token === '' ? '' : `&continue=${token}`}`);
      const { items, metadata } = body as unknown as {
        items: FakeObject[];
        metadata: { resourceVersion: string; continue?: string };
      };
      names.push(...items.map((item) => item.metadata.name));
      versions.add(metadata.resourceVersion);
      token = metadata.continue ?? '';
      server.put('pods', podOn('bb', 'n'));
      server.remove('pods', 'e', 'lab');
    } while (token !== '');
    expect(names).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(versions.size).toBe(1);
  });

  test('a continue token and a watch from before the compaction are answered by 410', async () => {
    for (const name of ['a', 'b']) server.put('pods', podOn(name, 'n'));
    const from = server.resourceVersion;
    const { body } = await get('/api/v1/pods?limit=1');
    const { continue: token } = body.metadata as { continue: string };
    server.put('pods', podOn('c', 'n'));
    server.compact('event');
    expect(await get(`/api/v1/pods?limit=1&continue=${token}`)).toMatchObject({
      status: 410,
      body: { kind: 'Status', status: 'Failure', reason: 'Expired', code: 410 },
    });
    expect(await readWatch(`resourceVersion=${from}`)).toMatchObject([
      { type: 'ERROR', object: { kind: 'Status', code: 410 } },
    ]);
    server.compact('status');
    expect(await get(`/api/v1/pods?watch=1&resourceVersion=${from}`)).toMatchObject({ status: 410 });
  });

  test('a watch replays what happened since its version, then follows', async () => {
    const from = server.resourceVersion;
    server.put('pods', podOn('a', 'n'));
    server.put('pods', podOn('a', 'n'));
    server.remove('pods', 'a', 'lab');
    const events = readWatch(`resourceVersion=${from}`);
    await waitUntil('the watch', () => server.watches === 1);
    server.put('pods', podOn('b', 'n'));
    server.endWatches();
    expect(namesOf(await events)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a', 'ADDED b']);
    const versions = (await events).map(({ object }) => Number(object.metadata.resourceVersion));
    expect(versions).toEqual([...versions].sort((one, other) => one - other));
    expect(new Set(versions).size).toBe(versions.length);
  });

  test('an object that begins or ceases to be selected comes or goes', async () => {
    server.put('pods', podOn('stays', 'n'));
    const events = readWatch(`fieldSelector=spec.nodeName%3Dn&resourceVersion=${server.resourceVersion}`);
    await waitUntil('the watch', () => server.watches === 1);
    server.put('pods', podOn('moves', ''));
    server.put('pods', podOn('moves', 'n'));
    server.put('pods', podOn('moves', 'other'));
    server.endWatches();
    expect(namesOf(await events)).toEqual(['ADDED moves', 'DELETED moves']);
  });

  test('bookmarks go to those who asked', async () => {
    const asked = readWatch(`allowWatchBookmarks=true&resourceVersion=${server.resourceVersion}`);
    const other = readWatch(`resourceVersion=${server.resourceVersion}`);
    await waitUntil('both', () => server.watches === 2);
    server.bookmark();
    server.endWatches();
    expect(await asked).toMatchObject([
      { type: 'BOOKMARK', object: { kind: 'Pod', metadata: { resourceVersion: server.resourceVersion } } },
    ]);
    expect(await other).toEqual([]);
  });

  test('a watch without a version begins with what there is, and ends when its time is over', async () => {
    server.put('pods', podOn('a', 'n'));
    expect(namesOf(await readWatch('timeoutSeconds=1'))).toEqual(['ADDED a']);
  });

  test('an object made again under its name has another uid, one that is updated has the same', () => {
    const first = server.put('pods', podOn('a', 'n')) as FakeObject;
    expect((server.put('pods', podOn('a', 'n')) as FakeObject).metadata.uid).toBe(first.metadata.uid);
    server.remove('pods', 'a', 'lab');
    expect((server.put('pods', podOn('a', 'n')) as FakeObject).metadata.uid).not.toBe(first.metadata.uid);
  });

  test('one node can be listed and watched', async () => {
    server.put('nodes', { metadata: { name: 'one' } });
    server.put('nodes', { metadata: { name: 'two' } });
    const { body } = await get('/api/v1/nodes?fieldSelector=metadata.name%3Done');
    expect(body).toMatchObject({ kind: 'NodeList', items: [{ metadata: { name: 'one' } }] });
    expect(await get('/api/v1/nodes/two')).toMatchObject({ status: 200, body: { kind: 'Node' } });
    expect(await get('/api/v1/nodes/three')).toMatchObject({ status: 404, body: { reason: 'NotFound' } });
  });

  test('what it does not know it refuses', async () => {
    expect(await get('/api/v1/secrets')).toMatchObject({ status: 404 });
    expect(await get('/api/v1/pods?fieldSelector=spec.color%3Dred')).toMatchObject({ status: 400 });
    expect(await get('/api/v1/pods?watch=1&resourceVersion=999999')).toMatchObject({ status: 504 });
    server.setTokens(['secret']);
    expect(await get('/api/v1/pods')).toMatchObject({ status: 401, body: { reason: 'Unauthorized' } });
  });
});

const kubectl = spawnSync('kubectl', ['version', '--client'], { stdio: 'ignore' });

describe.skipIf(kubectl.status !== 0)('kubectl (skipped where there is none)', () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'crikit-kubectl-'));
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  test('`get pods -w` shows what is there, what comes and what goes', async () => {
    for (const item of recorded('api-pods').items) server.put('pods', item);
    const child = spawn(
      'kubectl',
      [
        '--server',
        server.url,
        'get',
        'pods',
        '-n',
        'lab',
        '-w',
        '-o',
        'jsonpath={.metadata.name}{"\\n"}',
        '--output-watch-events=false',
      ],
      { env: { PATH: process.env.PATH, HOME: home, KUBECONFIG: '/dev/null' }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const lines: string[] = [];
    let complaint = '';
    createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
    child.stderr.on('data', (portion: Buffer) => {
      complaint += portion.toString();
    });
    const exited = once(child, 'exit');
    try {
      await waitUntil('the pods there are', () => lines.length >= 3, 30_000).catch((cause: unknown) => {
        throw new Error(`kubectl showed ${lines.join()} and said ${complaint}`, { cause });
      });
      expect([...lines].sort()).toEqual(['native-sidecar', 'noimage', 'tz']);
      await waitUntil('the watch', () => server.watches === 1);
      server.put('pods', podOn('new', 'lab-node'));
      server.remove('pods', 'tz', 'lab');
      await waitUntil('both changes', () => lines.length >= 5);
      expect(lines.slice(3)).toEqual(['new', 'tz']);
    } finally {
      child.kill('SIGKILL');
      await exited;
    }
  }, 60_000);
});

describe('the fake kubelet', () => {
  test('tells of recorded pods as the kubelet did', async () => {
    const told = recorded('kubelet-pods');
    const kubelet = await createFakeKubelet();
    try {
      kubelet.setPods(told.items);
      const response = await fetch(`${kubelet.url}/pods`);
      expect(await response.json()).toEqual(told);
    } finally {
      await kubelet[Symbol.asyncDispose]();
    }
  });
});
