/** The store with a source that tells of Kubernetes' pods, and an engine that shows their containers. */
import type { Container, KubernetesPod, Pod } from '@crikit/core';
import { createInMemoryEngine, type InMemoryEngineOptions, waitUntil } from '@crikit/engine-conformance';
import { afterEach, describe, expect, test } from 'vitest';
import { createMetaStore } from './create-meta-store.js';
import { createFakeClock } from './fake-clock.js';
import { labelPods } from './label-pods.js';
import type { MetaStore } from './meta-store.js';
import type { MetaStoreEvent } from './meta-store-event.js';
import type { MetaStoreOptions } from './meta-store-options.js';
import type { PodSource } from './pod-source.js';
import { createScriptedPodSource } from './scripted-pod-source.js';

const stores: MetaStore[] = [];

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
});

interface PodGiven {
  readonly name?: string;
  readonly uid?: string;
  readonly phase?: string;
  readonly metadata?: KubernetesPod['metadata'];
  readonly spec?: KubernetesPod['spec'];
  readonly status?: KubernetesPod['status'];
}

const webUid = '11111111-1111-4111-8111-111111111111';

function makeObject({ name = 'web-0', uid = webUid, phase = 'Running', metadata, spec, status }: PodGiven = {}) {
  return {
    metadata: { name, namespace: 'shop', uid, ...metadata },
    spec: { nodeName: 'node-1', containers: [{ name: 'app' }], ...spec },
    status: { phase, podIP: '10.0.0.7', hostIP: '192.168.0.1', ...status },
  } satisfies KubernetesPod;
}

function makeWorld(engineOptions: InMemoryEngineOptions = {}, storeOptions: MetaStoreOptions = {}) {
  const engine = createInMemoryEngine({ containerIdSchemes: ['memory'], ...engineOptions });
  const source = createScriptedPodSource();
  const store = createMetaStore({
    engines: [engine.definition],
    pods: source.source,
    enrichment: false,
    environment: {},
    ...storeOptions,
  });
  stores.push(store);
  return { ...engine, source, store };
}

/** With one running pod `shop/web-0`, known to both sides. */
async function startWithPod(given: PodGiven = {}, storeOptions: MetaStoreOptions = {}) {
  const world = makeWorld({}, storeOptions);
  const pod = world.control.addPod({
    namespace: 'shop',
    name: 'web-0',
    uid: given.uid ?? webUid,
    containers: [{ k8sName: 'app' }],
  });
  world.source.put(makeObject(given));
  world.source.comeBack();
  await world.store.start({ requireReady: true });
  return { ...world, pod };
}

const until = (holds: () => boolean): Promise<void> => waitUntil(holds.toString(), holds, 5_000);
const codes = (pod: Pod | undefined): string[] => (pod?.diagnostics ?? []).map(({ code }) => code);
const rolesOf = (pod: Pod | undefined): string[] =>
  [...(pod?.all ?? []), ...(pod?.exited ?? [])].map(({ k8sName, role }) => `${k8sName ?? ''} ${role}`);

function record(store: MetaStore): MetaStoreEvent[] {
  const events: MetaStoreEvent[] = [];
  void (async () => {
    for await (const event of store.events()) events.push(event);
  })();
  return events;
}

describe('a pod with its object', () => {
  test('has phase, addresses, labels, owner and roles from the object, in the first snapshot', async () => {
    const { store, pod } = await startWithPod({
      metadata: {
        labels: { app: 'web', 'pod-template-hash': '5d4' },
        ownerReferences: [{ kind: 'ReplicaSet', name: 'web-5d4', uid: 'rs', controller: true }],
      },
    });
    expect(store.status().sequence).toBe(1);
    const found = store.getPodOrThrow('shop', 'web-0');
    expect(found).toMatchObject({
      uid: webUid,
      phase: 'Running',
      ip: '10.0.0.7',
      hostIP: '192.168.0.1',
      app: 'web',
      labels: { app: 'web' },
      owner: { kind: 'Deployment', name: 'web', controller: { kind: 'ReplicaSet', uid: 'rs' } },
      diagnostics: [],
    });
    expect(found.sandbox?.id).toBe(pod.sandboxId);
    expect(found.biz.map(({ id }) => id)).toEqual([pod.containers.app]);
    expect(store.status()).toMatchObject({
      ready: true,
      podSource: { name: 'scripted', backend: 'api-server', state: 'live', connections: 1, ageMs: 0 },
    });
  });

  test('init, native sidecar and ephemeral containers are told apart by the spec', async () => {
    const { store, control, source } = makeWorld();
    control.addPod({
      namespace: 'shop',
      name: 'web-0',
      uid: webUid,
      containers: ['setup', 'mesh', 'app', 'debugger'].map((k8sName) => ({ k8sName })),
    });
    source.put(
      makeObject({
        spec: {
          containers: [{ name: 'app' }],
          initContainers: [{ name: 'setup' }, { name: 'mesh', restartPolicy: 'Always' }],
          ephemeralContainers: [{ name: 'debugger' }],
        },
      }),
    );
    source.comeBack();
    await store.start();
    const pod = store.getPodOrThrow('shop', 'web-0');
    const names = (containers: readonly Container[]): unknown[] => containers.map(({ k8sName }) => k8sName);
    expect(names(pod.biz)).toEqual(['app']);
    expect(names(pod.sidecar)).toEqual(['mesh']);
    expect(names(pod.initContainers)).toEqual(['setup']);
    expect(names(pod.ephemeralContainers)).toEqual(['debugger']);
    expect(pod.biz[0]?.roleReason).toContain("pod's spec");
  });

  test('is shown before it has a container, and gets its containers as they come', async () => {
    const { store, source, control } = makeWorld();
    source.put(makeObject({ phase: 'Pending', status: { phase: 'Pending' } }));
    source.comeBack();
    await store.start();
    expect(store.getPodOrThrow('shop', 'web-0')).toMatchObject({ phase: 'Pending', all: [], diagnostics: [] });
    source.put(makeObject());
    expect(codes(store.getPod('shop', 'web-0'))).toEqual(['no-containers']);
    control.addPod({ namespace: 'shop', name: 'web-0', uid: webUid, containers: [{ k8sName: 'app' }] });
    await until(() => store.getPod('shop', 'web-0')?.all.length === 2);
    expect(codes(store.getPod('shop', 'web-0'))).toEqual([]);
  });

  test('a static pod is known by its hash, whether the API server or the kubelet tells of it', async () => {
    const hash = '8c362802a7223416a53b38bd4752e278';
    const mirror = makeObject({
      uid: 'mirror-uid',
      metadata: { uid: 'mirror-uid', annotations: { 'kubernetes.io/config.mirror': hash } },
    });
    const { store, source, control } = makeWorld();
    control.addPod({ namespace: 'shop', name: 'web-0', uid: hash, containers: [{ k8sName: 'app' }] });
    source.put(mirror);
    source.comeBack();
    await store.start();
    const pod = store.getPodOrThrow('shop', 'web-0');
    expect(pod).toMatchObject({ uid: hash, diagnostics: [] });
    expect(pod.all).toHaveLength(2);
    const events = record(store);
    await until(() => events.length === 3);
    source.comeBack('replace', 'kubelet');
    expect(store.status().podSource).toMatchObject({ backend: 'kubelet', connections: 2 });
    expect(store.getPod('shop', 'web-0')).toBe(pod);
    expect(events).toHaveLength(3);
  });

  test('deleted and made again under its name is a removal and an addition', async () => {
    const { store, source, control, pod } = await startWithPod();
    const events = record(store);
    await until(() => events.length === 3);
    events.length = 0;
    const again = '22222222-2222-4222-8222-222222222222';
    source.goAway();
    source.remove(webUid);
    source.put(makeObject({ uid: again, phase: 'Pending', status: { phase: 'Pending' } }));
    source.comeBack();
    // The runtime still has the old one's containers; the name means the new one.
    expect(store.getPodOrThrow('shop', 'web-0').uid).toBe(again);
    expect(codes(store.getPodByUid(webUid))).toEqual(['not-in-source']);
    for (const id of [pod.containers.app as string, pod.sandboxId]) control.removeContainer(id);
    await until(() => store.getAllPods().length === 1);
    expect(
      events.filter(({ type }) => /pod-(added|removed)/.test(type)).map((event) => 'pod' in event && event.pod.uid),
    ).toEqual([again, webUid]);
  });

  test('that the API has forgotten keeps its roles while its containers live, and goes with them', async () => {
    const { store, source, control, pod } = await startWithPod({
      spec: { containers: [{ name: 'app' }, { name: 'other' }], initContainers: [{ name: 'setup' }] },
    });
    source.remove(webUid);
    const forgotten = store.getPodOrThrow('shop', 'web-0');
    expect(codes(forgotten)).toEqual(['not-in-source']);
    expect(forgotten.object?.spec?.initContainers).toHaveLength(1);
    control.addContainer({
      status: 'running',
      kubernetes: {
        kind: 'container',
        podUid: webUid,
        namespace: 'shop',
        podName: 'web-0',
        containerName: 'setup',
        sandboxId: pod.sandboxId,
        trust: 'engine',
      },
    });
    await until(() => store.getPod('shop', 'web-0')?.all.length === 3);
    expect(rolesOf(store.getPod('shop', 'web-0'))).toEqual([' sandbox', 'app biz', 'setup init']);
    for (const { id } of store.getPodOrThrow('shop', 'web-0').all) control.stopContainer(id);
    // Ended and forgotten, it is a finished pod, whatever phase the API told last.
    await until(() => store.getAllPods().length === 0);
    for (const id of control.containerIds()) control.removeContainer(id);
    await until(() => store.getAllContainers({ withoutPod: true }).length === 0);
  });

  test('whose containers are there before its object is shown at once, from their marks', async () => {
    const { store, source, control } = makeWorld();
    source.comeBack();
    await store.start();
    control.addPod({ namespace: 'shop', name: 'web-0', uid: webUid, containers: [{ k8sName: 'app' }] });
    await until(() => store.getPod('shop', 'web-0')?.all.length === 2);
    expect(codes(store.getPod('shop', 'web-0'))).toEqual(['not-in-source']);
    expect(store.getPod('shop', 'web-0')?.object).toBeUndefined();
    source.put(makeObject());
    expect(store.getPod('shop', 'web-0')).toMatchObject({ object: { spec: {} }, ip: '10.0.0.7', diagnostics: [] });
    expect(source.hints).toBeGreaterThan(0);
  });

  test('that has finished is shown only when asked for', async () => {
    const { store, source } = await startWithPod();
    source.put(makeObject({ phase: 'Succeeded', status: { phase: 'Succeeded' } }));
    expect(store.getAllPods()).toEqual([]);
    const all = await startWithPod({ phase: 'Failed', status: { phase: 'Failed' } }, { trackFinishedPods: true });
    expect(all.store.getPodOrThrow('shop', 'web-0').phase).toBe('Failed');
  });

  test('of another node is left out when the store is told its own', async () => {
    const { store, source } = await startWithPod({}, { nodeName: 'node-1' });
    source.put(makeObject({ name: 'far', uid: 'far-uid', spec: { nodeName: 'node-2' } }));
    expect(store.getAllPods().map(({ name }) => name)).toEqual(['web-0']);
  });
});

describe('trust', () => {
  const marks = {
    kind: 'container',
    podUid: webUid,
    namespace: 'shop',
    podName: 'web-0',
    containerName: 'app',
    trust: 'labels',
  } as const;

  test.each([
    ['another name', { podName: 'other' }, 'calls the pod of that uid shop/web-0'],
    ['another namespace', { namespace: 'bank' }, 'calls the pod of that uid shop/web-0'],
    ['a pod that the source does not know', { podUid: 'unheard-of' }, 'knows no such pod'],
  ])('labels that claim %s never override the source', async (_what, lie, why) => {
    const { store, control } = await startWithPod();
    const id = control.addContainer({ status: 'running', kubernetes: { ...marks, ...lie } });
    await until(() => store.getContainerByCid(id)?.state.status === 'running');
    expect(store.getContainerByCid(id)?.podUid).toBeUndefined();
    expect(store.getAllPods()).toHaveLength(1);
    expect(store.explain(id).reasons.join(' ')).toContain(why);
  });

  test('labels count for a pod that the source tells of, unless its containers are another engine’s', async () => {
    const { store, source, control } = makeWorld();
    source.put(makeObject());
    source.comeBack();
    await store.start();
    const id = control.addContainer({ status: 'running', kubernetes: marks });
    await until(() => store.getPod('shop', 'web-0')?.biz[0]?.id === id);
    source.put(makeObject({ status: { containerStatuses: [{ name: 'app', containerID: 'elsewhere://1234' }] } }));
    expect(store.getContainerByCid(id)?.podUid).toBeUndefined();
    expect(codes(store.getPod('shop', 'web-0'))).toContain('untrusted-marks');
    source.put(makeObject({ status: { containerStatuses: [{ name: 'app', containerID: `memory://${id}` }] } }));
    expect(store.getContainerByCid(id)?.podUid).toBe(webUid);
  });

  test('while the source is away, labels are better than blindness', async () => {
    const { store, source, control } = await startWithPod();
    source.goAway();
    expect(store.status()).toMatchObject({
      ready: false,
      podSource: { state: 'stale', error: { code: 'UNAVAILABLE' } },
    });
    const id = control.addContainer({ status: 'running', kubernetes: { ...marks, podUid: 'new', podName: 'new' } });
    await until(() => store.getPod('shop', 'new') !== undefined);
    source.comeBack();
    expect(store.getPod('shop', 'new')).toBeUndefined();
    expect(store.getContainerByCid(id)?.podUid).toBeUndefined();
  });

  test('a container without marks joins the pod whose status names its id, by the engine’s scheme', async () => {
    const { store, source, control } = await startWithPod();
    const id = control.addContainer({ status: 'running' });
    const foreign = control.addContainer({ status: 'running' });
    await until(() => store.getContainerByCid(foreign)?.state.status === 'running');
    source.put(
      makeObject({
        status: {
          containerStatuses: [{ name: 'app', containerID: `memory://${id}` }],
          ephemeralContainerStatuses: [{ name: 'debugger', containerID: `elsewhere://${foreign}` }],
        },
      }),
    );
    expect(store.getContainerByCid(id)).toMatchObject({ podUid: webUid, k8sName: 'app', role: 'biz' });
    expect(store.getContainerByCid(foreign)?.podUid).toBeUndefined();
    source.put(makeObject());
    expect(store.getContainerByCid(id)?.podUid).toBeUndefined();
  });

  test.each([
    ['fit', {}, 'web-0', []],
    ['give another name than', { podName: 'other' }, undefined, ['untrusted-marks']],
  ])(
    'labels that %s a pod take no container out of the forgotten pod whose status named it',
    async (_what, lie, podForNewcomer, codesForNewcomer) => {
      const { store, source, control, definition } = await startWithPod();
      const id = control.addContainer({ status: 'running', kubernetes: { ...marks, ...lie } });
      await until(() => store.getContainerByCid(id)?.state.status === 'running');
      const containerStatuses = [{ name: 'app', containerID: `memory://${id}` }];
      source.put(makeObject({ name: 'web-1', uid: 'owner', status: { containerStatuses } }));
      expect(store.getContainerByCid(id)?.podUid).toBe('owner');
      source.remove('owner');
      expect(store.getContainerByCid(id)?.podUid).toBe('owner');
      expect(codes(store.getPod('shop', 'web-1'))).toContain('not-in-source');
      // It was not turned away: it has a pod.
      expect(codes(store.getPod('shop', 'web-0'))).toEqual([]);

      const current = createScriptedPodSource();
      current.put(...source.pods.values());
      current.comeBack();
      const newcomer = createMetaStore({
        engines: [definition],
        pods: current.source,
        enrichment: false,
        environment: {},
      });
      stores.push(newcomer);
      await newcomer.start({ requireReady: true });
      expect(newcomer.getPodOf(newcomer.getContainerByCid(id) ?? {})?.name).toBe(podForNewcomer);
      expect(codes(newcomer.getPod('shop', 'web-0'))).toEqual(codesForNewcomer);
    },
  );
});

describe('a source that is away', () => {
  test('at the start does not hold up the store, unless everything is required', async () => {
    const { store, control } = makeWorld();
    control.addPod({ namespace: 'shop', name: 'web-0', containers: [{ k8sName: 'app' }] });
    await store.start();
    expect(store.getPodOrThrow('shop', 'web-0').diagnostics).toEqual([]);
    expect(store.status()).toMatchObject({ ready: false, podSource: { state: 'stale' } });
    const strict = makeWorld();
    await expect(strict.store.start({ requireReady: true })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(strict.source.isOpen).toBe(false);
  });

  test('later leaves what it told; what happened meanwhile is told once, as the difference', async () => {
    const { store, source } = await startWithPod();
    const before = store.getPodOrThrow('shop', 'web-0');
    source.goAway();
    expect(store.getPod('shop', 'web-0')).toBe(before);
    const events = record(store);
    await until(() => events.length === 3);
    events.length = 0;
    source.put(makeObject({ metadata: { labels: { version: '1' } } }));
    source.put(makeObject({ metadata: { labels: { version: '2' } } }));
    source.put(makeObject({ name: 'short-lived', uid: 'short-lived' }));
    source.remove('short-lived');
    source.comeBack();
    await until(() => events.length > 0);
    expect(events.map(({ type }) => type)).toEqual(['pod-changed']);
    expect(store.getPod('shop', 'web-0')?.labels).toEqual({ version: '2' });
  });

  test.each<[string, PodSource['open']]>([
    ['cannot work here', () => ({ ready: Promise.reject(new Error('never')), [Symbol.asyncDispose]: async () => {} })],
    [
      'throws',
      () => {
        throw new Error('never');
      },
    ],
  ])('a source that %s leaves the containers, and the status says why', async (_what, open) => {
    const source: PodSource = { ...labelPods(), name: 'broken', ...(open === undefined ? {} : { open }) };
    const { store, control } = makeWorld({}, { pods: source });
    control.addPod({ namespace: 'shop', name: 'web-0' });
    await store.start();
    expect(store.getAllPods()).toHaveLength(1);
    expect(store.status().podSource).toMatchObject({
      state: 'stale',
      error: { message: expect.stringContaining('never') },
    });
  });

  test('a source that says nothing at all holds up the store for 5 seconds', async () => {
    const clock = createFakeClock();
    const silent: PodSource = {
      ...labelPods(),
      name: 'silent',
      open: () => ({ ready: new Promise(() => {}), [Symbol.asyncDispose]: async () => {} }),
    };
    const { store, control } = makeWorld({}, { pods: silent, clock });
    control.addPod({ namespace: 'shop', name: 'web-0' });
    const started = store.start();
    await until(() => store.status().engines[0]?.state === 'live');
    expect(store.getAllPods()).toEqual([]);
    await clock.advance(5_000);
    await started;
    expect(store.getAllPods()).toHaveLength(1);
    await store.close();
    expect(clock.timers()).toBe(0);
  });
});

describe('the grace period', () => {
  test('look-ups by id answer for what is gone, and say since when', async () => {
    const clock = createFakeClock();
    const { store, source, control, pod } = await startWithPod({}, { clock });
    const id = pod.containers.app as string;
    store.attributes(id)?.set('kept', true);
    control.removeContainer(id);
    await until(() => store.getAllContainers().length === 1);
    const deletedAt = new Date(clock.now()).toISOString();
    expect(store.getContainerByCid(`memory://${id}`)).toMatchObject({ id, deletedAt, role: 'biz' });
    expect(store.getContainerByCid(id.slice(0, 12))).toBe(store.getContainerByCid(id));
    expect(store.getContainersByName('app')).toEqual([]);
    expect(store.explain(id)).toMatchObject({ outcome: 'deleted', container: { id } });
    expect(store.attributes(id)?.get('kept')).toBe(true);
    await expect(store.exec(id, { cmd: ['true'] })).rejects.toMatchObject({ code: 'NOT_FOUND' });

    await clock.advance(10_000);
    source.remove(webUid);
    control.removeContainer(pod.sandboxId);
    await until(() => store.getAllPods().length === 0);
    expect(store.getPodOf(store.getContainerByCid(id) as Container)).toMatchObject({ uid: webUid });
    expect(store.getPodByUid(webUid)?.deletedAt).toBeDefined();
    expect(store.getPodBySandboxId(pod.sandboxId)?.uid).toBe(webUid);
    expect(store.getPod('shop', 'web-0')).toBeUndefined();
    expect(store.getPodsByIp('10.0.0.7')).toEqual([]);

    await clock.advance(5_000);
    expect(store.getContainerByCid(id)).toBeUndefined();
    expect(store.attributes(id)).toBeUndefined();
    expect(store.getPodByUid(webUid)?.deletedAt).toBeDefined();
    await clock.advance(10_000);
    expect(store.getPodByUid(webUid)).toBeUndefined();
    await store.close();
    expect(clock.timers()).toBe(0);
  });

  test('what comes back is no longer deleted, and its first departure does not end its second', async () => {
    const clock = createFakeClock();
    const { store, control, pod } = await startWithPod({}, { clock });
    const id = pod.containers.app as string;
    const again = (): void => {
      control.addContainer({ id, status: 'running' });
    };
    control.removeContainer(id);
    await until(() => store.getContainerByCid(id)?.deletedAt !== undefined);
    await clock.advance(10_000);
    again();
    await until(() => store.getContainerByCid(id)?.deletedAt === undefined);
    control.removeContainer(id);
    await until(() => store.getContainerByCid(id)?.deletedAt !== undefined);
    await clock.advance(10_000);
    expect(store.getContainerByCid(id)).toBeDefined();
    await clock.advance(5_000);
    expect(store.getContainerByCid(id)).toBeUndefined();
  });
});

describe('look-ups', () => {
  test('by address: pods on the node’s network only when asked for, finished ones never', async () => {
    const { store, source } = await startWithPod({ status: { podIPs: [{ ip: '10.0.0.7' }, { ip: 'fd00::7' }] } });
    source.put(
      makeObject({ name: 'agent', uid: 'agent', spec: { hostNetwork: true }, status: { podIP: '192.168.0.1' } }),
      makeObject({ name: 'proxy', uid: 'proxy', spec: { hostNetwork: true }, status: { podIP: '192.168.0.1' } }),
    );
    const names = (pods: readonly Pod[]): string[] => pods.map(({ name }) => name);
    expect(names(store.getPodsByIp('10.0.0.7'))).toEqual(['web-0']);
    expect(names(store.getPodsByIp('::ffff:10.0.0.7'))).toEqual(['web-0']);
    expect(names(store.getPodsByIp('FD00::7'))).toEqual(['web-0']);
    expect(store.getPodsByIp('192.168.0.1')).toEqual([]);
    expect(names(store.getPodsByIp('192.168.0.1', { hostNetwork: true }))).toEqual(['agent', 'proxy']);
    const finished = await startWithPod({ phase: 'Failed' }, { trackFinishedPods: true });
    expect(finished.store.getPodsByIp('10.0.0.7')).toEqual([]);
  });

  test('waitFor gives what is there at once, and what comes as soon as it does', async () => {
    const { store, source, control, pod } = await startWithPod();
    const id = pod.containers.app as string;
    expect(await store.waitFor({ cid: id })).toBe(store.getContainerByCid(id));
    expect(await store.waitFor({ pod: { namespace: 'shop', name: 'web-0' } })).toMatchObject({ uid: webUid });
    const later = store.waitFor({ podUid: 'later' }, { timeoutMs: 5_000 });
    const laterId = 'ab'.repeat(32);
    const container = store.waitFor({ cid: `memory://${laterId}` });
    source.put(makeObject({ name: 'later', uid: 'later' }));
    control.addContainer({ id: laterId });
    expect((await later).name).toBe('later');
    expect((await container).id).toBe(laterId);
  });

  test('waitFor gives up when its time is over, when it is told to, and when the store is closed', async () => {
    const clock = createFakeClock();
    const { store } = await startWithPod({}, { clock });
    const timers = clock.timers();
    const late = store.waitFor({ cid: 'cdcdcdcdcdcd' }, { timeoutMs: 2_000 });
    const latePod = store.waitFor({ pod: { namespace: 'shop', name: 'never' } }, { timeoutMs: 2_000 });
    const controller = new AbortController();
    const aborted = store.waitFor({ pid: 999_999_999 }, { signal: controller.signal });
    const closed = store.waitFor({ podUid: 'never' });
    const outcomes = Promise.allSettled([late, latePod, aborted, closed]);
    await clock.advance(2_000);
    controller.abort();
    expect(clock.timers()).toBe(timers);
    await store.close();
    expect((await outcomes).map((outcome) => outcome.status === 'rejected' && outcome.reason.code)).toEqual([
      'NOT_FOUND',
      'NO_POD',
      'ABORTED',
      'CLOSED',
    ]);
    await expect(store.waitFor({ podUid: 'never' })).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(store.waitFor({ podUid: 'x' }, { signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });

  test('explain says which engine, which pod and why, which role and why', async () => {
    const { store, control, pod } = await startWithPod();
    const id = pod.containers.app as string;
    const { reasons, ...rest } = store.explain(id.slice(0, 12));
    expect(rest).toMatchObject({
      outcome: 'known',
      container: { id },
      engine: { state: 'live' },
      podSource: { state: 'live' },
    });
    expect(reasons).toEqual([
      'Engine memory:1 is live.',
      `It belongs to pod shop/web-0 (${webUid}): the engine's own marks say so.`,
      "The pod's object is from source scripted (api-server), which is live.",
      "Its role is biz: the only container that the pod's spec has.",
    ]);
    control.goAway();
    await until(() => store.status().engines[0]?.state === 'stale');
    expect(store.explain(id).reasons[0]).toContain('Engine memory:1 is stale');
  });

  test('explain says what may be wrong with an id that nothing fits', async () => {
    const { store, control } = await startWithPod();
    expect(store.explain('crio://abc')).toMatchObject({
      outcome: 'unknown',
      reasons: [
        "'abc' is too short: give at least 6 characters.",
        'No engine of this store speaks the scheme crio://.',
        'Engine memory:1 is live. It shows no such container.',
      ],
    });
    control.addContainer({ id: `${'f'.repeat(20)}1` });
    control.addContainer({ id: `${'f'.repeat(20)}2` });
    await until(() => store.getAllContainers({ withoutPod: true }).length === 4);
    expect(store.explain('f'.repeat(12)).outcome).toBe('ambiguous');
    const fresh = createMetaStore({ environment: {} });
    expect(fresh.explain('abcdefabcdef').reasons).toEqual([
      'The store is new: it reads nothing.',
      'The store has found no engine.',
    ]);
  });
});
