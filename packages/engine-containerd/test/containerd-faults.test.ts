import { readFileSync } from 'node:fs';
import type { ContainerEngine } from '@crikit/core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type CriPod, createCriPod } from '../../../tools/lab/cri-pods.mjs';
import { createContainerdDaemon, ensureContainerdImages } from '../../../tools/lab/lab.mjs';
import { type ContainerdDaemon, connectContainerd, describeWithContainerds, waitUntil } from './containerd-fixture.js';

// A daemon of its own for each release: it is killed here.
describeWithContainerds('containerd in trouble', ({ release }) => {
  let daemon: ContainerdDaemon;
  let engine: ContainerEngine;
  let pod: CriPod;

  beforeAll(async () => {
    daemon = createContainerdDaemon({ release });
    await daemon.start();
    await ensureContainerdImages(daemon);
    engine = await connectContainerd(daemon.socketPath);
    pod = await createCriPod(daemon, { name: 'first', containers: [{ name: 'main' }] });
  });
  // Whatever the test before has left.
  beforeEach(() => daemon.start());
  afterAll(async () => {
    await engine?.close();
    await daemon?.destroy();
  });

  const main = (): string => pod.containers.main ?? '';

  test('an exec outlives the daemon: its output goes on, its exit code is learnt afterwards', async () => {
    const running = await engine.execAsync(main(), {
      cmd: ['sh', '-c', 'echo one; read go; echo two; exit 9'],
      input: 'pipe',
    });
    let said = '';
    running.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    running.stderr.resume();
    await waitUntil(() => said === 'one\n');
    await daemon.kill();
    running.stdin?.write('go\n');
    await waitUntil(() => said === 'one\ntwo\n');
    await daemon.start();
    expect(await running.result).toEqual({ exitCode: 9 });
  });

  test('an exec that still runs when the daemon is back can be killed', async () => {
    const running = await engine.execAsync(main(), { cmd: ['sh', '-c', 'sleep 3000 & sleep 3001'] });
    running.stdout.resume();
    running.stderr.resume();
    await daemon.kill();
    await daemon.start();
    await running.kill();
    expect(await running.result).toMatchObject({ error: { code: 'ABORTED', termination: { confirmed: true } } });
  });

  test('while the daemon is away calls are refused as unavailable, and nothing is thought to have started', async () => {
    await daemon.kill();
    await expect(engine.listAllContainers()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(engine.exec(main(), { cmd: ['true'] })).rejects.toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    await daemon.start();
    expect(await engine.listAllContainers()).not.toHaveLength(0);
  });

  test('a watch tells the loss, comes back by itself and lists anew', async () => {
    const told: string[] = [];
    const listed: string[][] = [];
    const started: string[] = [];
    const stop = new AbortController();
    const watching = engine.watch(
      {
        onSync: (containers) => {
          told.push('sync');
          listed.push(containers.map(({ reference }) => reference.id));
        },
        onEvent: ({ action, reference }) => {
          if (action === 'started') started.push(reference.id);
        },
        onLost: ({ code }) => told.push(code),
      },
      { signal: stop.signal },
    );
    try {
      await waitUntil(() => told.length === 1);
      await daemon.kill();
      await waitUntil(() => told.length === 2);
      await daemon.start();
      const backAt = performance.now();
      await waitUntil(() => told.length === 3);
      expect(performance.now() - backAt).toBeLessThan(3_000);
      expect(told).toEqual(['sync', 'UNAVAILABLE', 'sync']);
      expect(listed[1]).toEqual(listed[0]);
      const added = await pod.addContainer({ name: 'later' });
      await waitUntil(() => started.includes(added));
    } finally {
      stop.abort();
      await watching;
    }
  });

  test('a shim that hangs delays the others by a second at most, and is told apart', async () => {
    const stuck = await createCriPod(daemon, { name: 'stuck', containers: [{ name: 'a' }, { name: 'b' }] });
    const { pid = 0 } = await engine.getContainerDetail(stuck.sandboxId);
    const shim = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
    process.kill(shim, 'SIGSTOP');
    try {
      for (const _round of [1, 2]) {
        const startedAt = performance.now();
        const listed = await engine.listAllContainers();
        expect(performance.now() - startedAt).toBeLessThan(1_500);
        const statusOf = (id: string): string | undefined =>
          listed.find(({ reference }) => reference.id === id)?.status;
        expect(statusOf(main())).toBe('running');
        expect(statusOf(pod.sandboxId)).toBe('running');
        expect(statusOf(stuck.sandboxId)).toBe('unknown');
        expect(statusOf(stuck.containers.a ?? '')).toBe('unknown');
      }
      const outcomes = await engine.getContainerDetails('all');
      const of = (id: string): unknown => outcomes.find(({ reference }) => reference.id === id);
      expect(of(main())).toMatchObject({ detail: { status: 'running' } });
      expect(of(stuck.containers.b ?? '')).toMatchObject({ error: { code: 'TIMEOUT' } });
      await expect(engine.getContainerDetail(stuck.sandboxId)).rejects.toMatchObject({ code: 'TIMEOUT' });
      expect((await engine.exec(main(), { cmd: ['true'] })).exitCode).toBe(0);
    } finally {
      process.kill(shim, 'SIGCONT');
    }
    expect((await engine.getContainerDetail(stuck.containers.a ?? '')).status).toBe('running');
    await stuck.remove();
  });

  test('a daemon that hangs is a time-out, told with the socket', async () => {
    await daemon.kill('SIGSTOP');
    // The signal takes effect in its own time.
    await waitUntil(() => /^State:\s*T/m.test(readFileSync(`/proc/${daemon.pid()}/status`, 'utf8')));
    try {
      await expect(engine.listAllContainers({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'TIMEOUT' });
      await expect(connectContainerd(daemon.socketPath)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining(daemon.socketPath),
      });
    } finally {
      await daemon.kill('SIGCONT');
    }
    expect(await engine.listAllContainers()).not.toHaveLength(0);
  });
});
