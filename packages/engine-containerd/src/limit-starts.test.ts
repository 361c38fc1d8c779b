import { describe, expect, test } from 'vitest';
import { createStartLimits } from './limit-starts.js';

describe('starts', () => {
  test('of one key run at most so many at once, those of another beside them', async () => {
    const limit = createStartLimits(2);
    const { signal } = new AbortController();
    const order: string[] = [];
    const ends: (() => void)[] = [];
    const start = (key: string, name: string): Promise<void> =>
      limit(key, signal, async () => {
        order.push(name);
        await new Promise<void>((resolve) => ends.push(resolve));
      });
    const all = [start('a', 'a1'), start('a', 'a2'), start('a', 'a3'), start('b', 'b1'), start('a', 'a4')];
    await Promise.resolve();
    expect(order).toEqual(['a1', 'a2', 'b1']);
    for (let next = ends.shift(); next !== undefined; next = ends.shift()) {
      next();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(all);
    expect(order).toEqual(['a1', 'a2', 'b1', 'a3', 'a4']);
  });

  test('that fail make room, and one that is given up while it waits is not run', async () => {
    const limit = createStartLimits(1);
    const { signal } = new AbortController();
    const givenUp = new AbortController();
    let fail = (): void => {};
    const first = limit(
      'a',
      signal,
      () =>
        new Promise((_, reject) => {
          fail = () => reject(new Error('failed'));
        }),
    );
    const second = limit('a', givenUp.signal, async () => 'ran');
    const third = limit('a', signal, async () => 'ran');
    givenUp.abort(new Error('given up'));
    await expect(second).rejects.toThrow('given up');
    fail();
    await expect(first).rejects.toThrow('failed');
    expect(await third).toBe('ran');
    expect(await limit('a', signal, async () => 'again')).toBe('again');
  });
});
