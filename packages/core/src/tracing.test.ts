import { tracingChannel } from 'node:diagnostics_channel';
import { expect, test } from 'vitest';
import { trace } from './tracing.js';

test('tells subscribers of the beginning, the end and the error of an operation', async () => {
  const seen: string[] = [];
  const subscribers = {
    start: () => seen.push('start'),
    end: () => {},
    asyncStart: () => {},
    asyncEnd: (message: object) => seen.push(`end ${(message as { engine: string }).engine}`),
    error: (message: object) => seen.push(`error ${(message as { error: Error }).error.message}`),
  };
  const channel = tracingChannel('crikit:test');
  channel.subscribe(subscribers);
  try {
    expect(await trace('test', { engine: 'one' }, async () => 42)).toBe(42);
    await expect(trace('test', { engine: 'two' }, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  } finally {
    channel.unsubscribe(subscribers);
  }
  expect(seen).toEqual(['start', 'end one', 'start', 'error no', 'end two']);
});

test('changes nothing when nobody listens', async () => {
  expect(await trace('silent', { engine: 'one' }, async () => 'value')).toBe('value');
});
