import type { ExecTimeoutError } from '@crikit/core';
import { type EngineFixture, type FixtureContainer, waitUntil } from '@crikit/engine-conformance';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createDockerDaemon, ensureImages } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createDockerFixture } from './docker-fixture.js';

describeWithDocker('Docker over tcp, in another pid namespace', () => {
  let daemon: ReturnType<typeof createDockerDaemon>;
  let fixture: EngineFixture;
  let container: FixtureContainer;

  beforeAll(async () => {
    daemon = createDockerDaemon({ name: 'engine-docker-remote', tcp: true, newPidNamespace: true });
    await daemon.start();
    await ensureImages(daemon);
    fixture = await createDockerFixture(daemon.tcpEndpoint ?? '');
    container = await fixture.runContainer();
  });
  afterAll(async () => {
    await fixture?.close();
    await daemon?.destroy();
  });
  const signalled = vi.spyOn(process, 'kill');
  beforeEach(() => {
    signalled.mockClear();
  });
  afterEach(() => {
    expect(signalled).not.toHaveBeenCalled();
  });

  const run = (...cmd: string[]) => fixture.engine.exec(container.target, { cmd });

  test('is elsewhere by its endpoint', () => {
    expect(fixture.engine.id).toBe(`docker:${daemon.tcpEndpoint}`);
  });

  test('runs commands, lists and inspects', async () => {
    const result = await fixture.engine.exec(container.target, { cmd: ['cat'], input: 'over tcp' });
    expect(result).toMatchObject({ exitCode: 0, stdout: Buffer.from('over tcp') });
    const list = await fixture.engine.listAllContainers();
    expect(list.map(({ reference }) => reference.id)).toContain(container.id);
    expect(await fixture.engine.getContainerDetail(container.id)).toMatchObject({ status: 'running' });
  });

  test.each([
    ['a command', ['sleep', '2323']],
    ['its children', ['sh', '-c', 'sleep 2323 & sleep 2323']],
    ['a child that left for a session of its own', ['sh', '-c', 'setsid sleep 2323 & sleep 2323']],
  ])('kills %s that runs too long from inside the container, and signals no pid of this machine', async (_, cmd) => {
    const command = fixture.engine.exec(container.target, { cmd, timeoutMs: 500 });
    const error = (await command.catch((reason: unknown) => reason)) as ExecTimeoutError;
    expect(error).toMatchObject({ code: 'TIMEOUT', termination: { methods: ['container-marker'], confirmed: true } });
    expect(error.termination?.detail).toContain('elsewhere');
    const { stdout } = await run('ps', '-o', 'args');
    expect(stdout.toString()).not.toContain('sleep 2323');
  });

  test('without the means to look inside, says that the end is not confirmed', async () => {
    const bare = await fixture.runContainer({ image: 'no-shell' });
    const command = fixture.engine.exec(bare.target, { cmd: ['/bin/sleep', '2525'], timeoutMs: 300 });
    const error = (await command.catch((reason: unknown) => reason)) as ExecTimeoutError;
    expect(error).toMatchObject({ code: 'TIMEOUT', termination: { confirmed: false, methods: ['none'] } });
  });

  test('tells its events', async () => {
    const seen: string[] = [];
    const stop = new AbortController();
    const reading = (async () => {
      for await (const { action, reference, origin } of fixture.engine.events({ signal: stop.signal })) {
        if (origin === 'event') seen.push(`${action} ${reference.id}`);
      }
    })();
    const other = await fixture.runContainer();
    await waitUntil('the start is told', async () => seen.includes(`started ${other.id}`));
    await other.remove();
    await waitUntil('the removal is told', async () => seen.includes(`removed ${other.id}`));
    stop.abort();
    await reading;
  });
});
