import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ContainerEngine } from './container-engine.js';
import { createContainerEngine } from './create-container-engine.js';
import type { EngineDefinition, EngineDriver, ProbeAttempt } from './engine-contract.js';
import { registerEngine } from './engine-registry.js';
import { fakeDefinition, fakeDriver } from './engine-test-double.js';
import { isNoEngineError } from './errors/no-engine-error.js';
import { connectEngine, createEngineSelector, type EngineSelector, selectEngines } from './select-engines.js';

const events = { openEvents: async () => ({ ended: new Promise<never>(() => {}), async [Symbol.asyncDispose]() {} }) };

function engineOf(type: string, members: Partial<EngineDefinition> = {}, driver: Partial<EngineDriver> = {}) {
  return fakeDefinition({
    type,
    packageName: `engine-${type}`,
    connect: async () => fakeDriver({ id: `${type}:/sock`, ...driver }),
    ...members,
  });
}

function attempt(members: Partial<ProbeAttempt>): ProbeAttempt {
  return { endpoint: '/s', origin: 'well-known', step: 'stat', outcome: 'failed', message: '/s: no.', ...members };
}

describe('choosing engines', () => {
  beforeEach(() => {
    const registry = (globalThis as Record<symbol, { entries: unknown[] }>)[Symbol.for('crikit.engine-registry.v1')];
    registry?.entries.splice(0);
  });

  test('takes every registered engine that answers', async () => {
    registerEngine(engineOf('a'));
    registerEngine(engineOf('b'));
    registerEngine(engineOf('c', { probe: async () => ({ status: 'not-applicable', attempts: [] }) }));
    expect((await selectEngines()).map(({ id }) => id)).toEqual(['a:/sock', 'b:/sock']);
  });

  test('takes engines by type', async () => {
    registerEngine(engineOf('a'));
    registerEngine(engineOf('b'));
    expect((await selectEngines({ engines: ['b'] })).map(({ type }) => type)).toEqual(['b']);
  });

  test('takes engines by the features that are required', async () => {
    registerEngine(engineOf('never', { possibleFeatures: ['archive'] }));
    registerEngine(engineOf('not-here'));
    registerEngine(engineOf('has-them', {}, { features: { events } }));
    expect((await selectEngines({ engines: { require: ['events'] } })).map(({ type }) => type)).toEqual(['has-them']);
  });

  test('takes given definitions and given engines without any registry', async () => {
    const ready = createContainerEngine(fakeDefinition({ type: 'ready' }), fakeDriver({ id: 'ready:' }));
    const found = await selectEngines({ engines: [engineOf('a'), ready] });
    expect(found.map(({ id }) => id)).toEqual(['a:/sock', 'ready:']);
    expect(found[1]).toBe(ready);
  });

  test('reports a clash with both names, unless the type is not wanted', async () => {
    registerEngine(engineOf('a'));
    registerEngine(engineOf('a', { packageName: 'other', packageVersion: '9.0.0' }));
    registerEngine(engineOf('b'));
    await expect(selectEngines()).rejects.toMatchObject({
      code: 'ENGINE_CLASH',
      candidates: ['engine-a 1.2.3', 'other 9.0.0'],
    });
    expect(await selectEngines({ engines: ['b'] })).toHaveLength(1);
  });

  test('says which package to update when the contract differs', async () => {
    registerEngine(engineOf('old', { contractVersion: 0 }));
    registerEngine(engineOf('new', { contractVersion: 99 }));
    const error = await selectEngines().catch((caught: unknown) => caught);
    expect(String(error)).toMatch(/old .*update engine-old/);
    expect(String(error)).toMatch(/new .*update @crikit\/core/);
    await expect(connectEngine(engineOf('old', { contractVersion: 0 }))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  test('lists every attempt of every engine with its remedy when nothing fits', async () => {
    const failures: Partial<ProbeAttempt>[] = [
      { outcome: 'absent', code: 'ENOENT', message: '/missing does not exist.' },
      { code: 'EACCES', message: '/denied: permission denied.', remedy: 'Join the group docker.' },
      { code: 'ECONNREFUSED', message: '/dead: connection refused.', remedy: 'Start the daemon.' },
      { code: 'ENOTSOCK', message: '/file is not a socket.' },
      { step: 'version', code: 'TOO_OLD', message: '/old has API 1.12.', remedy: 'Update it.' },
    ];
    registerEngine(engineOf('a', { probe: async () => ({ status: 'failed', attempts: failures.map(attempt) }) }));
    registerEngine(engineOf('b', { probe: async () => Promise.reject(new Error('probe broke')) }));
    const error = await selectEngines().catch((caught: unknown) => caught);
    if (!isNoEngineError(error)) throw error;
    for (const { code, message, remedy } of failures) {
      expect(error.message).toContain(message);
      expect(error.message).toContain(`(${code})`);
      expect(error.message).toContain(remedy ?? '');
    }
    expect(error.message).toContain('probe broke');
    expect(error.reports.map(({ type, status }) => [type, status])).toEqual([
      ['a', 'failed'],
      ['b', 'failed'],
    ]);
  });

  test('gives a hung probe up after its deadline', async () => {
    registerEngine(engineOf('hung', { probe: () => new Promise(() => {}) }));
    await expect(selectEngines()).rejects.toThrow(/hung .*\n.*no answer within 2000 ms/);
  });

  test('tells what to import when nothing is registered, in general and for one type', async () => {
    await expect(selectEngines()).rejects.toThrow(/none is registered. Import an engine package/);
    await expect(selectEngines({ engines: ['docker'] })).rejects.toThrow(
      /import one, such as '@crikit\/engine-docker'/,
    );
  });

  test.each([[[]], [['a', fakeDefinition()]]])('refuses %j as a choice', async (engines) => {
    await expect(selectEngines({ engines: engines as never })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('carries on with the others when one cannot be connected', async () => {
    registerEngine(engineOf('a', { connect: () => Promise.reject(new Error('handshake failed')) }));
    registerEngine(engineOf('b'));
    expect((await selectEngines()).map(({ type }) => type)).toEqual(['b']);
  });
});

describe('the engine selector', () => {
  let selector: EngineSelector | undefined;

  afterEach(async () => {
    await selector?.close();
    selector = undefined;
  });

  test('finds an engine that starts later', async () => {
    let here = false;
    const found: ContainerEngine[] = [];
    const appeared = new Promise<void>((resolve) => {
      selector = createEngineSelector({
        engines: [
          engineOf('late', { probe: async () => ({ status: here ? 'available' : 'not-applicable', attempts: [] }) }),
        ],
        firstRetryMs: 1,
        onEngine(engine) {
          found.push(engine);
          resolve();
        },
      });
    });
    await selector?.start();
    expect(selector?.reports()).toMatchObject([{ type: 'late', status: 'not-applicable' }]);
    here = true;
    await appeared;
    expect(found.map(({ id }) => id)).toEqual(['late:/sock']);
    expect(selector?.reports()).toMatchObject([{ status: 'connected', engineId: 'late:/sock' }]);
  });

  test('closes what it connected and leaves open what was given', async () => {
    const closed: string[] = [];
    const disposing = (id: string): Partial<EngineDriver> => ({
      id,
      async [Symbol.asyncDispose]() {
        closed.push(id);
      },
    });
    const given = createContainerEngine(fakeDefinition(), fakeDriver(disposing('given')));
    selector = createEngineSelector({ engines: [engineOf('own', {}, disposing('own')), given], onEngine: () => {} });
    await selector.start();
    await selector.close();
    expect(closed).toEqual(['own']);
  });

  test('stops looking when it is closed', async () => {
    let probes = 0;
    const probe = async () => {
      probes += 1;
      return { status: 'not-applicable' as const, attempts: [] };
    };
    selector = createEngineSelector({
      engines: [engineOf('absent', { probe })],
      firstRetryMs: 60_000,
      onEngine: () => {},
    });
    await selector.start();
    await selector.close();
    expect(probes).toBe(1);
  });
});
