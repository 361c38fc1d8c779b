/** Enrichment of real pods of containerd's CRI; what does not depend on the engine is tested on dockerd. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { type Container, listProcesses } from '@crikit/core';
import { containerd } from '@crikit/engine-containerd';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type CriPod, createCriPod } from '../../../tools/lab/cri-pods.mjs';
import { IMAGES } from '../../../tools/lab/lab.mjs';
import { describeWithEngine } from '../../../tools/test-support/lab.js';
import { createMetaStore, labelPods, type MetaStore } from '../src/index.js';

describeWithEngine('containerd', 'enrichment on containerd', (state) => {
  let pod: CriPod;
  let store: MetaStore;
  const execs: unknown[] = [];
  const onExec = (message: unknown): void => {
    execs.push(message);
  };

  beforeAll(async () => {
    pod = await createCriPod(state, {
      namespace: 'enriched',
      name: 'web-0',
      containers: [
        { name: 'shanghai', image: IMAGES.users },
        {
          name: 'bare',
          image: IMAGES.noShell,
          cmd: ['/bin/sleep', '1000000'],
          env: { TZ: 'CST-8', HOSTNAME: 'named' },
        },
        { name: 'alpine', cmd: ['sh', '-c', 'echo 3.20.0 >/etc/alpine-release; exec sleep 1000000'] },
        {
          name: 'careless',
          cmd: ['sh', '-c', '(sleep 0.1 &); (sleep 0.1 &); sleep 0.1 & exec sleep 1000000'],
        },
      ],
    });
    subscribe('tracing:crikit:exec:start', onExec);
    store = createMetaStore({
      engines: [containerd({ address: state.socketPath })],
      pods: labelPods(),
    });
    await store.start({ requireReady: true });
  });
  afterAll(async () => {
    unsubscribe('tracing:crikit:exec:start', onExec);
    await store?.close();
    await pod?.remove();
  });

  const lookedAt = async (name: string): Promise<Container> => {
    const id = pod.containers[name] ?? '';
    return vi.waitFor(
      () => {
        const container = store.getContainerByCid(id);
        if (container?.zombieCount === undefined) throw new Error(`${name} is not looked at yet`);
        return container;
      },
      { timeout: 20_000, interval: 10 },
    );
  };

  test('finds the time zone of a container’s files and of its environment', async () => {
    expect(await lookedAt('shanghai')).toMatchObject({ tz: { name: 'Asia/Shanghai', zone: 'CST', offset: 28_800 } });
    expect(await lookedAt('bare')).toMatchObject({ tz: { envTz: 'CST-8', zone: 'CST', offset: 28_800 } });
    expect(await lookedAt('careless')).toMatchObject({ tz: { name: 'UTC', offset: 0 } });
  });

  test('finds hostname, Alpine, the first process', async () => {
    const ofNode = (await lookedAt('shanghai')).hostname;
    expect(ofNode).toMatch(/./);
    // In the environment of the container: its pod is on the node's network and has no hostname of its own.
    expect((await lookedAt('bare')).hostname).toBe('named');
    expect(await lookedAt('alpine')).toMatchObject({ alpineStatus: 'yes', pid1Name: 'sleep' });
    expect(await lookedAt('shanghai')).toMatchObject({ alpineStatus: 'no', pid1Name: 'sleep' });
    expect(await lookedAt('bare')).toMatchObject({ alpineStatus: 'no', pid1Name: 'sleep' });
  });

  test('counts zombies', async () => {
    const { id, state: of } = await lookedAt('careless');
    await vi.waitFor(
      async () => {
        const processes = await listProcesses({ containerId: id, pid: of.pid });
        expect(processes.filter(({ state: word }) => word === 'zombie')).toHaveLength(3);
      },
      { timeout: 10_000, interval: 20 },
    );
    // A store that begins now sees them at its first look.
    const other = createMetaStore({ engines: [containerd({ address: state.socketPath })], pods: labelPods() });
    try {
      await other.start({ requireReady: true });
      await vi.waitFor(() => expect(other.getContainerByCid(id)?.zombieCount).toBe(3), {
        timeout: 20_000,
        interval: 10,
      });
      await vi.waitFor(() => expect(other.getContainerByCid(pod.containers.shanghai ?? '')?.zombieCount).toBe(0), {
        timeout: 20_000,
        interval: 10,
      });
    } finally {
      await other.close();
    }
  });

  test('needed no exec for all of it', () => {
    expect(execs).toEqual([]);
  });
});
