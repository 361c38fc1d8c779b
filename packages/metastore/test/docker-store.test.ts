import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Container, type ContainerEngine, connectEngine, mainBizOrThrow } from '@crikit/core';
import { docker } from '@crikit/engine-docker';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import {
  createDockerDaemon,
  createKubeletStylePod,
  dockerRequest,
  ensureImages,
  removeContainer,
  runContainer,
} from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createMetaStore, labelPods, type MetaStore, type MetaStoreEvent } from '../src/index.js';
import { surviveOutages } from './outage-rounds.js';

const outages = process.env.CRIKIT_LONG_TESTS === undefined ? 2 : 10;

const stores: MetaStore[] = [];
const cleanUps: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function startStore(options: Parameters<typeof createMetaStore>[0]): Promise<MetaStore> {
  const store = createMetaStore({ enrichment: false, ...options });
  stores.push(store);
  await store.start({ requireReady: true });
  return store;
}

/** Reads events until one fits. */
async function waitForEvent(
  events: AsyncIterable<MetaStoreEvent>,
  fits: (event: MetaStoreEvent) => boolean,
): Promise<MetaStoreEvent> {
  for await (const event of events) if (fits(event)) return event;
  throw new Error('the events ended');
}

function isOf(event: MetaStoreEvent, id: string, status?: string): boolean {
  return (
    'container' in event &&
    event.container.id === id &&
    (status === undefined || event.container.state.status === status)
  );
}

describeWithDocker('a store on dockerd', ({ socketPath }) => {
  const namespace = `store-${randomUUID().slice(0, 8)}`;

  async function makePod(name: string) {
    const pod = await createKubeletStylePod(socketPath, {
      namespace,
      name,
      labels: { app: 'web' },
      annotations: { note: 'kept' },
      containers: [{ name: 'main', env: { GREETING: 'hello' } }, { name: 'log-sidecar' }],
    });
    cleanUps.push(() => pod.remove());
    return pod;
  }

  test('shows the pods that a kubelet made, with roles, metadata and host paths', async () => {
    const made = await makePod('web-0');
    const store = await startStore({ engines: [docker({ socketPath })], hostRoot: '/hostfs' });
    const pod = store.getPodOrThrow(namespace, 'web-0');
    expect(pod).toMatchObject({
      uid: made.uid,
      phase: 'Running',
      app: 'web',
      labels: { app: 'web' },
      annotations: { note: 'kept' },
      diagnostics: [],
    });
    expect(pod.sandbox?.id).toBe(made.sandboxId);
    expect(pod.all.map(({ role, k8sName }) => [role, k8sName])).toEqual([
      ['sandbox', undefined],
      ['sidecar', 'log-sidecar'],
      ['biz', 'main'],
    ]);
    const biz = mainBizOrThrow(pod);
    expect(biz).toMatchObject({ id: made.containers.main, env: { GREETING: 'hello' }, runtime: 'runc' });
    expect(biz.state.pid).toBeGreaterThan(0);
    expect(biz.networkMode).toBe(pod.sandbox?.networkMode);
    expect(biz.logPath).toMatch(/^\/hostfs\//);
    expect(biz.mergedDir).toMatch(/^\/hostfs\//);
    expect(store.getContainerByCid(`docker://${biz.shortId}`)).toBe(biz);
    expect(store.getPodBySandboxId(made.sandboxId)).toBe(pod);
  });

  test('runs commands and copies both ways by whatever names a container', async () => {
    await makePod('web-1');
    const store = await startStore({ engines: [docker({ socketPath })] });
    const biz = mainBizOrThrow(store.getPodOrThrow(namespace, 'web-1'));
    const result = await store.exec(biz.shortId, { cmd: ['sh', '-c', 'echo $GREETING; exit 3'], timeoutMs: 20_000 });
    expect(result).toMatchObject({ exitCode: 3 });
    expect(result.stdout.toString()).toBe('hello\n');

    const directory = await mkdtemp(join(tmpdir(), 'crikit-store-'));
    cleanUps.push(() => rm(directory, { recursive: true }));
    await writeFile(join(directory, 'in'), 'content');
    await store.copyToContainer(biz, join(directory, 'in'), '/tmp/copied');
    await store.copyFromContainer(`docker://${biz.id}`, '/tmp/copied', join(directory, 'out'));
    expect(await readFile(join(directory, 'out'), 'utf8')).toBe('content');
  });

  test('follows a container from its creation to its removal, one inspect a change and no list', async () => {
    const engine = await connectEngine(docker({ socketPath }));
    cleanUps.push(() => engine.close());
    const calls: string[] = [];
    const counted: ContainerEngine = {
      ...engine,
      listAllContainers: (options) => {
        calls.push('list');
        return engine.listAllContainers(options);
      },
      getContainerDetails: (of, options) => {
        calls.push('details');
        return engine.getContainerDetails(of, options);
      },
    };
    const store = await startStore({ engines: [counted], pods: labelPods({ unlabelled: 'pod-per-container' }) });
    const events = store.events({ signal: AbortSignal.timeout(30_000) });
    const { id, name } = await runContainer(socketPath, { name: `${namespace}-followed` });
    cleanUps.push(() => removeContainer(socketPath, id));
    await waitForEvent(events, (event) => isOf(event, id, 'running'));
    expect(store.getPodOrThrow('', name)).toMatchObject({ uid: id, phase: 'Running' });

    calls.length = 0;
    const again = store.events({ signal: AbortSignal.timeout(30_000) });
    await dockerRequest(socketPath, 'POST', `/containers/${id}/pause`);
    const paused = await waitForEvent(again, (event) => isOf(event, id, 'paused'));
    expect(paused).toMatchObject({ type: 'container-changed', engineTimeMs: expect.any(Number) });
    expect(calls).toEqual(['details']);

    const last = store.events({ signal: AbortSignal.timeout(30_000) });
    await removeContainer(socketPath, id);
    await waitForEvent(last, (event) => event.type === 'container-removed' && event.container.id === id);
    expect(store.getAllContainers({ withoutPod: true }).map((container) => container.id)).not.toContain(id);
    expect(store.getContainerByCid(id)?.deletedAt).toBeDefined();
    expect(store.getPod('', name)).toBeUndefined();
    expect(calls).not.toContain('list');
  });

  test('inspects nothing again in a reconcile when nothing changed', async () => {
    await makePod('web-2');
    const engine = await connectEngine(docker({ socketPath }));
    cleanUps.push(() => engine.close());
    let lists = 0;
    const inspected = new Set<string>();
    const counted: ContainerEngine = {
      ...engine,
      listAllContainers: (options) => {
        lists += 1;
        return engine.listAllContainers(options);
      },
      getContainerDetails: (of, options) => {
        for (const target of of) inspected.add(idOf(target));
        return engine.getContainerDetails(of, options);
      },
    };
    const store = await startStore({ engines: [counted], reconcileIntervalMs: 100 });
    // The engine may repeat the events of a moment ago, which are looked up; only then is it quiet.
    await vi.waitFor(() => expect(lists).toBeGreaterThanOrEqual(2), { timeout: 10_000, interval: 20 });
    const pod = store.getPodOrThrow(namespace, 'web-2');
    inspected.clear();
    const before = lists;
    await vi.waitFor(() => expect(lists).toBeGreaterThanOrEqual(before + 4), { timeout: 10_000, interval: 20 });
    for (const { id } of pod.all) expect(inspected).not.toContain(id);
    expect(store.getPod(namespace, 'web-2')).toBe(pod);
  });

  test('leaves nothing behind: a process that closed its store ends by itself', async () => {
    const program = `
      import { docker } from '@crikit/engine-docker';
      import { createMetaStore } from '@crikit/metastore';
      const store = createMetaStore({ engines: [docker({ socketPath: ${JSON.stringify(socketPath)} })] });
      await store.start({ requireReady: true });
      void (async () => { for await (const event of store.events()); })();
      await store.close();
      process.stdout.write('closed ' + process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length);`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      cwd: join(import.meta.dirname, '..'),
      timeout: 20_000,
    });
    expect(stdout).toBe('closed 0');
  });
});

describeWithDocker('a store whose dockerd is killed', () => {
  const daemon = createDockerDaemon({ liveRestore: true });

  beforeAll(async () => {
    await daemon.start();
    await ensureImages(daemon);
  });

  afterAll(async () => {
    await daemon.destroy();
  });

  test('keeps its state, marked stale, and tells the net difference once when the daemon is back', async () => {
    const endpoint = daemon.endpoint;
    const dying = await createKubeletStylePod(endpoint, {
      namespace: 'shop',
      name: 'web-0',
      containers: [{ name: 'main' }],
    });
    await createKubeletStylePod(endpoint, { namespace: 'shop', name: 'web-1', containers: [{ name: 'main' }] });
    const store = await startStore({ engines: [docker({ socketPath: daemon.socketPath })] });
    const quiet = store.getPodOrThrow('shop', 'web-1');
    const victim = mainBizOrThrow(store.getPodOrThrow('shop', 'web-0'));
    const events: MetaStoreEvent[] = [];
    const reading = (async () => {
      for await (const event of store.events()) events.push(event);
    })();
    await vi.waitFor(() => expect(events).toHaveLength(6));
    events.length = 0;

    await daemon.kill();
    await vi.waitFor(() => expect(store.status().engines[0]?.state).toBe('stale'), { timeout: 5_000, interval: 10 });
    expect(store.status().ready).toBe(false);
    expect(store.getAllPods()).toHaveLength(2);
    expect(store.getContainerByCid(victim.id)).toBe(victim);
    await expect(store.exec(victim, { cmd: ['true'] })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    process.kill(victim.state.pid, 'SIGKILL');

    await daemon.start();
    const returnedMs = performance.now();
    await vi.waitFor(
      () => {
        expect(store.status().engines[0]?.state).toBe('live');
        expect(store.getContainerByCid(victim.id)?.state.status).toBe('exited');
      },
      { timeout: 10_000, interval: 10 },
    );
    expect(performance.now() - returnedMs).toBeLessThan(3_000);
    expect(store.status().engines[0]).toMatchObject({ connections: 2, containers: 4 });

    // Whatever the engine still had to say about the outage comes before what happens now.
    const after = await runContainer(endpoint, { name: 'afterwards' });
    await vi.waitFor(() => expect(store.getContainerByCid(after.id)?.state.status).toBe('running'), {
      timeout: 10_000,
    });
    await store.close();
    await reading;
    const aboutOutage = events.filter((event) => !isOf(event, after.id));
    expect(aboutOutage.map((event) => event.type)).toEqual(['container-changed', 'pod-changed']);
    expect(aboutOutage[0]).toMatchObject({ container: { id: dying.containers.main, state: { status: 'exited' } } });
    expect(store.getPod('shop', 'web-1')).toBe(quiet);
  });

  test(`survives ${outages} deaths of its dockerd while containers come and go`, {
    timeout: outages * 60_000,
  }, async () => {
    const { endpoint, socketPath } = daemon;
    const store = await startStore({ engines: [docker({ socketPath })], trackFinishedPods: true });
    await surviveOutages({
      rounds: outages,
      store,
      makeVictim: async (name) => {
        const pod = await createKubeletStylePod(endpoint, { namespace: 'shop', name, containers: [{ name: 'main' }] });
        return { containerId: pod.containers.main as string };
      },
      churn: async (number) => {
        const { id } = await runContainer(endpoint, { name: `churn-${number}` });
        await removeContainer(endpoint, id);
      },
      kill: () => daemon.kill(),
      start: () => daemon.start(),
      truth: async () => {
        const listed: { Id: string; State: string }[] = await dockerRequest(endpoint, 'GET', '/containers/json?all=1');
        return new Map(listed.map(({ Id, State }) => [Id, State === 'running']));
      },
    });
  });

  test('is taken up when it starts later than the store', async () => {
    await daemon.kill();
    const store = createMetaStore({ engines: [docker({ socketPath: daemon.socketPath })] });
    stores.push(store);
    await store.start();
    expect(store.status()).toMatchObject({ ready: false, engines: [] });
    expect(store.status().reports[0]?.attempts.map(({ endpoint }) => endpoint)).toContain(daemon.socketPath);
    await daemon.start();
    await vi.waitFor(() => expect(store.status().ready).toBe(true), { timeout: 10_000, interval: 20 });
    expect(store.getPod('shop', 'web-1')).toBeDefined();
  });
});

function idOf(target: string | Pick<Container, 'id'> | { readonly reference: { readonly id: string } }): string {
  if (typeof target === 'string') return target;
  return 'reference' in target ? target.reference.id : target.id;
}
