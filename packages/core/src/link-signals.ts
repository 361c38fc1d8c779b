export interface LinkedSignal {
  readonly signal: AbortSignal;
  /** Aborts this signal alone. */
  abort(reason?: unknown): void;
  /** Lets go of the signals that were linked, which would otherwise hold on to this one for as long as they live. */
  unlink(): void;
}

/**
 * A signal that aborts with the first of several, and for its reason; undefined ones never abort. Call `unlink` when what
 * the signal was for is over. Not `AbortSignal.any`: on Node 20 a signal of `AbortSignal.timeout` that nothing else refers
 * to is collected before it fires, and whoever waits for it waits for ever; and a source that lives long keeps a trace of
 * each signal that was made of it.
 */
export function linkSignals(signals: readonly (AbortSignal | undefined)[]): LinkedSignal {
  const controller = new AbortController();
  const onAbort = (event: Event): void => controller.abort((event.target as AbortSignal).reason);
  for (const signal of signals) {
    if (signal?.aborted === true) controller.abort(signal.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
  }
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink() {
      for (const signal of signals) signal?.removeEventListener('abort', onAbort);
    },
  };
}
