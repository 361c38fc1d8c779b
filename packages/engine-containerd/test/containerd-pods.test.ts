import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ContainerDetail,
  type ContainerEngine,
  type ContainerSummary,
  type EngineEvent,
  silentLogger,
} from '@crikit/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CriPod, createCriPod } from '../../../tools/lab/cri-pods.mjs';
import { containerd } from '../src/containerd.js';
import { createContainerdClient } from '../src/containerd-client.js';
import { Store, StoreGetRequestSchema, StoreGetResponseSchema } from '../src/generated/sandbox-store_pb.js';
import { Tasks } from '../src/generated/tasks_pb.js';
import {
  connectContainerd,
  createContainerdFixture,
  describeWithContainerds,
  waitUntil,
} from './containerd-fixture.js';

describeWithContainerds('pods on containerd', ({ daemon, state }) => {
  let engine: ContainerEngine;
  let pod: CriPod;
  let shared: string;

  beforeAll(async () => {
    engine = await connectContainerd(daemon.socketPath);
    shared = mkdtempSync(join(tmpdir(), 'crikit-mount-'));
    pod = await createCriPod(state, {
      namespace: 'shop',
      name: 'web-0',
      labels: { app: 'web' },
      containers: [
        {
          name: 'main',
          env: { COLOUR: 'blue' },
          mounts: [
            { source: shared, destination: '/data' },
            { source: shared, destination: '/fixed', readOnly: true },
          ],
        },
        { name: 'waiting', start: false },
      ],
    });
  });
  afterAll(async () => {
    await pod?.remove();
    await engine?.close();
    if (shared !== undefined) rmSync(shared, { recursive: true });
  });

  const detailOf = (id: string): Promise<ContainerDetail> => engine.getContainerDetail(id);
  const summaryOf = async (id: string): Promise<ContainerSummary> => {
    const found = (await engine.listAllContainers()).find(({ reference }) => reference.id === id);
    if (found === undefined) throw new Error(`${id} is not listed`);
    return found;
  };

  test('a sandbox is listed with the pod’s marks, which the engine vouches for', async () => {
    expect(await summaryOf(pod.sandboxId)).toMatchObject({
      reference: { scope: 'k8s.io', id: pod.sandboxId },
      name: `web-0_shop_${pod.uid}_0`,
      labels: { app: 'web' },
      status: 'running',
      kubernetes: { kind: 'sandbox', podUid: pod.uid, namespace: 'shop', podName: 'web-0', trust: 'engine' },
    });
  });

  test('a sandbox that is only in the store of sandboxes is listed too, where there is one', async () => {
    const client = createContainerdClient(daemon.socketPath);
    // Calls that the package itself never makes; their messages have the form of others.
    const form = { ...Store.method.get, input: StoreGetResponseSchema, output: StoreGetResponseSchema };
    const create = { ...form, name: 'Create' } as typeof form;
    const remove = { ...form, name: 'Delete', input: StoreGetRequestSchema } as typeof Store.method.get;
    const options = { namespace: 'k8s.io', timeoutMs: 5_000 };
    const sandboxId = `only-stored-${process.pid}`;
    const config = { metadata: { name: 'vm-0', uid: 'u-1', namespace: 'shop', attempt: 0 }, labels: { app: 'vm' } };
    const metadata = { Version: 'v1', Metadata: { ID: sandboxId, Name: 'vm-0_shop_u-1_0', Config: config } };
    const sandbox = {
      sandboxId,
      runtime: { name: 'io.containerd.kata.v2' },
      spec: {
        typeUrl: 'types.containerd.io/opencontainers/runtime-spec/1/Spec',
        value: Buffer.from('{"ociVersion":"1.1.0","hostname":"vm-0"}'),
      },
      extensions: {
        metadata: {
          typeUrl: 'github.com/containerd/cri/pkg/store/sandbox/Metadata',
          value: Buffer.from(JSON.stringify(metadata)),
        },
      },
      sandboxer: 'podsandbox',
    };
    try {
      const made = await client.call(create, { sandbox }, options).then(
        () => true,
        (error: { code: number }) => {
          // Before 1.7 there is no such store.
          if (error.code !== 12) throw error;
          return false;
        },
      );
      const listed = (await engine.listAllContainers()).filter(({ reference }) => reference.id === sandboxId);
      const expected = {
        reference: { scope: 'k8s.io', id: sandboxId },
        name: 'vm-0_shop_u-1_0',
        labels: { app: 'vm' },
        kubernetes: { kind: 'sandbox', podUid: 'u-1', namespace: 'shop', podName: 'vm-0', trust: 'engine' },
        // No controller has ever heard of it.
        status: 'unknown',
      };
      expect(listed).toMatchObject(made ? [expected] : []);
      if (!made) return;
      expect(await detailOf(sandboxId)).toMatchObject({ ...expected, hostname: 'vm-0', runtime: 'kata' });
      const exec = engine.exec({ scope: 'k8s.io', id: sandboxId }, { cmd: ['true'] });
      await expect(exec).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await client.call(remove, { sandboxId }, options);
      expect((await engine.listAllContainers()).map(({ reference }) => reference.id)).not.toContain(sandboxId);
    } finally {
      client.close();
    }
  });

  test('a container is listed with its pod, its name there and its sandbox', async () => {
    expect((await summaryOf(pod.containers.main ?? '')).kubernetes).toEqual({
      kind: 'container',
      podUid: pod.uid,
      namespace: 'shop',
      podName: 'web-0',
      containerName: 'main',
      sandboxId: pod.sandboxId,
      trust: 'engine',
    });
  });

  test('a container’s detail has every field', async () => {
    const id = pod.containers.main ?? '';
    const detail = await detailOf(id);
    expect(detail).toMatchObject({
      ...(await summaryOf(id)),
      env: { COLOUR: 'blue' },
      runtime: 'runc',
      networkMode: 'host',
      mergedDir: join(daemon.state, 'io.containerd.runtime.v2.task', 'k8s.io', id, 'rootfs'),
      logPath: expect.stringMatching(/main\/0\.log$/),
      mounts: expect.arrayContaining([
        { source: shared, destination: '/data', readWrite: true },
        { source: shared, destination: '/fixed', readWrite: false },
      ]),
      pid: expect.any(Number),
    });
    const { stdout } = await engine.exec(id, { cmd: ['cat', '/proc/1/environ'] });
    expect(stdout.toString()).toContain('COLOUR=blue');
  });

  test('a batch gives the same as one look-up each, in two calls to the daemon', async () => {
    const outcomes = await engine.getContainerDetails('all');
    const ids = outcomes.map(({ reference }) => reference.id);
    expect(ids).toEqual(expect.arrayContaining([pod.sandboxId, ...Object.values(pod.containers)]));
    for (const outcome of outcomes) {
      expect('detail' in outcome && outcome.detail).toEqual(await engine.getContainerDetail(outcome.reference));
    }
    const many = Array.from({ length: 20 }, () => ({ scope: 'k8s.io', id: pod.sandboxId }));
    const gone = { scope: 'k8s.io', id: 'gone' };
    const batch = await engine.getContainerDetails([...many, gone]);
    expect(batch).toHaveLength(21);
    expect(batch.at(-1)).toMatchObject({ reference: gone, error: { code: 'NOT_FOUND' } });
  });

  test('the source is the container as containerd has it, with the JSON inside opened', async () => {
    expect(await engine.getSource(pod.containers.main ?? '')).toMatchObject({
      id: pod.containers.main,
      runtime: { name: 'io.containerd.runc.v2' },
      spec: { process: { args: ['sleep', '1000000'] } },
      extensions: { 'io.cri-containerd.container.metadata': { value: { Metadata: { SandboxID: pod.sandboxId } } } },
      task: { status: 'running' },
    });
    await expect(engine.getSource('gone')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a container is told as created, started, exited with its code, and removed; an exec tells nothing', async () => {
    const seen: EngineEvent[] = [];
    const stop = new AbortController();
    let synced = false;
    const watching = engine.watch(
      {
        onSync: () => {
          synced = true;
        },
        onEvent: (event) => seen.push(event),
        onLost: (error) => {
          throw error;
        },
      },
      { signal: stop.signal },
    );
    try {
      await waitUntil(() => synced);
      const id = await pod.addContainer({ name: 'short', cmd: ['sh', '-c', 'sleep 1; exit 7'], start: false });
      expect((await detailOf(id)).status).toBe('created');
      await engine.exec(pod.containers.main ?? '', { cmd: ['true'] });
      const other = await pod.addContainer({ name: 'quick', cmd: ['sh', '-c', 'exit 7'] });
      const told = (): string[] => seen.filter(({ reference }) => reference.id === other).map(({ action }) => action);
      await waitUntil(() => told().includes('exited'));
      expect(seen.find(({ action, reference }) => action === 'exited' && reference.id === other)?.exitCode).toBe(7);
      expect(await detailOf(other)).toMatchObject({ status: 'exited', exitCode: 7 });
      // The CRI soon deletes the task, and containerd knows the code no longer.
      const client = createContainerdClient(daemon.socketPath);
      await waitUntil(() =>
        client.call(Tasks.method.get, { containerId: other }, { namespace: 'k8s.io' }).then(
          () => false,
          () => true,
        ),
      );
      client.close();
      expect(await detailOf(other)).toMatchObject({ status: 'exited', exitCode: 7 });
      await pod.removeContainer('quick');
      await waitUntil(() => told().includes('removed'));
      expect(told().filter((action) => action !== 'updated')).toEqual(['created', 'started', 'exited', 'removed']);
      expect(seen.some(({ reference }) => reference.id === pod.containers.main)).toBe(false);
      await pod.removeContainer('short');
    } finally {
      stop.abort();
      await watching;
    }
  });

  test('a revision stays while nothing changes, and changes with the state', async () => {
    const id = await pod.addContainer({ name: 'changing' });
    const before = await summaryOf(id);
    expect((await summaryOf(id)).revision).toBe(before.revision);
    expect((await detailOf(id)).revision).toBe(before.revision);
    await pod.stopContainer('changing');
    expect((await summaryOf(id)).revision).not.toBe(before.revision);
    await pod.removeContainer('changing');
  });
});

describeWithContainerds('plain containers on containerd', ({ daemon }) => {
  test('the namespaces that are asked for are looked at, and no others', async () => {
    const fixture = await createContainerdFixture(daemon);
    const { id } = await fixture.runContainer({ env: { A: 'b=c' } });
    const only = await connectContainerd(daemon.socketPath, { namespaces: ['k8s.io'] });
    try {
      const listed = await fixture.engine.listAllContainers();
      expect(listed.find(({ reference }) => reference.id === id)).toMatchObject({
        reference: { scope: 'default', id },
        name: id,
        status: 'running',
      });
      expect(await fixture.engine.getContainerDetail({ scope: 'default', id })).toMatchObject({
        env: { A: 'b=c' },
        runtime: 'runc',
        mergedDir: join(daemon.state, 'io.containerd.runtime.v2.task', 'default', id, 'rootfs'),
      });
      expect((await only.listAllContainers()).map(({ reference }) => reference.id)).not.toContain(id);
    } finally {
      await only.close();
      await fixture.close();
    }
  });

  describe('probing', () => {
    test('a daemon that answers is available, with its version', async () => {
      const context = { hostRoot: '/', environment: {}, signal: AbortSignal.timeout(2_000), logger: silentLogger };
      expect(await containerd({ address: daemon.socketPath }).probe(context)).toMatchObject({
        status: 'available',
        version: await daemon.version(),
        attempts: [{ endpoint: daemon.socketPath, origin: 'option', step: 'done', outcome: 'ok' }],
      });
    });
  });
});
