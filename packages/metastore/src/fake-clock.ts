import type { Clock } from './clock.js';

/** For tests: time that moves only when told to. */
export interface FakeClock extends Clock {
  /** Moves time on and calls what is due, in order; resolves when what that set off has run. */
  advance(durationMs: number): Promise<void>;
  /** How many timers wait. */
  timers(): number;
}

export function createFakeClock(): FakeClock {
  let nowMs = 1_000_000;
  const timers = new Set<{ readonly dueMs: number; readonly run: () => void }>();
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return {
    now: () => nowMs,
    setTimer: (run, delayMs) => {
      const timer = { dueMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    timers: () => timers.size,
    advance: async (durationMs) => {
      const endMs = nowMs + durationMs;
      for (;;) {
        const [next] = [...timers].filter(({ dueMs }) => dueMs <= endMs).sort((one, other) => one.dueMs - other.dueMs);
        if (next === undefined) break;
        timers.delete(next);
        nowMs = Math.max(nowMs, next.dueMs);
        next.run();
        await settle();
      }
      nowMs = endMs;
      await settle();
    },
  };
}
