import { describe, expect, test, vi } from 'vitest';
import { callDriver } from './call-driver.js';
import { NoSuchContainerError } from './errors/no-such-container-error.js';

const about = { what: 'inspect it', engine: 'fake:/sock', timeoutMs: 5_000 };

describe('callDriver', () => {
  test('gives the value', async () => {
    expect(await callDriver(about, async () => 42)).toBe(42);
  });

  test('answers in time when a driver never settles, and aborts its signal', async () => {
    let seen: AbortSignal | undefined;
    const call = callDriver({ ...about, timeoutMs: 5 }, (signal) => {
      seen = signal;
      return new Promise<never>(() => {});
    });
    await expect(call).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true, engine: 'fake:/sock' });
    expect(seen?.aborted).toBe(true);
  });

  test('ends with the caller’s signal, before and during the call', async () => {
    const controller = new AbortController();
    const call = callDriver({ ...about, signal: controller.signal }, () => new Promise<never>(() => {}));
    controller.abort(new Error('enough'));
    await expect(call).rejects.toMatchObject({ code: 'ABORTED', cause: { message: 'enough' } });
    const run = vi.fn();
    await expect(callDriver({ ...about, signal: controller.signal }, run)).rejects.toMatchObject({
      code: 'ABORTED',
      applied: 'no',
    });
    expect(run).not.toHaveBeenCalled();
  });

  test('hands what comes too late to be released', async () => {
    let deliver: (value: string) => void = () => {};
    const late: string[] = [];
    const call = callDriver<string>({ ...about, timeoutMs: 5, onLate: (value) => late.push(value) }, () => {
      return new Promise((resolve) => {
        deliver = resolve;
      });
    });
    await expect(call).rejects.toMatchObject({ code: 'TIMEOUT' });
    deliver('a connection');
    await vi.waitUntil(() => late.length > 0);
    expect(late).toEqual(['a connection']);
  });

  test('leaves typed errors as they are and wraps the others, also those thrown at once', async () => {
    const typed = new NoSuchContainerError('gone');
    await expect(callDriver(about, () => Promise.reject(typed))).rejects.toBe(typed);
    const wrapped = callDriver(about, () => {
      throw new RangeError('oops');
    });
    await expect(wrapped).rejects.toMatchObject({
      code: 'PROTOCOL',
      message: 'Could not inspect it: oops. [fake:/sock]',
    });
  });

  test('removes its listener from the caller’s signal', async () => {
    const controller = new AbortController();
    const remove = vi.spyOn(controller.signal, 'removeEventListener');
    await callDriver({ ...about, signal: controller.signal }, async () => 1);
    expect(remove).toHaveBeenCalledTimes(1);
  });
});
