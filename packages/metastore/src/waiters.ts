/** Waits for what a store does not show yet. */
import { ClosedError, OperationAbortedError } from '@crikit/core';
import type { Clock } from './clock.js';

export interface WaitOptions {
  /** Default: as long as it takes. */
  readonly timeoutMs?: number;
  /** Gives up. */
  readonly signal?: AbortSignal;
}

export interface Waiters {
  /** Resolves with what `find` gives, as soon as it does; rejects with `failure()` when the time is up. */
  wait<Found>(find: () => Found | undefined, options: WaitOptions, failure: () => Error): Promise<Found>;
  /** To be called after each change. */
  check(): void;
  /** Whoever still waits gets `ClosedError`. */
  close(): void;
}

export function createWaiters(clock: Clock): Waiters {
  const waiting = new Set<{ readonly look: () => void; readonly fail: (error: unknown) => void }>();
  const closedError = (): ClosedError => new ClosedError('The store was closed.', { applied: 'no' });
  let closed = false;
  return {
    wait: (find, { timeoutMs, signal }, failure) =>
      new Promise((resolve, reject) => {
        let cancelTimer: (() => void) | undefined;
        const onAbort = (): void =>
          waiter.fail(new OperationAbortedError('The wait was aborted.', { cause: signal?.reason, applied: 'no' }));
        const end = (): void => {
          waiting.delete(waiter);
          cancelTimer?.();
          signal?.removeEventListener('abort', onAbort);
        };
        const waiter = {
          look: () => {
            try {
              const found = find();
              if (found === undefined) return;
              end();
              resolve(found);
            } catch (error) {
              waiter.fail(error);
            }
          },
          fail: (error: unknown) => {
            end();
            reject(error);
          },
        };
        waiting.add(waiter);
        if (signal?.aborted === true) return onAbort();
        waiter.look();
        if (!waiting.has(waiter)) return;
        if (closed) return waiter.fail(closedError());
        signal?.addEventListener('abort', onAbort, { once: true });
        if (timeoutMs !== undefined) cancelTimer = clock.setTimer(() => waiter.fail(failure()), timeoutMs);
      }),
    check: () => {
      for (const { look } of [...waiting]) look();
    },
    close: () => {
      closed = true;
      for (const { fail } of [...waiting]) fail(closedError());
    },
  };
}
