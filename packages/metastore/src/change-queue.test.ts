import { expect, test } from 'vitest';
import { createChangeQueue } from './change-queue.js';
import { createFakeClock } from './fake-clock.js';

function makeQueue(options: { maxParallel?: number } = {}) {
  const clock = createFakeClock();
  const runs: { items: readonly string[]; atMs: number; end: (error?: Error) => void }[] = [];
  const errors: unknown[] = [];
  const queue = createChangeQueue<string>({
    clock,
    ...options,
    onError: (error) => errors.push(error),
    run: (items) =>
      new Promise((resolve, reject) => {
        runs.push({ items, atMs: clock.now(), end: (error) => (error === undefined ? resolve() : reject(error)) });
      }),
  });
  return { clock, runs, errors, queue, touch: (group: string, item: string) => queue.touch(group, item, item) };
}

test('the first change acts at once; what comes meanwhile runs together when it ends, each item once', async () => {
  const { runs, touch, clock } = makeQueue();
  touch('pod', 'a');
  expect(runs.map(({ items }) => items)).toEqual([['a']]);
  touch('pod', 'b');
  touch('pod', 'a');
  touch('pod', 'b');
  expect(runs).toHaveLength(1);
  runs[0]?.end();
  await clock.advance(0);
  expect(runs.map(({ items }) => items)).toEqual([['a'], ['b', 'a']]);
});

test('groups do not wait for one another, up to the limit of look-ups at once', async () => {
  const { runs, touch, clock } = makeQueue({ maxParallel: 2 });
  for (const group of ['one', 'two', 'three', 'four']) touch(group, group);
  touch('three', 'three again');
  expect(runs.map(({ items }) => items)).toEqual([['one'], ['two']]);
  runs[1]?.end();
  await clock.advance(0);
  expect(runs[2]?.items).toEqual(['three', 'three again']);
  runs[0]?.end();
  await clock.advance(0);
  expect(runs[3]?.items).toEqual(['four']);
});

test('a group with more than 10 changes in 10 s gets one look-up a second, and is quick again after a rest', async () => {
  const { runs, touch, clock } = makeQueue();
  const change = async () => {
    touch('pod', 'a');
    runs.at(-1)?.end();
    await clock.advance(0);
  };
  for (let number = 0; number < 10; number += 1) await change();
  expect(runs).toHaveLength(10);
  const startMs = clock.now();
  for (let number = 0; number < 30; number += 1) {
    await change();
    await clock.advance(100);
  }
  expect(runs.slice(10).map(({ atMs }) => atMs - startMs)).toEqual([1_000, 2_000, 3_000]);

  touch('other pod', 'b');
  expect(runs.at(-1)?.items).toEqual(['b']);

  for (const run of runs) run.end();
  await clock.advance(20_000);
  const before = runs.length;
  for (const run of runs) run.end();
  await change();
  expect(runs).toHaveLength(before + 1);
  expect(clock.timers()).toBe(0);
});

test('a look-up that rejects is reported, and the next one runs', async () => {
  const { runs, touch, clock, errors } = makeQueue();
  touch('pod', 'a');
  touch('pod', 'b');
  runs[0]?.end(new Error('broken'));
  await clock.advance(0);
  expect(errors).toEqual([new Error('broken')]);
  expect(runs[1]?.items).toEqual(['b']);
});

test('close forgets what waits and clears its timers', async () => {
  const { runs, touch, clock, queue } = makeQueue();
  for (let number = 0; number < 11; number += 1) {
    touch('busy', 'a');
    runs.at(-1)?.end();
    await clock.advance(0);
  }
  expect(clock.timers()).toBe(1);
  touch('pod', 'a');
  touch('pod', 'b');
  queue.close();
  expect(clock.timers()).toBe(0);
  for (const run of runs) run.end();
  await clock.advance(5_000);
  touch('pod', 'c');
  expect(runs).toHaveLength(11);
});
