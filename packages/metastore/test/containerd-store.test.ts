/** Real pods of containerd's CRI, and an API server that tells of them as a cluster's would. */
import { rm } from 'node:fs/promises';
import type { KubernetesPod, Pod } from '@crikit/core';
import { createFakeApiServer, type FakeApiServer } from '@crikit/engine-conformance';
import { containerd } from '@crikit/engine-containerd';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type CriPod, createCriPod } from '../../../tools/lab/cri-pods.mjs';
import {
  createContainerdDaemon,
  ensureContainerdImages,
  removeContainerdContainer,
  runContainerdContainer,
} from '../../../tools/lab/lab.mjs';
import { describeWithEngine } from '../../../tools/test-support/lab.js';
import { apiServerPods, createMetaStore, type MetaStore, type MetaStoreEvent } from '../src/index.js';
import { surviveOutages } from './outage-rounds.js';

const outages = process.env.CRIKIT_LONG_TESTS === undefined ? 2 : 10;
const cleanUps: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 10 });

interface ObjectOptions {
  readonly name: string;
  readonly uid: string;
  readonly spec: NonNullable<KubernetesPod['spec']>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly phase?: string;
  /** The real containers, by name. */
  readonly containers?: CriPod['containers'];
}

/** The object as an API server has it once the kubelet has reported. */
function describePod({ name, uid, spec, annotations = {}, phase = 'Running', containers = {} }: ObjectOptions) {
  const statusesOf = (list: readonly { readonly name: string }[] = []) =>
    list.flatMap((container) => {
      const id = containers[container.name];
      return id === undefined ? [] : [{ name: container.name, containerID: `containerd://${id}`, ready: true }];
    });
  return {
    metadata: { name, namespace: 'shop', uid, annotations, labels: { app: 'web' } },
    spec: { nodeName: 'lab-node', hostNetwork: true, ...spec },
    status: {
      phase,
      podIP: '192.168.0.1',
      hostIP: '192.168.0.1',
      containerStatuses: statusesOf(spec.containers),
      initContainerStatuses: statusesOf(spec.initContainers),
      ephemeralContainerStatuses: statusesOf(spec.ephemeralContainers),
    },
  };
}

const namesOf = (
  pod: Pod | undefined,
  member: 'biz' | 'sidecar' | 'initContainers' | 'ephemeralContainers',
): string[] => (pod?.[member] ?? []).map(({ k8sName }) => k8sName ?? '');

describeWithEngine('containerd', 'a store on containerd and an API server', (lab) => {
  let server: FakeApiServer;
  let store: MetaStore;

  async function makePod(name: string, names: readonly string[], uid?: string): Promise<CriPod> {
    const pod = await createCriPod(lab, {
      namespace: 'shop',
      name,
      ...(uid === undefined ? {} : { uid }),
      containers: names.map((each) => ({ name: each })),
    });
    let removal: Promise<void> | undefined;
    const remove = (): Promise<void> => {
      removal ??= pod.remove();
      return removal;
    };
    cleanUps.push(remove);
    return { ...pod, remove };
  }

  async function startStore(): Promise<void> {
    server = await createFakeApiServer();
    cleanUps.push(async () => server[Symbol.asyncDispose]());
    store = createMetaStore({
      engines: [containerd({ address: lab.socketPath })],
      pods: apiServerPods({
        name: 'fake',
        connect: async () => ({ server: server.url, nodeName: 'lab-node', credentials: async () => ({}) }),
      }),
      enrichment: false,
      environment: {},
    });
    cleanUps.push(() => store.close());
    await store.start({ requireReady: true });
  }

  test('a pod of two containers, and one with a native sidecar, have their roles from the spec', async () => {
    await startStore();
    const two = await makePod('two', ['app', 'sidecar-proxy']);
    const native = await makePod('native', ['setup', 'mesh', 'app']);
    server.put(
      'pods',
      describePod({ ...two, name: 'two', spec: { containers: [{ name: 'app' }, { name: 'sidecar-proxy' }] } }),
    );
    server.put(
      'pods',
      describePod({
        ...native,
        name: 'native',
        spec: {
          containers: [{ name: 'app' }],
          initContainers: [{ name: 'setup' }, { name: 'mesh', restartPolicy: 'Always' }],
        },
      }),
    );
    await until(() => {
      expect(store.getPodByUid(two.uid)?.all).toHaveLength(3);
      expect(store.getPodByUid(native.uid)?.all).toHaveLength(4);
      expect(store.getPodByUid(native.uid)?.object).toBeDefined();
      expect(store.getPodByUid(two.uid)?.object).toBeDefined();
    });
    const shown = store.getPodOrThrow('shop', 'two');
    expect(shown).toMatchObject({ uid: two.uid, phase: 'Running', app: 'web', diagnostics: [] });
    expect(shown.sandbox?.id).toBe(two.sandboxId);
    expect([namesOf(shown, 'biz'), namesOf(shown, 'sidecar')]).toEqual([['app'], ['sidecar-proxy']]);
    const other = store.getPodOrThrow('shop', 'native');
    expect(namesOf(other, 'biz')).toEqual(['app']);
    expect(namesOf(other, 'sidecar')).toEqual(['mesh']);
    expect(namesOf(other, 'initContainers')).toEqual(['setup']);
    const app = store.getContainerByCid(`containerd://${native.containers.app}`);
    expect(app?.state.pid).toBeGreaterThan(0);
    expect(store.getContainerByPid(app?.state.pid ?? 0)).toBe(app);
    expect(store.getPodsByIp('192.168.0.1')).toEqual([]);
    expect(store.getPodsByIp('192.168.0.1', { hostNetwork: true })).toHaveLength(2);
    const { stdout } = await store.exec(app as NonNullable<typeof app>, { cmd: ['echo', 'hello'], timeoutMs: 20_000 });
    expect(stdout.toString()).toBe('hello\n');
  });

  test('a static pod is one with its mirror', async () => {
    await startStore();
    const hash = '8c362802a7223416a53b38bd4752e278';
    const pod = await makePod('static-web-lab-node', ['web'], hash);
    const annotations = {
      'kubernetes.io/config.hash': hash,
      'kubernetes.io/config.mirror': hash,
      'kubernetes.io/config.source': 'file',
    };
    const spec = { containers: [{ name: 'web' }] };
    server.put(
      'pods',
      describePod({
        name: 'static-web-lab-node',
        uid: 'uid-of-the-mirror',
        annotations,
        spec,
        containers: pod.containers,
      }),
    );
    await until(() => {
      expect(store.getPod('shop', 'static-web-lab-node')?.all).toHaveLength(2);
      expect(store.getPod('shop', 'static-web-lab-node')?.object).toBeDefined();
    });
    expect(store.getAllPods().filter(({ name }) => name === 'static-web-lab-node')).toMatchObject([
      { uid: hash, diagnostics: [] },
    ]);
  });

  test('a debug container is ephemeral, before and after the object names it', async () => {
    await startStore();
    const pod = await makePod('debugged', ['app']);
    const spec = { containers: [{ name: 'app' }] };
    server.put('pods', describePod({ ...pod, name: 'debugged', spec }));
    await until(() => expect(store.getPod('shop', 'debugged')?.object).toBeDefined());
    await pod.addContainer({ name: 'debugger' });
    await until(() => expect(namesOf(store.getPod('shop', 'debugged'), 'ephemeralContainers')).toEqual(['debugger']));
    server.put(
      'pods',
      describePod({ ...pod, name: 'debugged', spec: { ...spec, ephemeralContainers: [{ name: 'debugger' }] } }),
    );
    await until(() => expect(store.getPod('shop', 'debugged')?.object?.spec?.ephemeralContainers).toHaveLength(1));
    expect(namesOf(store.getPod('shop', 'debugged'), 'biz')).toEqual(['app']);
    expect(store.explain(pod.containers.debugger ?? '').reasons.join(' ')).toContain('ephemeralContainers');
  });

  test('deleted by force and made again under its name: the name means the new one, and each is told of once', async () => {
    await startStore();
    const events: MetaStoreEvent[] = [];
    void (async () => {
      for await (const event of store.events()) events.push(event);
    })();
    const spec = { containers: [{ name: 'app' }] };
    const first = await makePod('again', ['app']);
    server.put('pods', describePod({ ...first, name: 'again', spec }));
    await until(() => expect(store.getPod('shop', 'again')?.all).toHaveLength(2));
    server.remove('pods', 'again', 'shop');
    const second = await makePod('again', ['app']);
    server.put('pods', describePod({ ...second, name: 'again', spec }));
    await until(() => {
      expect(store.getPod('shop', 'again')?.uid).toBe(second.uid);
      expect(store.getPod('shop', 'again')?.object).toBeDefined();
      expect(store.getPod('shop', 'again')?.all).toHaveLength(2);
    });
    // The runtime has the old one still, as it does for half a minute after a forced deletion.
    expect(store.getPodByUid(first.uid)?.diagnostics.map(({ code }) => code)).toContain('not-in-source');
    await first.remove();
    await until(() => expect(store.getAllPods().map(({ uid }) => uid)).not.toContain(first.uid));
    // Its pod has ended with its process, a moment before the runtime has forgotten it.
    await until(() => expect(store.getContainerByCid(first.containers.app ?? '')?.deletedAt).toBeDefined());
    const lives = events.flatMap((event) =>
      (event.type === 'pod-added' || event.type === 'pod-removed') && event.pod.name === 'again'
        ? [`${event.type} ${event.pod.uid === first.uid ? 'first' : 'second'}`]
        : [],
    );
    expect(lives).toEqual(['pod-added first', 'pod-added second', 'pod-removed first']);
  });
});

describeWithEngine('containerd', 'a store whose containerd is killed', () => {
  const daemon = createContainerdDaemon({ name: 'store' });
  const namespace = 'k8s.io';

  beforeAll(async () => {
    await daemon.start();
    await ensureContainerdImages(daemon);
  });
  afterAll(async () => {
    await daemon.destroy();
  });

  test(`survives ${outages} deaths of it while containers come and go`, { timeout: outages * 60_000 }, async () => {
    const store = createMetaStore({
      engines: [containerd({ address: daemon.socketPath })],
      trackFinishedPods: true,
      enrichment: false,
      environment: {},
    });
    cleanUps.push(() => store.close());
    await store.start({ requireReady: true });
    await surviveOutages({
      rounds: outages,
      store,
      makeVictim: async (name) => {
        const make = () => createCriPod(daemon, { namespace: 'shop', name, containers: [{ name: 'main' }] });
        const pod = await make().catch(async (error: Error) => {
          // Killed between making a snapshot's folder and noting it, containerd finds that folder in its way later.
          const left = /rename \S+ (\S+\/snapshots\/\d+): file exists/.exec(error.message)?.[1];
          if (left === undefined) throw error;
          await rm(left, { recursive: true });
          return make();
        });
        return { containerId: pod.containers.main as string };
      },
      churn: async (number) => {
        const container = { id: `churn-${number}`, namespace };
        await runContainerdContainer(daemon, container);
        await removeContainerdContainer(daemon, container);
      },
      kill: () => daemon.kill(),
      start: () => daemon.start(),
      truth: async () => {
        const tasks = (await daemon.ctr(namespace, 'tasks', 'ls')).split('\n').map((line) => line.split(/\s+/));
        const running = new Set(tasks.filter(([, , status]) => status === 'RUNNING').map(([id]) => id));
        const ids = (await daemon.ctr(namespace, 'containers', 'ls', '-q')).split('\n').filter((id) => id !== '');
        return new Map(ids.map((id) => [id, running.has(id)]));
      },
    });
  });
});
