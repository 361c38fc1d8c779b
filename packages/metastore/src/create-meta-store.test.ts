import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  type Container,
  EngineTimeoutError,
  EngineUnavailableError,
  isCrikitError,
  mainBiz,
  type Pod,
} from '@crikit/core';
import { createInMemoryEngine, type InMemoryEngineOptions } from '@crikit/engine-conformance';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createMetaStore } from './create-meta-store.js';
import { createFakeClock } from './fake-clock.js';
import { labelPods } from './label-pods.js';
import type { MetaStore } from './meta-store.js';
import type { MetaStoreEvent } from './meta-store-event.js';
import type { MetaStoreOptions } from './meta-store-options.js';

const shop = {
  namespace: 'shop',
  name: 'web-0',
  labels: { app: 'web' },
  containers: [{ k8sName: 'app' }, { k8sName: 'log-sidecar' }],
};

const stores: MetaStore[] = [];

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
});

function makeStore(options: MetaStoreOptions): MetaStore {
  // What is gone is gone here; kubernetes-store.test.ts has the grace period.
  const store = createMetaStore({ enrichment: false, gracePeriodMs: 0, ...options });
  stores.push(store);
  return store;
}

async function startWith(options: InMemoryEngineOptions = {}, storeOptions: MetaStoreOptions = {}) {
  const engine = createInMemoryEngine(options);
  const store = makeStore({ engines: [engine.definition], ...storeOptions });
  return { ...engine, store, start: () => store.start() };
}

/** Waits for a state of the store; the store tells of changes, so nothing is slept through. */
async function until(store: MetaStore, condition: () => boolean): Promise<void> {
  await vi.waitFor(
    () => {
      if (!condition())
        throw new Error(`not reached; the store has ${JSON.stringify(store.getAllPods().map(describePod))}`);
    },
    { timeout: 5_000, interval: 5 },
  );
}

function describePod(pod: Pod): string {
  return `${pod.namespace}/${pod.name} ${pod.phase} ${pod.all.map(({ name, state }) => `${name} ${state.status}`).join(', ')}`;
}

function record(store: MetaStore): { events: MetaStoreEvent[]; end: () => Promise<void> } {
  const events: MetaStoreEvent[] = [];
  const controller = new AbortController();
  const reading = (async () => {
    for await (const event of store.events({ signal: controller.signal })) events.push(event);
  })();
  return {
    events,
    end: async () => {
      controller.abort();
      await reading;
    },
  };
}

function describeEvent(event: MetaStoreEvent): string {
  if (event.type === 'resync') return event.type;
  return 'pod' in event
    ? `${event.type} ${event.pod.name}`
    : `${event.type} ${event.container.k8sName ?? event.container.role ?? event.container.name}`;
}

describe('the first sync', () => {
  test('does no I/O before start, then shows pods with roles', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    expect(control.calls.probe + control.calls.connect + control.calls.list).toBe(0);
    expect(store.getAllPods()).toEqual([]);
    await start();

    const found = store.getPodOrThrow('shop', 'web-0');
    expect(found).toMatchObject({ uid: pod.uid, phase: 'Running', app: 'web', hostname: 'web-0', diagnostics: [] });
    expect(found.sandbox?.id).toBe(pod.sandboxId);
    expect(found.all.map(({ role, k8sName }) => [role, k8sName])).toEqual([
      ['sandbox', undefined],
      ['biz', 'app'],
      ['sidecar', 'log-sidecar'],
    ]);
    expect(mainBiz(found)?.id).toBe(pod.containers.app);
    expect(store.status()).toMatchObject({ state: 'running', ready: true, pods: 1, containers: 3 });
    expect(control.calls).toMatchObject({ list: 1, details: 1 });
  });

  test('nothing is shown before the first sync is complete, not even what an event brought', async () => {
    const { store, control, start } = await startWith();
    control.addPod(shop);
    const release = control.hold('details', { times: 1 });
    const starting = start();
    await until(store, () => control.calls.details === 1);
    const id = control.addContainer({ status: 'running' });
    control.stopContainer(id);
    // The second look-up of one container begins when the first has been answered.
    await until(store, () => control.inspected.filter((asked) => asked === id).length === 2);
    expect(store.getAllContainers({ withoutPod: true })).toEqual([]);
    release();
    await starting;
    expect(store.getAllContainers({ withoutPod: true })).toHaveLength(4);
    expect(store.status().sequence).toBe(1);
  });

  test('runs without any engine, and takes up the engine that comes later', async () => {
    const { store, control, start } = await startWith();
    control.addPod(shop);
    control.goAway();
    await start();
    expect(store.status()).toMatchObject({ state: 'running', ready: false, engines: [] });
    expect(store.status().reports[0]?.attempts[0]?.code).toBe('ECONNREFUSED');
    control.comeBack();
    await until(store, () => store.getAllPods().length === 1);
    expect(store.status().ready).toBe(true);
  });

  test('with requireReady rejects, and closes, when no engine answers', async () => {
    const { store, control } = await startWith();
    control.goAway();
    await expect(store.start({ requireReady: true })).rejects.toMatchObject({ code: 'NO_ENGINE' });
    expect(store.status().state).toBe('closed');
    await expect(store.exec('4f5e4f5e4f5e', { cmd: ['true'] })).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test.each([{ engines: ['never-registered'] }, {}])(
    'rejects when no engine can ever be found, for no package is imported: %o',
    async (options) => {
      await expect(makeStore(options).start()).rejects.toMatchObject({ code: 'NO_ENGINE' });
    },
  );

  test('with requireReady rejects when an engine dies during the first sync', async () => {
    const { store, control } = await startWith();
    control.addPod(shop);
    const release = control.hold('list');
    const starting = store.start({ requireReady: true });
    await vi.waitFor(() => expect(control.calls.list).toBe(1));
    control.goAway();
    release();
    await expect(starting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('an aborted start rejects and leaves nothing running', async () => {
    const { store, control } = await startWith();
    const release = control.hold('list');
    const controller = new AbortController();
    const starting = store.start({ signal: controller.signal });
    await vi.waitFor(() => expect(control.calls.list).toBe(1));
    controller.abort();
    await expect(starting).rejects.toMatchObject({ code: 'ABORTED' });
    release();
    expect(store.status().state).toBe('closed');
  });

  test('one container that hangs holds up the first sync no longer than its own deadline', async () => {
    const clock = createFakeClock();
    const { store, control, start } = await startWith({}, { clock });
    const pod = control.addPod(shop);
    control.addPod({ ...shop, name: 'web-1' });
    const app = pod.containers.app as string;
    const release = control.hold('details', { containerId: app, times: 1 });
    const starting = start();
    await until(store, () => control.calls.details === 1);
    // The call for all hangs with it; asked again, pod by pod, everything is answered.
    await clock.advance(1_000);
    await starting;
    expect(store.status().ready).toBe(true);
    expect(store.getAllContainers()).toHaveLength(6);
    control.setEvents('drop');
    control.stopContainer(app);
    release();
    await store.close();
    expect(store.getContainerByCid(app)?.state.status).toBe('running');
  });

  test('a sidecar function that throws spoils no pod', async () => {
    const { store, control, start } = await startWith(
      {},
      {
        sidecars: ({ k8sName }) => {
          if (k8sName === 'app') throw new Error('a bad function');
          return true;
        },
      },
    );
    control.addPod(shop);
    await start();
    const pod = store.getPodOrThrow('shop', 'web-0');
    expect(pod.biz.map(({ k8sName }) => k8sName)).toEqual(['app']);
    expect(pod.sidecar.map(({ k8sName }) => k8sName)).toEqual(['log-sidecar']);
    expect(pod.diagnostics.map(({ code }) => code)).toEqual(['sidecar-function-failed']);
  });

  test('a pod source that throws leaves the containers without a pod', async () => {
    const { store, control, start } = await startWith(
      {},
      {
        pods: {
          name: 'bad',
          podOfContainer: () => {
            throw new Error('a bad source');
          },
        },
      },
    );
    control.addPod(shop);
    await start();
    expect(store.getAllPods()).toEqual([]);
    expect(store.getAllContainers({ withoutPod: true })).toHaveLength(3);
  });

  test('a container whose details cannot be read is shown as listed, with a diagnostic, and hides nothing', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    const failure = new EngineTimeoutError('no answer', { retryable: true });
    control.fail('details', failure, { containerId: pod.containers.app as string });
    await start();
    const found = store.getPodOrThrow('shop', 'web-0');
    expect(found.diagnostics.map(({ code }) => code)).toEqual(['details-failed']);
    expect(found.all).toHaveLength(3);
    expect(store.status().engines[0]?.failingContainers).toBe(1);
    control.fail('details', undefined, { containerId: pod.containers.app as string });
    await until(store, () => store.getPod('shop', 'web-0')?.diagnostics.length === 0);
    expect(store.getContainerByCid(pod.containers.app as string)?.state.pid).toBeGreaterThan(0);
    expect(store.status().engines[0]?.failingContainers).toBe(0);
  });

  test('a bad expression is refused at once', () => {
    expect(() => createMetaStore({ sidecars: 'nonsense' })).toThrow("'nonsense'");
    expect(() => createMetaStore({ app: 'label:' })).toThrow("'label:'");
  });
});

describe('following changes', () => {
  test('a change costs one inspect of the touched container and no list', async () => {
    const { store, control, start } = await startWith();
    for (let number = 0; number < 200; number += 1) {
      control.addPod({ ...shop, name: `web-${number}`, containers: [] });
    }
    const pod = control.addPod({ ...shop, name: 'changing' });
    await start();
    const before = { ...control.calls };
    control.inspected.length = 0;
    control.stopContainer(pod.containers.app as string, 3);
    await until(store, () => store.getContainerByCid(pod.containers.app as string)?.state.exitCode === 3);
    expect(control.inspected).toEqual([pod.containers.app]);
    expect(control.calls).toEqual({ ...before, details: before.details + 1 });
  });

  test('a removed container is gone, its pod with the last one', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    for (const id of control.containerIds()) control.removeContainer(id);
    await until(store, () => store.getAllPods().length === 0);
    expect(store.getContainerByCid(pod.sandboxId)).toBeUndefined();
    expect(store.getAllContainers({ withoutPod: true })).toEqual([]);
  });

  test('what does not change keeps its identity', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    control.addPod({ ...shop, name: 'web-1' });
    await start();
    const changing = store.getPodOrThrow('shop', 'web-0');
    const quiet = store.getPodOrThrow('shop', 'web-1');
    const pods = store.getAllPods();
    control.stopContainer(pod.containers.app as string);
    await until(store, () => store.getPod('shop', 'web-0') !== changing);
    const changed = store.getPodOrThrow('shop', 'web-0');
    expect(store.getPod('shop', 'web-1')).toBe(quiet);
    expect(changed.sandbox).toBe(changing.sandbox);
    expect(changed.sidecar[0]).toBe(changing.sidecar[0]);
    expect(store.getAllPods()).not.toBe(pods);
    expect(pods[0]).toBe(changing);
  });

  test('an event that announces nothing new changes nothing', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    const { sequence } = store.status();
    const found = store.getPod('shop', 'web-0');
    const { details } = control.calls;
    control.emit({ action: 'updated', reference: { scope: '', id: pod.sandboxId }, timeMs: Date.now() });
    control.emit({ action: 'removed', reference: { scope: '', id: 'never-there' }, timeMs: Date.now() });
    await until(store, () => control.calls.details === details + 2);
    await store.close();
    expect(store.getPod('shop', 'web-0')).toBe(found);
    expect(store.status().sequence).toBe(sequence);
  });

  test('the death of one container changes the role of no other', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    control.removeContainer(pod.containers.app as string);
    await until(store, () => store.getContainerByCid(pod.containers.app as string) === undefined);
    expect(store.getContainerByCid(pod.containers['log-sidecar'] as string)?.role).toBe('sidecar');
  });

  test('the names that a pod was seen with are forgotten with the pod', async () => {
    const { store, control, start } = await startWith();
    control.addPod(shop);
    await start();
    for (const id of control.containerIds()) control.removeContainer(id);
    await until(store, () => store.getAllPods().length === 0);
    const alone = control.addPod({ ...shop, containers: [{ k8sName: 'log-sidecar' }] });
    await until(store, () => store.getPodByUid(alone.uid)?.all.length === 2);
    expect(store.getPodByUid(alone.uid)?.biz.map(({ k8sName }) => k8sName)).toEqual(['log-sidecar']);
  });

  test.each(['ended', 'removed'])(
    'an answer that is older than the news that a container %s is ignored',
    async (news) => {
      const { store, control, start } = await startWith();
      const pod = control.addPod(shop);
      const [app, log] = Object.values(pod.containers) as [string, string];
      await start();
      const release = control.hold('details', { containerId: app, times: 1 });
      const { details } = control.calls;
      control.emit({ action: 'updated', reference: { scope: '', id: app }, timeMs: Date.now() });
      await until(store, () => control.calls.details === details + 1);
      control.setEvents('drop');
      if (news === 'ended') control.stopContainer(app);
      else control.removeContainer(app);
      control.setEvents('tell');
      control.endEvents();
      const isNews = () => store.getContainerByCid(app)?.state.status === (news === 'ended' ? 'exited' : undefined);
      await until(store, isNews);
      release();
      // One look-up a pod at a time: when the next one has been answered, the old answer has been dealt with.
      control.stopContainer(log);
      await until(store, () => store.getContainerByCid(log)?.state.status === 'exited');
      expect(isNews()).toBe(true);
    },
  );

  test('a list that is older than an event removes nothing', async () => {
    const { store, control, start } = await startWith({}, { reconcileIntervalMs: 20 });
    await start();
    const release = control.hold('list', { times: 1 });
    const { list } = control.calls;
    await until(store, () => control.calls.list > list);
    const id = control.addContainer({ status: 'running' });
    await until(store, () => store.getContainerByCid(id)?.state.status === 'running');
    const { events, end } = record(store);
    const lists = control.calls.list;
    release();
    await until(store, () => control.calls.list > lists);
    await end();
    expect(events.map(describeEvent)).toEqual([expect.stringContaining('container-added')]);
  });

  test('a slow look-up of one pod does not delay another pod', async () => {
    const { store, control, start } = await startWith();
    const slow = control.addPod(shop);
    const quick = control.addPod({ ...shop, name: 'web-1' });
    await start();
    const release = control.hold('details', { containerId: slow.containers.app as string });
    control.stopContainer(slow.containers.app as string);
    control.stopContainer(quick.containers.app as string);
    await until(store, () => store.getContainerByCid(quick.containers.app as string)?.state.status === 'exited');
    expect(store.getContainerByCid(slow.containers.app as string)?.state.status).toBe('running');
    release();
    await until(store, () => store.getContainerByCid(slow.containers.app as string)?.state.status === 'exited');
  });

  test('changes that arrive during a look-up are looked up together when it ends', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    const { details } = control.calls;
    const release = control.hold('details');
    control.stopContainer(pod.containers.app as string);
    control.stopContainer(pod.containers['log-sidecar'] as string);
    control.stopContainer(pod.sandboxId);
    release();
    await until(store, () => store.getAllPods().length === 0);
    expect(control.calls.details).toBe(details + 2);
  });

  test('missed events are made good by the reconcile, which inspects only what has a new revision', async () => {
    const { store, control, start } = await startWith({}, { reconcileIntervalMs: 20 });
    const pod = control.addPod(shop);
    control.addPod({ ...shop, name: 'web-1' });
    await start();
    control.inspected.length = 0;
    control.setEvents('drop');
    control.stopContainer(pod.containers.app as string);
    const added = control.addContainer({ status: 'running' });
    await until(store, () => store.getContainerByCid(pod.containers.app as string)?.state.status === 'exited');
    await until(store, () => store.getContainerByCid(added) !== undefined);
    control.removeContainer(added);
    await until(store, () => store.getContainerByCid(added) === undefined);
    expect(new Set(control.inspected)).toEqual(new Set([pod.containers.app, added]));
  });

  test('an engine without revisions is inspected in full by the reconcile', async () => {
    const { store, control, start } = await startWith({ revisions: false }, { reconcileIntervalMs: 20 });
    const pod = control.addPod(shop);
    await start();
    control.setEvents('drop');
    control.stopContainer(pod.containers.app as string, 4);
    await until(store, () => store.getContainerByCid(pod.containers.app as string)?.state.exitCode === 4);
  });

  test('each full comparison is told on the tracing channel crikit:sync', async () => {
    const told: unknown[] = [];
    const onEnd = (context: unknown) => told.push(context);
    subscribe('tracing:crikit:sync:asyncEnd', onEnd);
    try {
      const { control, start } = await startWith();
      control.addPod(shop);
      await start();
      expect(told).toMatchObject([{ engine: control.engineId, listed: 3, inspected: 3 }]);
    } finally {
      unsubscribe('tracing:crikit:sync:asyncEnd', onEnd);
    }
  });

  test('an engine without events is followed by its lists', async () => {
    const engine = createInMemoryEngine({ events: false });
    const { createContainerEngine } = await import('@crikit/core');
    const driver = await engine.definition.connect({
      hostRoot: '/',
      environment: {},
      signal: new AbortController().signal,
      logger: console,
    });
    const ready = createContainerEngine(engine.definition, driver, { pollIntervalMs: 10 });
    const store = makeStore({ engines: [ready] });
    await store.start();
    const pod = engine.control.addPod(shop);
    await until(store, () => store.getPodByUid(pod.uid)?.all.length === 3);
    expect(store.status().engines[0]).toMatchObject({ state: 'live', connections: 1 });
    await store.close();
    // A ready engine is its owner's to close.
    await expect(ready.listAllContainers()).resolves.toHaveLength(3);
    await ready.close();
  });
});

describe('an engine that goes away', () => {
  test('leaves its state readable and stale; its return brings the net difference, once', async () => {
    const { store, control, start } = await startWith();
    const stays = control.addPod(shop);
    const goes = control.addPod({ ...shop, name: 'web-1' });
    await start();
    const { events, end } = record(store);
    await vi.waitFor(() => expect(events).toHaveLength(8));
    events.length = 0;

    control.goAway();
    await until(store, () => store.status().engines[0]?.state === 'stale');
    expect(store.status().ready).toBe(false);
    expect(JSON.parse(JSON.stringify(store.status().engines[0])).error).toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('away'),
    });
    expect(store.status().engines[0]?.staleSinceMs).toBeTypeOf('number');
    expect(store.getAllPods()).toHaveLength(2);
    for (const id of [goes.sandboxId, ...Object.values(goes.containers)]) control.removeContainer(id);
    control.stopContainer(stays.containers['log-sidecar'] as string, 1);
    const added = control.addPod({ ...shop, name: 'web-2', containers: [] });
    control.comeBack();

    await until(store, () => store.status().engines[0]?.state === 'live');
    await vi.waitFor(() => expect(events).toHaveLength(8));
    await end();
    expect(events.map(describeEvent).sort()).toEqual([
      'container-added sandbox',
      'container-changed log-sidecar',
      'container-removed app',
      'container-removed log-sidecar',
      'container-removed sandbox',
      'pod-added web-2',
      'pod-changed web-0',
      'pod-removed web-1',
    ]);
    expect(store.getPodByUid(added.uid)?.phase).toBe('Pending');
    expect(store.status().engines[0]).toMatchObject({ connections: 2 });
    expect(store.status().engines[0]?.error).toBeUndefined();
  });

  test('a look-up that fails because the engine dies leaves no diagnostic behind', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    const seen: string[] = [];
    store.onAnyPodChanged(() => {
      for (const { diagnostics } of store.getAllPods()) seen.push(...diagnostics.map(({ code }) => code));
    });
    control.fail('details', new EngineUnavailableError('gone', { retryable: true }), { times: 1 });
    control.stopContainer(pod.containers.app as string);
    await until(store, () => store.status().engines[0]?.failingContainers === 1);
    control.goAway();
    await until(store, () => store.status().engines[0]?.state === 'stale');
    control.comeBack();
    await until(store, () => store.getContainerByCid(pod.containers.app as string)?.state.status === 'exited');
    expect(seen).toEqual([]);
    expect(store.status().engines[0]?.failingContainers).toBe(0);
  });

  test('one slow container does not hide what happened to the others meanwhile', async () => {
    const clock = createFakeClock();
    const { store, control, start } = await startWith({}, { clock });
    const pod = control.addPod(shop);
    const [app, log] = Object.values(pod.containers) as [string, string];
    await start();
    control.goAway();
    control.stopContainer(app);
    control.stopContainer(log);
    const other = control.addContainer({ status: 'running' });
    control.removeContainer(pod.sandboxId);
    const { details } = control.calls;
    const release = control.hold('details', { containerId: app });
    control.comeBack();
    await until(store, () => control.calls.details === details + 1);
    expect(store.getContainerByCid(pod.sandboxId)).toBeDefined();
    await clock.advance(1_000);
    expect(store.getContainerByCid(pod.sandboxId)).toBeUndefined();
    await until(store, () => store.getContainerByCid(other) !== undefined);
    expect(store.getContainerByCid(app)?.state.status).toBe('running');
    release();
    await until(store, () => store.getContainerByCid(app)?.state.status === 'exited');
    await until(store, () => store.getContainerByCid(log)?.state.status === 'exited');
  });

  test('events that fail to be delivered are made good when the stream is opened again', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    control.setEvents('drop');
    control.stopContainer(pod.containers.app as string);
    control.setEvents('tell');
    control.endEvents();
    await until(store, () => store.getContainerByCid(pod.containers.app as string)?.state.status === 'exited');
  });
});

describe('look-ups', () => {
  test('find a container by full, short, prefixed and scheme-prefixed id, and by name', async () => {
    const id = '0123456789abcdef'.repeat(4);
    const { store, control, start } = await startWith({ containerIdSchemes: ['docker'] });
    control.addContainer({ id, name: 'lonely', status: 'running' });
    await start();
    const found = store.getContainerByCid(id) as Container;
    expect(found.shortId).toBe('0123456789ab');
    for (const asked of ['0123456789ab', '012345', `docker://${id}`, 'docker://0123456789ab']) {
      expect(store.getContainerByCid(asked)).toBe(found);
    }
    for (const asked of ['01234', 'containerd://0123456789ab', '', 'ffffff', 'docker://']) {
      expect(store.getContainerByCid(asked)).toBeUndefined();
    }
    expect(store.getContainersByName('lonely')).toEqual([found]);
  });

  test('an id that fits several containers is refused with the candidates', async () => {
    const { store, control, start } = await startWith();
    const start12 = '0123456789ab';
    control.addContainer({ id: `${start12}${'c'.repeat(52)}` });
    control.addContainer({ id: `${start12}${'d'.repeat(52)}` });
    await start();
    const error = catchError(() => store.getContainerByCid(start12));
    expect(error).toMatchObject({ code: 'AMBIGUOUS' });
    expect((error as { candidates: string[] }).candidates).toHaveLength(2);
    expect(store.getContainerByCid(`${start12}c`)?.id).toMatch(/c$/);
  });

  test('find a pod by its sandboxes, uid and containers', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    const found = store.getPodByUid(pod.uid) as Pod;
    expect(store.getPodBySandboxId(pod.sandboxId)).toBe(found);
    expect(store.getPodBySandboxId(pod.sandboxId.slice(0, 12))).toBe(found);
    expect(store.getPodOf(found.biz[0] as Container)).toBe(found);
    expect(store.getContainersByName('app')).toEqual(found.biz);
    expect(store.getPod('other', 'web-0')).toBeUndefined();
    expect(catchError(() => store.getPodOrThrow('other', 'web-0'))).toMatchObject({ code: 'NO_POD' });
    expect(catchError(() => store.getPodBySandboxIdOrThrow('ffff'))).toMatchObject({ code: 'NO_POD' });
  });

  test('of two pods of one name the living one is found', async () => {
    const { store, control, start } = await startWith({}, { trackFinishedPods: true });
    control.addPod({ ...shop, uid: 'uid-old', status: 'exited' });
    control.addPod({ ...shop, uid: 'uid-new' });
    control.addPod({ ...shop, uid: 'uid-older', status: 'exited' });
    await start();
    expect(store.getAllPods()).toHaveLength(3);
    expect(store.getPod('shop', 'web-0')?.uid).toBe('uid-new');
  });

  test('containers without a pod are listed on request', async () => {
    const { store, control, start } = await startWith();
    control.addPod({ ...shop, containers: [] });
    const id = control.addContainer({ status: 'running' });
    await start();
    expect(store.getAllContainers().map(({ role }) => role)).toEqual(['sandbox']);
    expect(store.getAllContainers({ withoutPod: true })).toHaveLength(2);
    expect(store.getPodOf(store.getContainerByCid(id) as Container)).toBeUndefined();
  });

  test('with pod-per-container each unmarked container is a pod', async () => {
    const { store, control, start } = await startWith({}, { pods: labelPods({ unlabelled: 'pod-per-container' }) });
    const id = control.addContainer({ name: 'redis', status: 'running', labels: { app: 'cache' } });
    await start();
    const pod = store.getPodOrThrow('', 'redis');
    expect(pod).toMatchObject({ uid: id, phase: 'Running', app: 'cache', diagnostics: [] });
    expect(mainBiz(pod)?.id).toBe(id);
    control.stopContainer(id, 0);
    await until(store, () => store.getAllPods().length === 0);
    expect(store.getContainerByCid(id)?.state.status).toBe('exited');
  });

  test('snapshots are frozen, and survive cloning and JSON', async () => {
    const { store, control, start } = await startWith({}, { hostRoot: '/hostfs' });
    control.addPod({
      ...shop,
      containers: [
        {
          k8sName: 'app',
          env: { A: '1' },
          logPath: '/var/log/app.log',
          mergedDir: '/var/lib/merged',
          mounts: [
            { source: '/data', destination: '/data', readWrite: true },
            { source: 'volume-name', destination: '/volume', readWrite: false },
          ],
        },
      ],
    });
    await start();
    const [pod] = store.getAllPods() as [Pod];
    const app = mainBiz(pod) as Container;
    expect(app).toMatchObject({ logPath: '/hostfs/var/log/app.log', mergedDir: '/hostfs/var/lib/merged' });
    expect(app.mounts.map(({ source }) => source)).toEqual(['/hostfs/data', 'volume-name']);
    expect(structuredClone(pod)).toEqual(pod);
    expect(JSON.parse(JSON.stringify(pod))).toEqual(pod);
    for (const value of [
      store.getAllPods(),
      pod,
      pod.all,
      pod.labels,
      app,
      app.env,
      app.mounts,
      app.mounts[0],
      app.state,
    ]) {
      expect(Object.isFrozen(value)).toBe(true);
    }
  });

  test("a container's network is its sandbox's", async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    expect(store.getContainerByCid(pod.containers.app as string)?.networkMode).toBe('none');
  });

  test('attributes survive changes and go with the container', async () => {
    const { store, control, start } = await startWith();
    const id = control.addContainer({ status: 'running' });
    await start();
    store.attributes(id)?.set('mine', 1);
    control.stopContainer(id, 2);
    await until(store, () => store.getContainerByCid(id)?.state.exitCode === 2);
    expect(store.attributes(id.slice(0, 12))?.get('mine')).toBe(1);
    control.removeContainer(id);
    await until(store, () => store.getContainerByCid(id) === undefined);
    expect(store.attributes(id)).toBeUndefined();
    control.addContainer({ id, status: 'running' });
    await until(store, () => store.getContainerByCid(id) !== undefined);
    expect(store.attributes(id)?.size).toBe(0);
  });
});

describe('the entrance to exec', () => {
  test('runs a command in a container by whatever names it', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    const container = mainBiz(store.getPodOrThrow('shop', 'web-0')) as Container;
    const { scope, id } = container;
    for (const target of [container, { scope, id }, pod.containers.app as string, container.shortId]) {
      const result = await store.exec(target, { cmd: ['echo', 'hello'] });
      expect(result).toMatchObject({ exitCode: 0, cmd: ['echo', 'hello'] });
      expect(result.stdout.toString()).toBe('hello\n');
    }
    const running = await store.execAsync(container, { cmd: ['cat'], input: 'typed' });
    running.stderr.resume();
    const chunks: Buffer[] = [];
    for await (const chunk of running.stdout) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe('typed');
    await expect(running.result).resolves.toEqual({ exitCode: 0 });
  });

  test('refuses unknown containers and, of several engines, an engine without a container', async () => {
    const one = createInMemoryEngine({ name: 'one' });
    const two = createInMemoryEngine({ name: 'two' });
    const id = two.control.addContainer({ status: 'running' });
    const store = makeStore({ engines: [one.definition, two.definition] });
    expect(catchError(() => store.engine())).toMatchObject({ code: 'UNAVAILABLE' });
    await store.start();
    expect(store.engine(id).id).toBe('memory:two');
    expect(catchError(() => store.engine())).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(catchError(() => store.engine('ffffffffffff'))).toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.exec('ffffffffffff', { cmd: ['true'] })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.copyToContainer('ffffffffffff', 'a', '/b')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(store.copyFromContainer('ffffffffffff', '/a', 'b')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('several engines', () => {
  test('a container of dockerd that containerd shows too is one, as Docker tells it', async () => {
    const id = 'ab'.repeat(32);
    const docker = createInMemoryEngine({ type: 'docker' });
    const containerd = createInMemoryEngine({ type: 'containerd' });
    containerd.control.addContainer({ id, scope: 'moby', name: 'raw', status: 'running' });
    docker.control.addContainer({ id, name: 'nice', status: 'running' });
    const store = makeStore({ engines: [containerd.definition, docker.definition] });
    await store.start();
    expect(store.getContainerByCid(id)).toMatchObject({ engineType: 'docker', name: 'nice' });
    expect(store.getAllContainers({ withoutPod: true })).toHaveLength(1);
    docker.control.removeContainer(id);
    await until(store, () => store.getContainerByCid(id)?.engineType === 'containerd');
    docker.control.addContainer({ id, name: 'nice again', status: 'running' });
    await until(store, () => store.getContainerByCid(id)?.name === 'nice again');
  });

  test('marks that labels could forge bring no container into a pod that another engine vouches for', async () => {
    const trusted = createInMemoryEngine({ name: 'trusted' });
    const forging = createInMemoryEngine({ name: 'forging' });
    const pod = trusted.control.addPod(shop);
    const forged = forging.control.addContainer({
      name: 'forged',
      status: 'running',
      kubernetes: {
        kind: 'container',
        podUid: pod.uid,
        namespace: 'shop',
        podName: 'web-0',
        containerName: 'app',
        trust: 'labels',
      },
    });
    const store = makeStore({ engines: [trusted.definition, forging.definition] });
    await store.start();
    const found = store.getPodOrThrow('shop', 'web-0');
    expect(found.biz.map(({ id }) => id)).toEqual([pod.containers.app]);
    expect(found.diagnostics.map(({ code }) => code)).toEqual(['untrusted-marks']);
    expect(store.getContainerByCid(forged)?.podUid).toBeUndefined();
  });

  test('an engine that dies does not touch what the other shows', async () => {
    const one = createInMemoryEngine({ name: 'one' });
    const two = createInMemoryEngine({ name: 'two' });
    one.control.addPod(shop);
    const other = two.control.addPod({ ...shop, name: 'web-1' });
    const store = makeStore({ engines: [one.definition, two.definition] });
    await store.start();
    one.control.goAway();
    two.control.stopContainer(other.containers.app as string);
    await until(store, () => store.getContainerByCid(other.containers.app as string)?.state.status === 'exited');
    expect(store.getPod('shop', 'web-0')?.phase).toBe('Running');
    await until(store, () => store.status().engines.some(({ state }) => state === 'stale'));
    expect(store.status().engines.map(({ state }) => state)).toEqual(['stale', 'live']);
  });
});

describe('subscriptions', () => {
  test('give the present state first, then each change in order', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    const { events, end } = record(store);
    control.stopContainer(pod.containers.app as string, 5);
    await until(store, () => store.getContainerByCid(pod.containers.app as string)?.state.exitCode === 5);
    control.removeContainer(pod.containers.app as string);
    await until(store, () => store.getContainerByCid(pod.containers.app as string) === undefined);
    await end();
    expect(events.map(describeEvent)).toEqual([
      'pod-added web-0',
      'container-added sandbox',
      'container-added app',
      'container-added log-sidecar',
      'container-changed app',
      'pod-changed web-0',
      'container-removed app',
      'pod-changed web-0',
    ]);
    const changed = events[4] as Extract<MetaStoreEvent, { type: 'container-changed' }>;
    expect(changed.previous.state.status).toBe('running');
    expect(changed.container.state.exitCode).toBe(5);
    expect(changed.timeMs).toBeGreaterThanOrEqual(changed.engineTimeMs as number);
  });

  test('a pod that is recreated under its name is removed before it is added', async () => {
    const { store, control, start } = await startWith();
    control.addPod({ ...shop, uid: 'uid-old', containers: [] });
    await start();
    const { events, end } = record(store);
    control.goAway();
    for (const id of control.containerIds()) control.removeContainer(id);
    control.addPod({ ...shop, uid: 'uid-new', containers: [] });
    control.comeBack();
    await until(store, () => store.getPod('shop', 'web-0')?.uid === 'uid-new');
    await end();
    expect(events.slice(2).map(describeEvent)).toEqual([
      'container-removed sandbox',
      'pod-removed web-0',
      'pod-added web-0',
      'container-added sandbox',
    ]);
  });

  test('onAnyPodChanged tells of pods only, until it is removed; listeners that fail harm nobody', async () => {
    const logged = vi.fn();
    const { store, control, start } = await startWith(
      {},
      { logger: { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: logged } },
    );
    const pod = control.addPod(shop);
    await start();
    const listener = vi.fn();
    store.onAnyPodChanged(() => {
      throw new Error('a bad listener');
    });
    store.onAnyPodChanged(async () => {
      throw new Error('a bad async listener');
    });
    const remove = store.onAnyPodChanged(listener);
    control.stopContainer(pod.containers.app as string);
    await until(store, () => listener.mock.calls.length === 1);
    expect(logged).toHaveBeenCalledTimes(2);
    const lonely = control.addContainer({ status: 'running' });
    await until(store, () => store.getContainerByCid(lonely) !== undefined);
    expect(listener).toHaveBeenCalledTimes(1);
    remove();
    remove();
    control.startContainer(pod.containers.app as string);
    await until(store, () => store.getContainerByCid(pod.containers.app as string)?.state.status === 'running');
    expect(listener).toHaveBeenCalledTimes(1);
  });

  test('a pod in phase Succeeded or Failed is not shown, unless asked for', async () => {
    const { store, control, start } = await startWith();
    control.addPod({ ...shop, status: 'exited' });
    await start();
    expect(store.getAllPods()).toEqual([]);
    const all = makeStore({ engines: [store.engine()], trackFinishedPods: true });
    await all.start();
    expect(all.getPod('shop', 'web-0')?.phase).toBe('Failed');
  });
});

describe('close', () => {
  test('ends readers, leaves no timer and keeps the last snapshot readable', async () => {
    const { store, control, start } = await startWith();
    const pod = control.addPod(shop);
    await start();
    control.fail('details', new EngineTimeoutError('no answer', {}));
    control.stopContainer(pod.containers.app as string);
    await until(store, () => store.status().engines[0]?.failingContainers === 1);
    const iterator = store.events();
    for (let number = 0; number < 4; number += 1) await iterator.next();
    const waiting = iterator.next();
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    await store.close();
    await store.close();
    await expect(waiting).resolves.toEqual({ done: true, value: undefined });
    expect(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length).toBeLessThan(before);
    expect(store.getAllPods()).toHaveLength(1);
    expect(store.status()).toMatchObject({ state: 'closed', ready: false });
    await expect(store.start()).resolves.toBeUndefined();
    expect(catchError(() => store.engine(pod.sandboxId))).toMatchObject({ code: 'CLOSED' });
  });

  test('a store that was closed before it was started refuses to start', async () => {
    const store = createMetaStore();
    await store.close();
    await expect(store.start()).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('a close during start makes start reject', async () => {
    const { store, control } = await startWith();
    const release = control.hold('list');
    const starting = store.start();
    const refused = expect(starting).rejects.toMatchObject({ code: 'CLOSED' });
    await vi.waitFor(() => expect(control.calls.list).toBe(1));
    await store.close();
    await refused;
    release();
  });
});

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    expect(isCrikitError(error)).toBe(true);
    return error;
  }
  throw new Error('nothing was thrown');
}
