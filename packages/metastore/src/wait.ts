import type { Clock } from './clock.js';

/** Resolves after the time, or at once when the signal aborts. */
export function wait(durationMs: number, { clock, signal }: { clock: Clock; signal: AbortSignal }): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.setTimer(end, durationMs);
    signal.addEventListener('abort', end, { once: true });
  });
}
