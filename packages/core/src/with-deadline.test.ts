import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { withDeadline } from './with-deadline.js';

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });

test('ends with the caller’s signal and its reason, from the beginning too', async () => {
  const caller = new AbortController();
  const call = withDeadline(caller.signal, 60_000, untilAborted);
  caller.abort('enough');
  await expect(call).rejects.toBe('enough');
  await expect(withDeadline(caller.signal, 60_000, untilAborted)).rejects.toBe('enough');
});

test('ends when the time is up', async () => {
  await expect(withDeadline(new AbortController().signal, 5, untilAborted)).rejects.toThrow('no answer within 5 ms');
});

test('leaves nothing on the caller’s signal', async () => {
  const { signal } = new AbortController();
  expect(await withDeadline(signal, 60_000, async () => 'answer')).toBe('answer');
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});
