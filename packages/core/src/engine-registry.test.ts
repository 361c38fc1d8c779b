import { execFileSync } from 'node:child_process';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { registerEngine, registeredEngines } from './engine-registry.js';
import { fakeDefinition } from './engine-test-double.js';

function types(): string[] {
  return registeredEngines().map((entry) => `${entry.packageName}@${entry.packageVersion}`);
}

describe('the engine registry', () => {
  beforeEach(() => {
    const registry = (globalThis as Record<symbol, { entries: unknown[] }>)[Symbol.for('crikit.engine-registry.v1')];
    registry?.entries.splice(0);
  });

  test('keeps definitions in the order of registration', () => {
    registerEngine(fakeDefinition({ type: 'b', packageName: 'b' }));
    registerEngine(fakeDefinition({ type: 'a', packageName: 'a' }));
    expect(types()).toEqual(['b@1.2.3', 'a@1.2.3']);
  });

  test('takes the same type, package and version once', () => {
    registerEngine(fakeDefinition());
    registerEngine(fakeDefinition());
    expect(types()).toEqual(['engine-fake@1.2.3']);
  });

  test('records a second version without throwing', () => {
    registerEngine(fakeDefinition());
    registerEngine(fakeDefinition({ packageVersion: '2.0.0' }));
    expect(types()).toEqual(['engine-fake@1.2.3', 'engine-fake@2.0.0']);
  });

  test('is one for two copies of this package in a process', async () => {
    registerEngine(fakeDefinition());
    vi.resetModules();
    const other = await import('./engine-registry.js');
    expect(other.registerEngine).not.toBe(registerEngine);
    expect(other.registeredEngines()).toHaveLength(1);
    other.registerEngine(fakeDefinition({ type: 'other' }));
    expect(registeredEngines().map(({ type }) => type)).toEqual(['fake', 'other']);
  });

  test('is plain data under a symbol that other versions can find', () => {
    registerEngine(fakeDefinition());
    const raw = (globalThis as Record<symbol, unknown>)[Symbol.for('crikit.engine-registry.v1')];
    expect(raw).toMatchObject({ layout: 1, entries: [{ type: 'fake' }] });
    expect(Object.getPrototypeOf(raw)).toBe(Object.prototype);
  });

  test('starts empty in another process', () => {
    const script = "console.log(globalThis[Symbol.for('crikit.engine-registry.v1')] === undefined)";
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }).trim()).toBe('true');
  });
});
