import type { Clock } from './clock.js';

export interface RequestPaceOptions {
  readonly clock: Clock;
  /** The least time, on average, between two requests of a server that fails. */
  readonly requestSpacingMs: number;
  /** The longest pause, before up to half of it is added by chance. */
  readonly maximumBackOffMs: number;
  /** From 0 up to 1. Default: `Math.random`. */
  readonly random?: () => number;
}

/**
 * When to ask a server again. However it fails, and however many requests an attempt takes, they are never more than one
 * each `requestSpacingMs` on average; what failed for the first time after a good while is tried again at once.
 */
export interface RequestPace {
  /** A request goes out now. */
  noteRequest(): void;
  /** The server did what it should for long enough that the next failure is a first one. */
  noteHealth(): void;
  /** Failures since the last `noteHealth`. */
  readonly failures: number;
  /** How long to wait before the next request, after a failure or after a good end. */
  pauseMs(after: { readonly failed: boolean; readonly retryAfterMs?: number | undefined }): number;
}

export function createRequestPace(options: RequestPaceOptions): RequestPace {
  const { clock, requestSpacingMs, maximumBackOffMs, random = Math.random } = options;
  let failures = 0;
  let requests = 0;
  let firstRequestMs = 0;
  return {
    noteRequest: () => {
      if (requests === 0) firstRequestMs = clock.now();
      requests += 1;
    },
    noteHealth: () => {
      failures = 0;
    },
    get failures() {
      return failures;
    },
    pauseMs: ({ failed, retryAfterMs = 0 }) => {
      if (failed) failures += 1;
      // Requests of an attempt that followed each other at once are paid for before the next attempt.
      const owedMs = requests === 0 ? 0 : Math.max(0, firstRequestMs + requests * requestSpacingMs - clock.now());
      requests = 0;
      const backOffMs = failures < 2 ? 0 : Math.min(requestSpacingMs * 2 ** (failures - 2), maximumBackOffMs);
      return Math.max(owedMs, backOffMs * (1 + random() / 2), retryAfterMs);
    },
  };
}
