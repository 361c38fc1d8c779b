import { describe, expect, it } from 'vitest';
import { parseIdMap } from './id-map.js';

describe('parseIdMap', () => {
  it('leaves ids alone where there is no user namespace', () => {
    const ids = parseIdMap('         0          0 4294967295\n');
    expect([ids.toContainer(0), ids.toHost(0), ids.toContainer(1000), ids.toHost(65_534)]).toEqual([
      0, 0, 1000, 65_534,
    ]);
  });

  it('maps by ranges, and says nobody of what is in none', () => {
    const ids = parseIdMap('0 100000 1000\n1000 1000 1\n1001 101000 64535\n');
    expect([ids.toContainer(100_000), ids.toContainer(1000), ids.toContainer(101_001)]).toEqual([0, 1000, 1002]);
    expect([ids.toHost(0), ids.toHost(999), ids.toHost(1000), ids.toHost(1002)]).toEqual([
      100_000, 100_999, 1000, 101_001,
    ]);
    expect(ids.toContainer(0)).toBe(65_534);
    expect(() => ids.toHost(70_000)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
