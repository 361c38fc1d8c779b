import { describe, expect, test, vi } from 'vitest';
import type { ContainerStatus } from './container.js';
import { createContainerChanges } from './container-changes.js';
import type { ContainerWatch } from './container-engine.js';
import type { ContainerSummary, EngineDriver, EngineEvent, EngineEventAction } from './engine-contract.js';
import { fakeDriver, summary } from './engine-test-double.js';
import { EngineUnavailableError } from './errors/engine-unavailable-error.js';
import { silentLogger } from './logger.js';
import { watchContainers } from './watch-containers.js';

let clockMs = 0;

function event(action: EngineEventAction, id: string): EngineEvent {
  clockMs += 1;
  return { action, reference: { scope: '', id }, timeMs: clockMs };
}

interface FakeEngine {
  containers: ContainerSummary[];
  emit(event: EngineEvent): void;
  lose(): void;
  openings: number;
  refuse: boolean;
  readonly driver: EngineDriver;
}

function fakeEngine(): FakeEngine {
  let emit: (event: EngineEvent) => void = () => {};
  let lose = (): void => {};
  const fake: FakeEngine = {
    containers: [],
    openings: 0,
    refuse: false,
    emit: (sent) => emit(sent),
    lose: () => lose(),
    driver: fakeDriver({
      listAllContainers: async () => {
        if (fake.refuse) throw new EngineUnavailableError('gone');
        return [...fake.containers];
      },
      features: {
        events: {
          async openEvents(onEvent) {
            if (fake.refuse) throw new EngineUnavailableError('gone');
            fake.openings += 1;
            emit = onEvent;
            const ended = new Promise<{ error?: EngineUnavailableError }>((resolve) => {
              lose = () => resolve({ error: new EngineUnavailableError('lost') });
            });
            return { ended, async [Symbol.asyncDispose]() {} };
          },
        },
      },
    }),
  };
  return fake;
}

function follow(engine: FakeEngine, watch: Partial<ContainerWatch> = {}) {
  const controller = new AbortController();
  const seen: string[] = [];
  const done = watchContainers(
    {
      onSync: (containers) => seen.push(`sync ${containers.map(({ name }) => name).join(',')}`),
      onEvent: ({ action, reference }) => seen.push(`${action} ${reference.id}`),
      onLost: ({ code }) => seen.push(`lost ${code}`),
      ...watch,
    },
    { driver: engine.driver, logger: silentLogger, signal: controller.signal, pollIntervalMs: 5 },
  );
  return {
    seen,
    async stop() {
      controller.abort();
      await done;
    },
  };
}

describe('watchContainers', () => {
  test('hands events on after the list, those from before the list included', async () => {
    const engine = fakeEngine();
    engine.containers = [summary('one')];
    const list = engine.driver.listAllContainers;
    Object.assign(engine.driver, {
      listAllContainers: (call: never) => {
        engine.emit(event('started', 'early'));
        return list(call);
      },
    });
    const watching = follow(engine);
    await vi.waitUntil(() => watching.seen.length === 2);
    engine.emit(event('exited', 'one'));
    expect(watching.seen).toEqual(['sync one', 'started early', 'exited one']);
    await watching.stop();
  });

  test('lists while a feed is opened that also tells what happens meanwhile', async () => {
    const engine = fakeEngine();
    engine.containers = [summary('one')];
    const { listAllContainers, features } = engine.driver;
    let onListed = (): void => {};
    const listed = new Promise<void>((resolve) => {
      onListed = resolve;
    });
    Object.assign(engine.driver, {
      listAllContainers: async (call: never) => {
        onListed();
        return listAllContainers(call);
      },
      features: {
        events: {
          coversOpening: true,
          async openEvents(onEvent: (event: EngineEvent) => void, call: never) {
            onEvent(event('exited', 'one'));
            await listed;
            return features.events?.openEvents(onEvent, call);
          },
        },
      },
    });
    const watching = follow(engine);
    await vi.waitUntil(() => watching.seen.length === 2);
    expect(watching.seen).toEqual(['sync one', 'exited one']);
    await watching.stop();
  });

  test('a list that fails while the feed cannot be opened either is told of once', async () => {
    const engine = fakeEngine();
    engine.refuse = true;
    const { features } = engine.driver;
    Object.assign(engine.driver, { features: { events: { ...features.events, coversOpening: true } } });
    const watching = follow(engine);
    await vi.waitUntil(() => watching.seen.length === 1);
    engine.refuse = false;
    await vi.waitUntil(() => watching.seen.length === 2, { timeout: 5_000 });
    expect(watching.seen).toEqual(['lost UNAVAILABLE', 'sync ']);
    await watching.stop();
  });

  test('says once that the engine is lost, and lists again when it is back', async () => {
    const engine = fakeEngine();
    const watching = follow(engine);
    await vi.waitUntil(() => watching.seen.length === 1);
    engine.refuse = true;
    engine.lose();
    await vi.waitUntil(() => watching.seen.includes('lost UNAVAILABLE'));
    engine.containers = [summary('new')];
    engine.refuse = false;
    await vi.waitUntil(() => watching.seen.includes('sync new'), { timeout: 5_000 });
    expect(watching.seen).toEqual(['sync ', 'lost UNAVAILABLE', 'sync new']);
    await watching.stop();
  });

  test('says why the engine is not back each time that it was looked for in vain', async () => {
    const engine = fakeEngine();
    const vain: string[] = [];
    const watching = follow(engine, { onStillLost: ({ message }) => void vain.push(message) });
    await vi.waitUntil(() => watching.seen.length === 1);
    engine.refuse = true;
    engine.lose();
    await vi.waitUntil(() => vain.length >= 2, { timeout: 5_000 });
    expect(new Set(vain)).toEqual(new Set(['gone']));
    expect(watching.seen).toEqual(['sync ', 'lost UNAVAILABLE']);
    await watching.stop();
  });

  test('leaves no listener on its signal for each connection that was lost', async () => {
    const engine = fakeEngine();
    const controller = new AbortController();
    const added = vi.spyOn(controller.signal, 'addEventListener');
    const removed = vi.spyOn(controller.signal, 'removeEventListener');
    const ignore = (): void => {};
    const done = watchContainers(
      { onSync: ignore, onEvent: ignore, onLost: ignore },
      { driver: engine.driver, logger: silentLogger, signal: controller.signal, pollIntervalMs: 5 },
    );
    const kept = (): number => added.mock.calls.length - removed.mock.calls.length;
    await vi.waitFor(() => expect(engine.openings).toBe(1));
    const whileFirst = kept();
    for (let round = 2; round <= 4; round += 1) {
      engine.lose();
      await vi.waitFor(() => expect(engine.openings).toBe(round));
    }
    await vi.waitFor(() => expect(kept()).toBeLessThanOrEqual(whileFirst));
    controller.abort();
    await done;
  });

  test('ignores a feed that talks after it was lost', async () => {
    const engine = fakeEngine();
    const watching = follow(engine);
    await vi.waitUntil(() => watching.seen.length === 1);
    engine.refuse = true;
    engine.lose();
    await vi.waitUntil(() => watching.seen.includes('lost UNAVAILABLE'));
    engine.emit(event('started', 'ghost'));
    expect(watching.seen).not.toContain('started ghost');
    await watching.stop();
  });

  test('goes on when a listener throws', async () => {
    const engine = fakeEngine();
    let calls = 0;
    const watching = follow(engine, {
      onEvent: () => {
        calls += 1;
        throw new Error('listener broke');
      },
    });
    await vi.waitUntil(() => watching.seen.length === 1);
    engine.emit(event('started', 'a'));
    engine.emit(event('started', 'b'));
    expect(calls).toBe(2);
    await watching.stop();
  });

  test('lists again and again where an engine has no events', async () => {
    const engine = fakeEngine();
    Object.assign(engine.driver, { features: {} });
    const watching = follow(engine);
    await vi.waitUntil(() => watching.seen.length >= 2);
    engine.containers = [summary('later')];
    await vi.waitUntil(() => watching.seen.includes('sync later'));
    await watching.stop();
  });
});

describe('container changes', () => {
  function changesOf(engine: FakeEngine) {
    return createContainerChanges((watch, signal) =>
      watchContainers(watch, { driver: engine.driver, logger: silentLogger, signal, pollIntervalMs: 5 }),
    );
  }
  const status = (id: string, is: ContainerStatus) => summary(id, { status: is });

  test('tell the present state first, then what happens, and end when the reader returns', async () => {
    const engine = fakeEngine();
    engine.containers = [status('a', 'running'), status('b', 'exited')];
    const seen: string[] = [];
    for await (const { action, reference, origin } of changesOf(engine)) {
      seen.push(`${action} ${reference.id} ${origin}`);
      if (seen.length === 2) engine.emit(event('paused', 'a'));
      if (seen.length === 3) break;
    }
    expect(seen).toEqual(['started a list', 'exited b list', 'paused a event']);
  });

  test('do not tell again what the list has told, and tell the net difference after an outage once', async () => {
    const engine = fakeEngine();
    engine.containers = [status('stays', 'running'), status('dies', 'running'), status('goes', 'running')];
    const changes = changesOf(engine);
    const next = async () => {
      const { value } = await changes.next();
      return `${value.action} ${value.reference.id}`;
    };
    expect([await next(), await next(), await next()]).toEqual(['started stays', 'started dies', 'started goes']);
    engine.emit(event('started', 'stays'));
    engine.containers = [status('stays', 'running'), status('dies', 'exited'), status('comes', 'running')];
    engine.lose();
    expect([await next(), await next(), await next()]).toEqual(['removed goes', 'exited dies', 'started comes']);
    engine.emit(event('started', 'comes'));
    engine.emit(event('exited', 'comes'));
    expect(await next()).toBe('exited comes');
    await changes.return?.();
    expect(await changes.next()).toEqual({ done: true, value: undefined });
  });

  test('tell an event once that the engine tells twice, in whatever order', async () => {
    const engine = fakeEngine();
    engine.containers = [status('a', 'running')];
    const changes = changesOf(engine);
    await changes.next();
    const paused = event('paused', 'a');
    const resumed = event('resumed', 'a');
    for (const told of [paused, resumed, paused, resumed, event('exited', 'a')]) engine.emit(told);
    const seen = [await changes.next(), await changes.next(), await changes.next()];
    expect(seen.map(({ value }) => value.action)).toEqual(['paused', 'resumed', 'exited']);
    await changes.return?.();
  });

  test('give a slow reader the net difference instead of a growing queue', async () => {
    const engine = fakeEngine();
    const changes = changesOf(engine);
    const first = changes.next();
    await vi.waitUntil(() => engine.openings === 1);
    await new Promise((resolve) => setImmediate(resolve));
    engine.emit(event('created', 'first'));
    expect((await first).value.reference.id).toBe('first');
    for (let round = 0; round < 5_000; round += 1) {
      engine.emit(event('started', 'busy'));
      engine.emit(event('exited', 'busy'));
    }
    engine.emit(event('started', 'busy'));
    engine.emit(event('removed', 'first'));
    const { value: removed } = await changes.next();
    const { value: busy } = await changes.next();
    expect([removed, busy].map(({ action, reference }) => `${action} ${reference.id}`)).toEqual([
      'removed first',
      'started busy',
    ]);
    await changes.return?.();
  });
});
