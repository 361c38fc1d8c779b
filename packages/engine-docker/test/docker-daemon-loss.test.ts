import { type ContainerEngine, type ContainerSummary, connectEngine, type EngineEvent } from '@crikit/core';
import { waitUntil } from '@crikit/engine-conformance';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDockerDaemon, ensureImages, IMAGES, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { docker } from '../src/docker.js';

describeWithDocker('Docker, when the daemon is killed', () => {
  let daemon: ReturnType<typeof createDockerDaemon>;
  let engine: ContainerEngine;
  let container: string;
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);

  beforeAll(async () => {
    process.on('unhandledRejection', onUnhandled);
    daemon = createDockerDaemon({ name: 'engine-docker-loss', liveRestore: true });
    await daemon.start();
    await ensureImages(daemon);
    container = (await runContainer(daemon.socketPath, { image: IMAGES.busybox })).id;
    engine = await connectEngine(docker({ socketPath: daemon.socketPath }));
  });
  afterAll(async () => {
    await engine?.close();
    await daemon?.destroy();
    process.off('unhandledRejection', onUnhandled);
  });

  const killUnder = async (tty: boolean) => {
    await daemon.start();
    const running = await engine.execAsync(container, { cmd: ['sh', '-c', 'echo up; sleep 1000'], tty });
    const said: string[] = [];
    running.stdout.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    running.stderr.resume();
    await waitUntil('the command runs', () => said.length > 0);
    await daemon.kill('SIGKILL');
    const result = await running.result;
    await daemon.start();
    return result;
  };

  test.each([
    ['', false],
    [' with a tty', true],
  ])('a command that runs%s ends with an error that says that its outcome is unknown', async (_, tty) => {
    expect(await killUnder(tty)).toMatchObject({ error: { code: 'UNAVAILABLE', applied: 'unknown' } });
  });

  test('exec rejects likewise, and works again when the daemon is back', async () => {
    const command = engine.exec(container, { cmd: ['sh', '-c', 'touch /tmp/begun; sleep 1000'] });
    command.catch(() => {});
    await waitUntil('the command runs', async () => {
      return (await engine.exec(container, { cmd: ['test', '-e', '/tmp/begun'] })).exitCode === 0;
    });
    await daemon.kill('SIGKILL');
    await expect(command).rejects.toMatchObject({ code: 'UNAVAILABLE', applied: 'unknown' });
    await expect(engine.exec(container, { cmd: ['true'] })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      applied: 'no',
    });
    await expect(engine.listAllContainers()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await daemon.start();
    expect((await engine.exec(container, { cmd: ['true'] })).exitCode).toBe(0);
  });

  test('a watch tells the loss once, then everything that there is, and goes on', async () => {
    const told: string[] = [];
    const lists: (readonly ContainerSummary[])[] = [];
    const events: EngineEvent[] = [];
    const stop = new AbortController();
    const watching = engine.watch(
      {
        onSync: (containers) => {
          told.push('sync');
          lists.push(containers);
        },
        onEvent: (event) => void events.push(event),
        onLost: () => void told.push('lost'),
      },
      { signal: stop.signal },
    );
    await waitUntil('the first list', () => lists.length === 1);
    const [before] = await engine.getContainerDetails([container]);
    await daemon.kill('SIGKILL');
    await waitUntil('the loss', () => told.includes('lost'));
    await daemon.start();
    await waitUntil('the second list', () => lists.length === 2, 15_000);
    expect(told).toEqual(['sync', 'lost', 'sync']);
    const after = lists[1]?.find(({ reference }) => reference.id === container);
    expect(after).toMatchObject({
      status: 'running',
      name: before !== undefined && 'detail' in before && before.detail.name,
    });

    const { id } = await runContainer(daemon.socketPath, { image: IMAGES.busybox });
    await waitUntil('the new container', () =>
      events.some(({ action, reference }) => action === 'started' && reference.id === id),
    );
    await removeContainer(daemon.socketPath, id);
    stop.abort();
    await watching;
  });

  test('nothing is left unhandled', () => {
    expect(unhandled).toEqual([]);
  });

  test('a command that a stopped daemon holds up ends at its deadline, and says that it may run', async () => {
    const running = await engine.execAsync(container, { cmd: ['sleep', '1000'], timeoutMs: 1_500 });
    running.stdout.resume();
    running.stderr.resume();
    await waitUntil('the command runs', async () => {
      const { stdout } = await engine.exec(container, { cmd: ['ps', '-o', 'args'] });
      return stdout.toString().includes('sleep 1000');
    });
    await daemon.kill('SIGSTOP');
    try {
      expect(await running.result).toMatchObject({ error: { code: 'TIMEOUT' } });
      await expect(engine.listAllContainers({ timeoutMs: 300 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    } finally {
      await daemon.kill('SIGCONT');
    }
    expect((await engine.listAllContainers()).length).toBeGreaterThan(0);
  });
});
