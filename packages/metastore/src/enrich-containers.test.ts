import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  type Container,
  type ContainerEnrichments,
  EngineUnavailableError,
  type ExecResult,
  isBiz,
  silentLogger,
  UnsupportedError,
} from '@crikit/core';
import { afterEach, describe, expect, test } from 'vitest';
import { createEnrichment, type Enrichment, type EnrichmentOptions } from './enrich-containers.js';
import type { AnyEnricher, EnricherContext } from './enricher.js';
import { createFakeClock } from './fake-clock.js';

declare module '@crikit/core' {
  interface ContainerEnrichments {
    readonly 'test:value'?: unknown;
    readonly 'test:other'?: unknown;
  }
}

const enrichments: Enrichment[] = [];

afterEach(async () => {
  await Promise.all(enrichments.splice(0).map((enrichment) => enrichment.close()));
});

function makeContainer(id: string, more: Partial<Container> = {}): Container {
  return {
    ...{ engineId: 'memory', engineType: 'memory', scope: '', id, shortId: id.slice(0, 12), name: id, runtime: 'kata' },
    ...{ state: { status: 'running', pid: 42 }, labels: {}, env: {}, mounts: [], withheld: {}, role: 'biz' },
    ...more,
  };
}

type Run = (context: EnricherContext, signal: AbortSignal) => Promise<unknown>;

function makeEnricher(run: Run, more: Partial<AnyEnricher> = {}): AnyEnricher {
  return { name: 'test:value', timeoutMs: 5_000, appliesTo: () => true, run, ...more } as AnyEnricher;
}

function setUp(enrichers: readonly AnyEnricher[], more: Partial<EnrichmentOptions> = {}) {
  const clock = createFakeClock();
  const shown: string[][] = [];
  const enrichment = createEnrichment({
    ...{ enrichers, clock, hostRoot: '/', logger: silentLogger, podOf: () => undefined },
    exec: async () => {
      throw new EngineUnavailableError('away', { retryable: true });
    },
    onValues: (keys) => shown.push([...keys]),
    ...more,
  });
  enrichments.push(enrichment);
  const update = (...containers: Container[]): void =>
    enrichment.update(new Map(containers.map((container) => [container.id, container])));
  const valuesOf = (container: Container): ContainerEnrichments | undefined =>
    enrichment.valuesOf(container.id, container);
  return { clock, enrichment, shown, update, valuesOf };
}

/** Lets everything run that waits for no timer. */
async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('what is enriched', () => {
  test('running biz containers, not in the turn in which they are told', async () => {
    const runs: string[] = [];
    const { update, clock, valuesOf, shown } = setUp([
      makeEnricher(async ({ container }) => {
        runs.push(container.id);
        return container.id;
      }),
    ]);
    const biz = makeContainer('biz');
    update(
      biz,
      makeContainer('sidecar', { role: 'sidecar' }),
      makeContainer('exited', { state: { status: 'exited', pid: 0 } }),
      makeContainer('paused', { state: { status: 'paused', pid: 42 } }),
    );
    expect(runs).toEqual([]);
    await settle();
    expect(runs).toEqual(['biz']);
    await clock.advance(50);
    expect(valuesOf(biz)).toEqual({ 'test:value': 'biz' });
    expect(shown).toEqual([['biz']]);
  });

  test('what several find in several containers is shown in one step, and later ones see what earlier ones found', async () => {
    const { update, clock, shown, valuesOf } = setUp([
      makeEnricher(async () => 1),
      makeEnricher(async ({ container }) => [container['test:value']], { name: 'test:other' }),
    ]);
    update(makeContainer('one'), makeContainer('two'));
    await settle();
    await clock.advance(50);
    expect(shown).toEqual([['one', 'two']]);
    expect(valuesOf(makeContainer('two'))).toEqual({ 'test:value': 1, 'test:other': [1] });
  });

  test('only what an enricher applies to, asked again when the container changes', async () => {
    const { update, clock, valuesOf } = setUp([
      makeEnricher(async () => 'found', { appliesTo: ({ labels }) => labels.wanted === 'yes' }),
    ]);
    update(makeContainer('one'));
    await settle();
    await clock.advance(1_000);
    expect(valuesOf(makeContainer('one'))).toEqual({});
    update(makeContainer('one', { labels: { wanted: 'yes' } }));
    await settle();
    await clock.advance(1_000);
    expect(valuesOf(makeContainer('one'))).toEqual({ 'test:value': 'found' });
  });

  test('a value that is not found anew as another one is not shown again', async () => {
    const { update, clock, shown } = setUp([makeEnricher(async () => ({ same: true }), { refreshMs: 1_000 })]);
    update(makeContainer('one'));
    await settle();
    await clock.advance(5_000);
    expect(shown).toHaveLength(1);
  });

  test('an initial value and reports are shown before the end of a run', async () => {
    let finish!: (value: string) => void;
    const { update, clock, valuesOf } = setUp([
      makeEnricher(
        async ({ report }) => {
          await new Promise((resolve) => setImmediate(resolve));
          report('under way' as never);
          return new Promise((resolve) => {
            finish = resolve;
          });
        },
        { initial: 'not begun' as never },
      ),
    ]);
    const container = makeContainer('one');
    update(container);
    await clock.advance(50);
    await clock.advance(50);
    expect(valuesOf(container)).toEqual({ 'test:value': 'under way' });
    finish('done');
    await settle();
    await clock.advance(50);
    expect(valuesOf(container)).toEqual({ 'test:value': 'done' });
  });
});

describe('limits', () => {
  test('few containers are worked on at once, and all get their turn', async () => {
    let running = 0;
    let most = 0;
    let done = 0;
    const release: (() => void)[] = [];
    const { update } = setUp([
      makeEnricher(async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise<void>((resolve) => release.push(resolve));
        running -= 1;
        done += 1;
      }),
    ]);
    update(...Array.from({ length: 30 }, (_, index) => makeContainer(`container-${index}`)));
    for (let round = 0; round < 100 && done < 30; round += 1) {
      await settle(3);
      release.shift()?.();
    }
    expect(done).toBe(30);
    expect(most).toBe(4);
  });

  test('one pass over the processes serves all that are due together', { timeout: 30_000 }, async () => {
    const passes: unknown[] = [];
    const onPass = (message: unknown): void => {
      passes.push((message as { containers: number }).containers);
    };
    subscribe('tracing:crikit:process-pass:start', onPass);
    try {
      const seen: number[] = [];
      const { update } = setUp([
        makeEnricher(async ({ listProcesses }) => {
          seen.push((await listProcesses()).length);
        }),
      ]);
      update(...Array.from({ length: 20 }, (_, index) => makeContainer(index.toString(16).padStart(64, '0'))));
      const deadline = performance.now() + 20_000;
      while (seen.length < 20 && performance.now() < deadline) await settle();
      expect(seen).toEqual(Array.from({ length: 20 }, () => 0));
      expect(passes).toEqual([20]);
    } finally {
      unsubscribe('tracing:crikit:process-pass:start', onPass);
    }
  });

  test('refreshes of containers that came at different times fall together', async () => {
    const times: number[] = [];
    const { update, clock } = setUp([
      makeEnricher(
        async () => {
          times.push(clock.now());
        },
        { refreshMs: 60_000 },
      ),
    ]);
    for (let index = 0; index < 5; index += 1) {
      update(makeContainer(`container-${index}`));
      await clock.advance(700);
    }
    times.length = 0;
    await clock.advance(60_000);
    expect(times).toHaveLength(5);
    expect(new Set(times).size).toBe(1);
  });

  test('one that never ends is over at its time-out, keeps nobody else waiting and is not joined by another run', async () => {
    let starts = 0;
    let aborted = 0;
    const { update, clock, valuesOf } = setUp([
      makeEnricher(
        async (_, signal) => {
          starts += 1;
          signal.addEventListener('abort', () => {
            aborted += 1;
          });
          return new Promise(() => {});
        },
        { timeoutMs: 2_000 },
      ),
      makeEnricher(async () => 'found', { name: 'test:other' }),
    ]);
    const container = makeContainer('one');
    update(container);
    await settle();
    await clock.advance(1_999);
    expect(valuesOf(container)).toEqual({});
    await clock.advance(100);
    expect(valuesOf(container)).toEqual({ 'test:other': 'found' });
    expect({ starts, aborted }).toEqual({ starts: 1, aborted: 1 });
    await clock.advance(600_000);
    expect(starts).toBe(1);
  });
});

describe('failures', () => {
  test('a retryable one is tried again with growing pauses until it works', async () => {
    const times: number[] = [];
    const { update, clock, valuesOf } = setUp([
      makeEnricher(async () => {
        times.push(clock.now());
        if (times.length < 4) throw new EngineUnavailableError('away', { retryable: true });
        return 'found';
      }),
    ]);
    const container = makeContainer('one');
    const start = clock.now();
    update(container);
    await settle();
    await clock.advance(20_000);
    expect(times.map((time) => time - start)).toEqual([0, 1_000, 3_000, 7_000]);
    expect(valuesOf(container)).toEqual({ 'test:value': 'found' });
  });

  test.each([
    ['a final one', new UnsupportedError('never')],
    ['an unforeseen one', new Error('a bad enricher')],
  ])('%s is not tried again, and the others go on', async (_, error) => {
    let runs = 0;
    const { update, clock, valuesOf } = setUp([
      makeEnricher(async () => {
        runs += 1;
        throw error;
      }),
      makeEnricher(async () => 'found', { name: 'test:other' }),
    ]);
    const container = makeContainer('one');
    update(container);
    await settle();
    await clock.advance(600_000);
    expect(runs).toBe(1);
    expect(valuesOf(container)).toEqual({ 'test:other': 'found' });
  });

  test('one that throws where it may not wait does not apply', async () => {
    const { update, clock, valuesOf } = setUp([
      makeEnricher(async () => 'never', {
        appliesTo: () => {
          throw new Error('a bad enricher');
        },
      }),
    ]);
    update(makeContainer('one'));
    await settle();
    await clock.advance(1_000);
    expect(valuesOf(makeContainer('one'))).toEqual({});
  });

  test('a refresh that fails leaves the value as it was', async () => {
    let runs = 0;
    const { update, clock, valuesOf } = setUp([
      makeEnricher(
        async () => {
          runs += 1;
          if (runs > 1) throw new UnsupportedError('not now');
          return 'found';
        },
        { refreshMs: 1_000 },
      ),
    ]);
    update(makeContainer('one'));
    await settle();
    await clock.advance(5_000);
    expect(runs).toBeGreaterThan(3);
    expect(valuesOf(makeContainer('one'))).toEqual({ 'test:value': 'found' });
  });
});

describe('the life of a container', () => {
  test('what was found stays when it ends and is forgotten when it is started anew', async () => {
    let runs = 0;
    const { update, clock, valuesOf } = setUp([makeEnricher(async () => (runs += 1))]);
    const first = makeContainer('one');
    update(first);
    await settle();
    await clock.advance(1_000);
    const exited = makeContainer('one', { state: { status: 'exited', pid: 0 } });
    expect(valuesOf(exited)).toEqual({ 'test:value': 1 });
    update(exited);
    const second = makeContainer('one', { state: { status: 'running', pid: 43 } });
    expect(valuesOf(second)).toBeUndefined();
    update(second);
    await settle();
    await clock.advance(1_000);
    expect(valuesOf(second)).toEqual({ 'test:value': 2 });
  });

  test('its end aborts what is under way, and what that still brings is dropped', async () => {
    let finish!: (value: string) => void;
    let reason: unknown;
    const { update, clock, valuesOf } = setUp([
      makeEnricher((_, signal) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason;
        });
        return new Promise((resolve) => {
          finish = resolve;
        });
      }),
    ]);
    update(makeContainer('one'));
    await settle();
    const exited = makeContainer('one', { state: { status: 'exited', pid: 0 } });
    update(exited);
    expect(reason).toBeDefined();
    finish('late');
    await settle();
    await clock.advance(1_000);
    expect(valuesOf(exited)).toEqual({});
  });

  test('after a pause what was found is kept, and what was not finished is done', async () => {
    let runs = 0;
    let finish!: (value: string) => void;
    const { update, clock, valuesOf } = setUp([
      makeEnricher(async () => (runs += 1)),
      makeEnricher(
        () =>
          new Promise((resolve) => {
            finish = resolve;
          }),
        { name: 'test:other' },
      ),
    ]);
    const container = makeContainer('one');
    update(container);
    await settle();
    await clock.advance(50);
    const abandon = finish;
    update(makeContainer('one', { state: { status: 'paused', pid: 42 } }));
    abandon('abandoned');
    await settle();
    update(container);
    await clock.advance(1_000);
    finish('found');
    await settle();
    await clock.advance(1_000);
    expect(runs).toBe(1);
    expect(valuesOf(container)).toEqual({ 'test:value': 1, 'test:other': 'found' });
  });

  test('nothing is kept of one that is gone', async () => {
    const { update, clock, enrichment, valuesOf } = setUp([makeEnricher(async () => 'found')]);
    update(makeContainer('one'));
    await settle();
    await clock.advance(1_000);
    enrichment.update(new Map([['one', undefined]]));
    expect(valuesOf(makeContainer('one'))).toBeUndefined();
    expect(clock.timers()).toBe(0);
  });

  test('close aborts what runs, leaves no timer and starts nothing any more', async () => {
    let runs = 0;
    const signals: AbortSignal[] = [];
    const { update, clock, enrichment } = setUp([
      makeEnricher(
        async (_, signal) => {
          runs += 1;
          signals.push(signal);
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        },
        { refreshMs: 1_000 },
      ),
    ]);
    update(...Array.from({ length: 10 }, (_, index) => makeContainer(`container-${index}`)));
    await settle();
    await enrichment.close();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true, true]);
    expect(clock.timers()).toBe(0);
    update(makeContainer('late'));
    await settle();
    expect(runs).toBe(4);
  });
});

test('an exec uses a shell that is open, unless it says otherwise', async () => {
  const asked: (boolean | undefined)[] = [];
  const { update } = setUp(
    [
      makeEnricher(async ({ exec }) => {
        await exec({ cmd: ['true'] });
        await exec({ cmd: ['true'], reuse: false });
      }),
    ],
    {
      exec: async (_container, { cmd, reuse }) => {
        asked.push(reuse);
        return { cmd, exitCode: 0, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), truncated: false };
      },
    },
  );
  update(makeContainer('one'));
  await settle();
  expect(asked).toEqual([true, false]);
});

test('an exec ends with its run', async () => {
  let signal: AbortSignal | undefined;
  const { update, clock } = setUp([makeEnricher(({ exec }) => exec({ cmd: ['hang'] }), { timeoutMs: 1_000 })], {
    exec: (container, request) => {
      expect(isBiz(container)).toBe(true);
      signal = request.signal;
      return new Promise<ExecResult>(() => {});
    },
  });
  update(makeContainer('one'));
  await settle();
  expect(signal?.aborted).toBe(false);
  await clock.advance(1_000);
  expect(signal?.aborted).toBe(true);
});
