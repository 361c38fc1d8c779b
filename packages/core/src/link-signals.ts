export interface LinkedSignal {
  readonly signal: AbortSignal;
  /** Lets go of the signals that were linked. */
  unlink(): void;
}

/**
 * A signal that aborts with the first of several. Not `AbortSignal.any`: on Node 20 a signal of `AbortSignal.timeout` that
 * nothing else refers to is collected before it fires, and whoever waits for it waits for ever.
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
    unlink() {
      for (const signal of signals) signal?.removeEventListener('abort', onAbort);
    },
  };
}
