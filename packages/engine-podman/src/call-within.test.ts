import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { callWithin } from './call-within.js';

const untilAborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason));
  });

test('ends with the caller’s signal and its reason, from the beginning too', async () => {
  const caller = new AbortController();
  const call = callWithin(60_000, caller.signal, untilAborted);
  caller.abort('enough');
  await expect(call).rejects.toBe('enough');
  await expect(callWithin(60_000, caller.signal, untilAborted)).rejects.toBe('enough');
});

test('ends when the time is up', async () => {
  await expect(callWithin(5, new AbortController().signal, untilAborted)).rejects.toThrow('no answer within 5 ms');
});

test('leaves nothing on the caller’s signal', async () => {
  const { signal } = new AbortController();
  expect(await callWithin(60_000, signal, async () => 'answer')).toBe('answer');
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});
