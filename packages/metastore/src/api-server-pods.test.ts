import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createFakeApiServer, type FakeApiServer, type FakeRequest } from '@crikit/engine-conformance';
import { afterEach, describe, expect, test } from 'vitest';
import { type ApiServerPodsOptions, apiServerPods } from './api-server-pods.js';
import { PodSourceError } from './errors/pod-source-error.js';
import { type PodSourceRecorder, recordPodSource } from './pod-source-recorder.js';
import type { PodSourceTimings } from './pod-source-timings.js';

const nodeName = 'node-1';
const spacingMs = 50;
const timings: Partial<PodSourceTimings> = {
  requestSpacingMs: spacingMs,
  maximumBackOffMs: spacingMs,
  answerTimeoutMs: 500,
  bodyTimeoutMs: 1_000,
};

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

async function startServer(options?: Parameters<typeof createFakeApiServer>[0]): Promise<FakeApiServer> {
  const server = await createFakeApiServer(options);
  opened.push(server);
  return server;
}

function follow(server: FakeApiServer, options: Partial<ApiServerPodsOptions> = {}): PodSourceRecorder {
  const recorder = recordPodSource(
    apiServerPods({
      name: 'test',
      connect: async () => ({ server: server.url, nodeName, credentials: async () => ({}) }),
      ...options,
      timings: { ...timings, ...options.timings },
    }),
  );
  opened.push(recorder);
  return recorder;
}

function pod(name: string, { node = nodeName, phase = 'Running' } = {}) {
  return {
    metadata: { name, namespace: 'lab', labels: { app: name } },
    spec: { nodeName: node, containers: [{ name: 'main', image: 'busybox' }] },
    status: { phase },
  };
}

const isWatch = ({ query }: FakeRequest): boolean => query.has('watch');
const isList = (request: FakeRequest): boolean => !isWatch(request);

/** Fails when any run of requests came faster than one each spacing, on average, but for what was sent at its start. */
function expectPaced(requests: readonly FakeRequest[], burst = 1): void {
  for (let first = 0; first < requests.length; first += 1) {
    for (let last = first + burst; last < requests.length; last += 1) {
      const elapsedMs = (requests[last]?.timeMs ?? 0) - (requests[first]?.timeMs ?? 0);
      // They are counted on arrival, and the first of two may have been long on its way.
      expect(elapsedMs, `requests ${first} to ${last}`).toBeGreaterThanOrEqual(
        (last - first + 1 - burst) * spacingMs - 25,
      );
    }
  }
}

describe('list and watch', () => {
  test('the pods of this node come as one list, then what changes', async () => {
    const server = await startServer();
    server.put('pods', pod('one'));
    server.put('pods', pod('elsewhere', { node: 'node-2' }));
    const recorder = follow(server);
    await recorder.session.ready;
    expect(recorder.updates).toHaveLength(1);
    expect(recorder.updates[0]?.kind).toBe('replace');
    expect(recorder.names).toEqual(['one']);

    await recorder.until('live', () => recorder.states.at(-1)?.state === 'live');
    server.put('pods', pod('two'));
    await recorder.until('the new pod', () => recorder.names.includes('two'));
    server.put('pods', pod('one', { phase: 'Succeeded' }));
    server.remove('pods', 'two', 'lab');
    await recorder.until('the removal', () => !recorder.names.includes('two'));
    expect([...recorder.pods.values()].map(({ status }) => status?.phase)).toEqual(['Succeeded']);
    expect(recorder.states).toMatchObject([{ state: 'live', backend: 'api-server' }]);
  });

  test('a list comes in pages of 500, and nothing shows before the last', async () => {
    const server = await startServer();
    for (let count = 0; count < 1_201; count += 1) server.put('pods', pod(`pod-${count}`));
    const recorder = follow(server);
    await recorder.session.ready;
    expect(recorder.updates).toHaveLength(1);
    expect(recorder.pods.size).toBe(1_201);
    const lists = server.requests.filter(isList);
    expect(lists.map(({ query }) => query.get('limit'))).toEqual(['500', '500', '500']);
    expect(lists.every(({ query }) => query.get('fieldSelector') === `spec.nodeName=${nodeName}`)).toBe(true);
  });

  test('a watch that ends is taken up where it was, by the version of a bookmark too', async () => {
    const server = await startServer();
    server.put('pods', pod('one'));
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    server.put('pods', pod('elsewhere', { node: 'node-2' }));
    server.bookmark();
    const version = server.resourceVersion;
    // What follows the bookmark on the stream shows that it was read.
    server.put('pods', pod('two'));
    await recorder.until('what follows', () => recorder.names.includes('two'));
    server.endWatches();
    await server.seen((request) => isWatch(request) && Number(request.query.get('resourceVersion')) > Number(version));
    expect(server.requests.filter(isList)).toHaveLength(1);
    expect(server.requests.filter(isWatch).every(({ query }) => query.get('allowWatchBookmarks') === 'true')).toBe(
      true,
    );
    expect(recorder.states.every(({ state }) => state === 'live')).toBe(true);
  });

  test('a bookmark alone moves the version on', async () => {
    const server = await startServer({ bookmarkIntervalMs: 5 });
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    server.put('pods', pod('elsewhere', { node: 'node-2' }));
    const version = server.resourceVersion;
    await recorder.until('a watch from there', () => {
      server.endWatches();
      return server.requests.at(-1)?.query.get('resourceVersion') === version;
    });
  });

  test('a pod made again under its name while nobody listened is a removal and an addition', async () => {
    const server = await startServer();
    const first = server.put('pods', { ...pod('one'), metadata: { ...pod('one').metadata, uid: 'first' } });
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    await server.goAway();
    server.remove('pods', 'one', 'lab');
    server.put('pods', { ...first, metadata: { ...first.metadata, uid: 'second' } });
    server.compact();
    await server.comeBack();
    await recorder.until('the second', () => recorder.pods.has('second'));
    expect(recorder.updates.slice(1)).toMatchObject([
      { kind: 'change', removedUids: ['first'], put: [{ metadata: { uid: 'second', name: 'one' } }] },
    ]);
  });

  test('what did not change keeps its object over a new list, and nothing is told', async () => {
    const server = await startServer();
    server.put('pods', { ...pod('one'), metadata: { ...pod('one').metadata, uid: 'one' } });
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    const before = recorder.pods.get('one');
    server.compact('status');
    server.dropConnections();
    await recorder.until('a second list', () => server.requests.filter(isList).length === 2 && server.watches === 1);
    expect(recorder.updates).toHaveLength(1);
    expect(recorder.pods.get('one')).toBe(before);
  });

  test('a change of what is not kept is not told', async () => {
    const server = await startServer();
    const one = server.put('pods', pod('one'));
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    server.put('pods', { ...one, status: { ...one.status, conditions: [{ type: 'Ready', status: 'True' }] } });
    server.put('pods', pod('two'));
    await recorder.until('the next change', () => recorder.names.includes('two'));
    expect(recorder.updates).toHaveLength(2);
  });

  test('whole objects are kept on request, with their version', async () => {
    const server = await startServer();
    const kept = server.put('pods', { ...pod('one'), extra: { member: [1] } });
    const recorder = follow(server, { keepWholeObjects: true });
    await recorder.session.ready;
    expect([...recorder.pods.values()]).toEqual([kept]);
  });
});

describe('failure', () => {
  test.each(['status', 'event'] as const)('an expired version (410 as %s) leads to a new list', async (how) => {
    const server = await startServer();
    server.put('pods', pod('one'));
    server.put('pods', pod('two'));
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    await server.goAway();
    server.remove('pods', 'two', 'lab');
    server.put('pods', pod('three'));
    server.compact(how);
    await server.comeBack();
    await recorder.until('the difference', () => recorder.names.join() === 'one,three');
    await recorder.until('live again', () => recorder.states.at(-1)?.state === 'live');
    expect(recorder.updates).toHaveLength(2);
  });

  test('a version that expires again and again is not hammered', async () => {
    const server = await startServer();
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    const from = server.requests.length;
    server.setFault((request) => (isWatch(request) ? { kind: 'status', status: 410 } : undefined));
    server.dropConnections();
    await recorder.until('twelve requests', () => server.requests.length >= from + 12);
    // A list and the watch that follows it may come together.
    expectPaced(server.requests.slice(from), 2);
    expect(recorder.states.at(-1)).toMatchObject({ state: 'stale', error: { status: 410 } });
  });

  test('a continue token that expired in mid-list leads to a new list', async () => {
    const server = await startServer();
    for (let count = 0; count < 600; count += 1) server.put('pods', pod(`pod-${count}`));
    let isFirst = true;
    server.setFault(({ query }) => {
      if (!query.has('continue') || !isFirst) return undefined;
      isFirst = false;
      server.compact();
      return undefined;
    });
    const recorder = follow(server);
    await recorder.session.ready;
    expect(recorder.pods.size).toBe(600);
    expect(recorder.updates).toHaveLength(1);
    expect(server.requests.filter(isList)).toHaveLength(4);
  });

  test.each([
    ['500', { kind: 'status', status: 500 }, 'UNAVAILABLE'],
    ['401', { kind: 'status', status: 401 }, 'PERMISSION'],
    ['403', { kind: 'status', status: 403 }, 'PERMISSION'],
    ['404', { kind: 'status', status: 404 }, 'PROTOCOL'],
    ['broken connections', { kind: 'drop' }, 'UNAVAILABLE'],
    ['bodies cut off', { kind: 'cut', afterBytes: 10 }, 'UNAVAILABLE'],
    ['garbage', { kind: 'garbage' }, 'PROTOCOL'],
    ['silence', { kind: 'hang' }, 'TIMEOUT'],
  ] as const)('%s: never more than one request each spacing, then converged', async (_, fault, code) => {
    const server = await startServer();
    server.put('pods', pod('one'));
    server.setFault(() => fault);
    const recorder = follow(server, { timings: { answerTimeoutMs: fault.kind === 'hang' ? 20 : 500 } });
    await recorder.until('eight requests', () => server.requests.length >= 8);
    expectPaced(server.requests);
    expect(recorder.states.at(-1)).toMatchObject({ state: 'stale', error: { code } });
    expect(recorder.updates).toEqual([]);
    server.setFault(undefined);
    await recorder.session.ready;
    await recorder.until('live', () => recorder.states.at(-1)?.state === 'live');
    expect(recorder.names).toEqual(['one']);
  });

  test('a list of several pages whose last always fails is paid for in full', async () => {
    const server = await startServer();
    for (let count = 0; count < 1_001; count += 1) server.put('pods', pod(`pod-${count}`));
    let pages = 0;
    server.setFault(({ query }) => {
      pages = query.has('continue') ? pages + 1 : 0;
      return pages === 2 ? { kind: 'status', status: 500 } : undefined;
    });
    const recorder = follow(server);
    await recorder.until('nine requests', () => server.requests.length >= 9);
    expectPaced(server.requests, 3);
  });

  test('a watch that is always broken off is paced, and asked for again from its version', async () => {
    const server = await startServer();
    server.put('pods', pod('one'));
    server.setFault((request) => (isWatch(request) ? { kind: 'drop' } : undefined));
    const recorder = follow(server);
    await recorder.until('eight requests', () => server.requests.length >= 8);
    expectPaced(server.requests, 2);
    expect(server.requests.filter(isList)).toHaveLength(1);
  });

  test('a server that asks for patience (429) gets it', async () => {
    const server = await startServer();
    server.setFault(() => ({ kind: 'status', status: 429, retryAfterSeconds: 1 }));
    const recorder = follow(server);
    await recorder.until('two requests', () => server.requests.length >= 2);
    const [first, second] = server.requests;
    expect((second?.timeMs ?? 0) - (first?.timeMs ?? 0)).toBeGreaterThanOrEqual(998);
    expect(recorder.states.at(-1)).toMatchObject({ error: { status: 429, retryAfterMs: 1_000 } });
  });

  test('while the server is gone what is known stays; on its return the net difference is told once', async () => {
    const server = await startServer();
    server.put('pods', pod('one'));
    server.put('pods', pod('two'));
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    await server.goAway();
    await recorder.until('stale', () => recorder.states.at(-1)?.state === 'stale');
    expect(recorder.names).toEqual(['one', 'two']);
    server.remove('pods', 'two', 'lab');
    server.put('pods', pod('three'));
    server.put('pods', pod('three', { phase: 'Pending' }));
    await server.comeBack();
    await recorder.until('the difference', () => recorder.names.join() === 'one,three');
    expect(recorder.states.at(-1)).not.toHaveProperty('error');
    expect(recorder.states.at(-1)?.state).toBe('live');
    expect(recorder.updates).toHaveLength(2);
  });

  test('a half-open connection is noticed by its silence', async () => {
    const server = await startServer();
    const recorder = follow(server, { timings: { watchIdleTimeoutMs: 100, answerTimeoutMs: 100 } });
    await recorder.until('the watch', () => server.watches === 1);
    server.freeze();
    server.put('pods', pod('one'));
    await recorder.until('stale', () => recorder.states.at(-1)?.state === 'stale');
    expect(recorder.states.at(-1)).toMatchObject({ error: { code: 'TIMEOUT' } });
    server.thaw();
    await recorder.until('converged', () => recorder.names.join() === 'one');
  });

  test('bookmarks keep a quiet watch from being taken for dead', async () => {
    const server = await startServer({ bookmarkIntervalMs: 20 });
    const recorder = follow(server, { timings: { watchIdleTimeoutMs: 400 } });
    await recorder.until('the watch', () => server.watches === 1);
    const set = recorder.timersSet;
    // Each bookmark sets the timer anew; so many take twice as long as the watch may be silent.
    await recorder.until('forty bookmarks', () => recorder.timersSet >= set + 40);
    expect(server.requests.filter(isWatch)).toHaveLength(1);
    expect(recorder.states).toHaveLength(1);
  });

  test('a slow stream is followed as it comes; a list that never ends is given up', async () => {
    const server = await startServer();
    for (let count = 0; count < 3; count += 1) server.put('pods', pod(`pod-${count}`));
    server.setFault(() => ({ kind: 'slow', portionBytes: 64, intervalMs: 5 }));
    const recorder = follow(server);
    await recorder.session.ready;
    expect(recorder.pods.size).toBe(3);
    await recorder[Symbol.asyncDispose]();

    server.setFault(() => ({ kind: 'slow', portionBytes: 1, intervalMs: 50 }));
    const impatient = follow(server, { timings: { bodyTimeoutMs: 100 } });
    await impatient.until('stale', () => impatient.states.at(-1)?.state === 'stale');
    expect(impatient.states.at(-1)).toMatchObject({ error: { code: 'TIMEOUT' } });
  });

  test('a version from the future, as after a restored backup, ends in a new list', async () => {
    const server = await startServer();
    server.put('pods', pod('one'));
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    server.setFault((request) =>
      isWatch(request) && server.requests.filter(isList).length < 2 ? { kind: 'status', status: 504 } : undefined,
    );
    server.dropConnections();
    await recorder.until('a second list', () => server.requests.filter(isList).length === 2);
    await recorder.until('live', () => recorder.states.at(-1)?.state === 'live');
  });

  test('an ERROR event other than 410 does not lose the place', async () => {
    const server = await startServer();
    const recorder = follow(server);
    await recorder.until('the watch', () => server.watches === 1);
    server.failWatches(500, 'etcd is not well');
    await recorder.until('a second watch', () => server.watches === 1 && server.requests.filter(isWatch).length === 2);
    expect(server.requests.filter(isList)).toHaveLength(1);
    expect(recorder.states.map(({ state }) => state)).toEqual(['live', 'stale', 'live']);
  });

  test('a server that cannot be found is looked for again, unless that is of no use', async () => {
    const server = await startServer();
    let calls = 0;
    const recorder = follow(server, {
      connect: async () => {
        calls += 1;
        if (calls < 3) throw new Error('not yet');
        return { server: server.url, nodeName, credentials: async () => ({}) };
      },
    });
    await recorder.session.ready;
    expect(recorder.states[0]).toMatchObject({ state: 'stale', error: { code: 'UNAVAILABLE' } });

    const hopeless = follow(server, { connect: () => Promise.reject(new PodSourceError('UNSUPPORTED', 'never')) });
    await expect(hopeless.session.ready).rejects.toMatchObject({ code: 'UNSUPPORTED', retryable: false });
    expect(hopeless.states).toMatchObject([{ state: 'stale', error: { code: 'UNSUPPORTED' } }]);
  });
});

describe('close', () => {
  test.each([
    ['while it watches', undefined],
    ['while a list hangs', { kind: 'hang' }],
    ['while it waits to try again', { kind: 'status', status: 500 }],
    ['while a body comes slowly', { kind: 'slow', portionBytes: 1, intervalMs: 1_000 }],
  ] as const)('%s: no connection and no timer is left, and nothing is told any more', async (_, fault) => {
    const server = await startServer();
    server.put('pods', pod('one'));
    server.setFault(() => fault);
    const recorder = follow(server);
    await server.seen(fault === undefined ? isWatch : isList);
    await recorder[Symbol.asyncDispose]();
    const told = recorder.updates.length + recorder.states.length;
    expect(recorder.timers).toBe(0);
    await recorder.until('no connection', () => server.connections === 0);
    server.put('pods', pod('late'));
    expect(recorder.updates.length + recorder.states.length).toBe(told);
    if (fault !== undefined) await expect(recorder.session.ready).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('credentials that never come hold up neither the deadline nor the end', async () => {
    const server = await startServer();
    const recorder = follow(server, {
      connect: async () => ({ server: server.url, nodeName, credentials: () => new Promise(() => {}) }),
      timings: { answerTimeoutMs: 30 },
    });
    await recorder.until('stale', () => recorder.states.at(-1)?.state === 'stale');
    expect(recorder.states.at(-1)).toMatchObject({ error: { code: 'TIMEOUT' } });
    await recorder[Symbol.asyncDispose]();
    expect(recorder.timers).toBe(0);
  });
});

test('memory stays flat while pods come and go and the connection breaks', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const server = await startServer();
  const recorder = recordPodSource(
    apiServerPods({
      name: 'test',
      connect: async () => ({ server: server.url, nodeName, credentials: async () => ({}) }),
      timings: { ...timings, requestSpacingMs: 1, maximumBackOffMs: 1 },
    }),
    { keepUpdates: false },
  );
  opened.push(recorder);
  await recorder.until('the watch', () => server.watches === 1);
  const churn = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      for (let count = 0; count < 50; count += 1) server.put('pods', pod(`round-${round}-${count}`));
      await recorder.until('all pods', () => recorder.pods.size === 50);
      for (let count = 0; count < 50; count += 1) server.remove('pods', `round-${round}-${count}`, 'lab');
      if (round % 5 === 0) {
        server.compact();
        server.dropConnections();
      }
      await recorder.until('no pods', () => recorder.pods.size === 0 && server.watches === 1);
      (server.requests as FakeRequest[]).length = 0;
    }
  };
  const usedBytes = async (): Promise<number> => {
    server.compact();
    collect();
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    return process.memoryUsage().heapUsed;
  };
  await churn(20);
  const before = await usedBytes();
  await churn(100);
  expect((await usedBytes()) - before).toBeLessThan(2 * 1024 * 1024);
}, 60_000);
