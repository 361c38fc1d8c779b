import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type ContainerChange,
  type ContainerEngine,
  connectEngine,
  EngineTimeoutError,
  isCommandNotFoundError,
  isContainerNotRunningError,
  isContainerPausedError,
  isNoSuchContainerError,
} from '@crikit/core';
import { afterEach, describe, expect, test } from 'vitest';
import { createInMemoryEngine, type InMemoryEngineOptions } from './in-memory-engine.js';

const engines: ContainerEngine[] = [];

afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

async function connect(options: InMemoryEngineOptions = {}) {
  const { definition, control } = createInMemoryEngine(options);
  const engine = await connectEngine(definition);
  engines.push(engine);
  return { engine, control, definition };
}

async function take(changes: AsyncIterableIterator<ContainerChange>, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) {
    const { value } = await changes.next();
    taken.push((value as ContainerChange).action);
  }
  return taken;
}

describe('containers', () => {
  test('are listed and detailed as they were given, with a revision that follows changes', async () => {
    const { engine, control } = await connect();
    const id = control.addContainer({ name: 'web', labels: { app: 'web' }, env: { A: '1' }, status: 'running' });
    const [summary] = await engine.listAllContainers();
    expect(summary).toMatchObject({
      reference: { scope: '', id },
      name: 'web',
      status: 'running',
      labels: { app: 'web' },
    });
    const detail = await engine.getContainerDetail(id);
    expect(detail).toMatchObject({ env: { A: '1' }, runtime: 'runc', revision: summary?.revision });
    expect(detail.pid).toBeGreaterThan(0);
    control.stopContainer(id, 3);
    const ended = await engine.getContainerDetail(id);
    expect(ended).toMatchObject({ status: 'exited', exitCode: 3 });
    expect(ended.pid).toBeUndefined();
    expect(ended.revision).not.toBe(detail.revision);
  });

  test('that are gone are NOT_FOUND, beside the answers of the others', async () => {
    const { engine, control } = await connect();
    const id = control.addContainer();
    const outcomes = await engine.getContainerDetails([id, 'gone']);
    expect(outcomes[0]).toHaveProperty('detail');
    expect(isNoSuchContainerError((outcomes[1] as { error: unknown }).error)).toBe(true);
  });

  test('without revisions say none', async () => {
    const { engine, control } = await connect({ revisions: false });
    control.addContainer();
    expect((await engine.listAllContainers())[0]).not.toHaveProperty('revision');
  });

  test('of a pod carry its marks', async () => {
    const { engine, control } = await connect();
    const pod = control.addPod({ namespace: 'shop', name: 'web-0', containers: [{ k8sName: 'app' }] });
    const marks = (await engine.listAllContainers()).map(({ kubernetes }) => kubernetes);
    expect(marks).toMatchObject([
      { kind: 'sandbox', podUid: pod.uid },
      { kind: 'container', podUid: pod.uid, containerName: 'app', sandboxId: pod.sandboxId },
    ]);
  });
});

describe('events', () => {
  test('tell every change, each once, also across an outage', async () => {
    const { engine, control } = await connect();
    const changes = engine.events();
    const first = changes.next();
    const id = control.addContainer();
    expect((await first).value).toMatchObject({ action: 'created' });
    control.startContainer(id);
    control.pauseContainer(id);
    control.resumeContainer(id);
    expect(await take(changes, 3)).toEqual(['started', 'paused', 'resumed']);
    control.goAway();
    control.stopContainer(id);
    control.comeBack();
    expect(await take(changes, 1)).toEqual(['exited']);
    await changes.return?.();
  });

  test('can be held back, dropped and made up', async () => {
    const { control, definition } = await connect();
    const driver = await definition.connect({
      hostRoot: '/',
      environment: {},
      signal: new AbortController().signal,
      logger: console,
    });
    const told: string[] = [];
    const feed = await driver.features.events?.openEvents(({ action }) => told.push(action), {
      signal: new AbortController().signal,
    });
    control.setEvents('hold');
    const id = control.addContainer();
    expect(told).toEqual([]);
    control.setEvents('tell');
    expect(told).toEqual(['created']);
    control.setEvents('drop');
    control.startContainer(id);
    control.setEvents('tell');
    control.emit({ action: 'out-of-memory', reference: { scope: '', id }, timeMs: 1 });
    expect(told).toEqual(['created', 'out-of-memory']);
    control.endEvents();
    expect((await feed?.ended)?.error?.code).toBe('UNAVAILABLE');
  });

  test('and archives that are switched off leave an engine without the feature', async () => {
    const { engine, definition } = await connect({ events: false, archive: false });
    expect(engine.supports('events')).toBe(false);
    expect(engine.supports('archive')).toBe(false);
    expect(engine.supports('copy', { status: 'exited', withheld: {} })).toBe(false);
    expect(definition.possibleFeatures).toEqual([]);
  });
});

describe('commands', () => {
  test('are scripted functions with streams and an exit code', async () => {
    const { engine, control } = await connect({
      commands: {
        shout: async ({ stdin, stdout, stderr, env, user, workingDir }) => {
          for await (const chunk of stdin) stdout.write(String(chunk).toUpperCase());
          stderr.write(`${env.A} ${env.B} ${user} ${workingDir}`);
          return 7;
        },
      },
    });
    const id = control.addContainer({ status: 'running', env: { A: '1' } });
    const result = await engine.exec(id, {
      cmd: ['shout'],
      input: 'hello',
      env: { B: '2' },
      user: 'nobody',
      workingDir: '/srv',
    });
    expect(result.exitCode).toBe(7);
    expect(result.stdout.toString()).toBe('HELLO');
    expect(result.stderr.toString()).toBe('1 2 nobody /srv');
  });

  test('that do not exist, or whose container does not run, are refused with a typed error', async () => {
    const { engine, control } = await connect();
    const id = control.addContainer();
    await expect(engine.exec(id, { cmd: ['true'] })).rejects.toSatisfy(isContainerNotRunningError);
    control.startContainer(id);
    await expect(engine.exec(id, { cmd: ['missing'] })).rejects.toSatisfy(isCommandNotFoundError);
    await expect(engine.exec(id, { cmd: ['constructor'] })).rejects.toSatisfy(isCommandNotFoundError);
    control.pauseContainer(id);
    await expect(engine.exec(id, { cmd: ['true'] })).rejects.toSatisfy(isContainerPausedError);
  });

  test('end with their container, with their time-out and with an engine that goes away', async () => {
    const { engine, control } = await connect();
    const id = control.addContainer({ status: 'running' });
    await expect(engine.exec(id, { cmd: ['sleep'], timeoutMs: 20 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    const first = await engine.execAsync(id, { cmd: ['sleep'] });
    control.stopContainer(id);
    await expect(first.result).resolves.toEqual({ exitCode: 137 });
    control.startContainer(id);
    const second = await engine.execAsync(id, { cmd: ['sleep'] });
    control.goAway();
    await expect(second.result).resolves.toMatchObject({ error: { code: 'UNAVAILABLE' } });
  });
});

describe('files', () => {
  test('are copied in and out as they are, with the parents that are missing', async () => {
    const { engine, control } = await connect();
    const id = control.addContainer({ files: { '/etc/app.conf': 'a=1', '/srv/deep/b': 'b' } });
    const directory = await mkdtemp(join(tmpdir(), 'crikit-memory-'));
    try {
      await engine.copyFromContainer(id, '/etc/app.conf', join(directory, 'app.conf'));
      expect(await readFile(join(directory, 'app.conf'), 'utf8')).toBe('a=1');
      await engine.copyFromContainer(id, '/srv', join(directory, 'srv'));
      expect(await readFile(join(directory, 'srv/deep/b'), 'utf8')).toBe('b');
      await engine.copyToContainer(id, join(directory, 'srv'), '/new/place');
      await engine.copyFromContainer(id, '/new/place/deep/b', join(directory, 'b'));
      expect(await readFile(join(directory, 'b'), 'utf8')).toBe('b');
      await expect(engine.copyFromContainer(id, '/missing', join(directory, 'm'))).rejects.toMatchObject({
        code: 'PATH_NOT_FOUND',
      });
      await expect(engine.copyToContainer(id, join(directory, 'b'), '/srv/deep')).rejects.toMatchObject({
        code: 'ALREADY_EXISTS',
      });
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

describe('faults', () => {
  test('calls are refused while the engine is away', async () => {
    const { engine, control, definition } = await connect();
    control.goAway();
    await expect(engine.listAllContainers()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(connectEngine(definition)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    control.comeBack();
    await expect(engine.listAllContainers()).resolves.toEqual([]);
  });

  test('calls can be made to fail, to be late and to wait', async () => {
    const { engine, control } = await connect();
    const id = control.addContainer({ status: 'running' });
    control.fail('list', new EngineTimeoutError('no answer', {}), { times: 1 });
    await expect(engine.listAllContainers()).rejects.toMatchObject({ code: 'TIMEOUT' });
    await expect(engine.listAllContainers()).resolves.toHaveLength(1);

    control.delay('list', 60_000);
    await expect(engine.listAllContainers({ timeoutMs: 20 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    control.delay('list', 0);

    const release = control.hold('details', { containerId: id, times: 1 });
    const held = engine.getContainerDetail(id);
    control.stopContainer(id);
    expect((await engine.getContainerDetail(id)).status).toBe('exited');
    expect(await Promise.race([held, delay(0, 'still held')])).toBe('still held');
    release();
    expect((await held).status).toBe('running');
    expect(control.calls).toMatchObject({ details: 2, list: 3 });
    expect(control.inspected).toEqual([id, id]);
  });
});
