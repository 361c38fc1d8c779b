/**
 * Runs a call of a client library that may never settle, with a signal of its own: the promise returned here always
 * follows `signal`, and the request is cut off with it. What arrives too late goes to `onLate`, to be released.
 */
export async function settleCall<Value>(
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<Value>,
  onLate?: (value: Value) => void,
): Promise<Value> {
  signal.throwIfAborted();
  // Not the caller's signal itself: what the call opened must outlive a deadline that was meant for the call alone.
  const controller = new AbortController();
  let onAbort = (): void => {};
  const interrupted = new Promise<never>((_, reject) => {
    onAbort = () => {
      reject(signal.reason);
      controller.abort(signal.reason);
    };
    signal.addEventListener('abort', onAbort, { once: true });
  });
  const call = run(controller.signal);
  call.then(
    (value) => {
      if (controller.signal.aborted) onLate?.(value);
    },
    () => {},
  );
  try {
    return await Promise.race([call, interrupted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Gives `run` a signal that also aborts after `timeoutMs`; leaves no timer behind. */
export async function withDeadline<Value>(
  signal: AbortSignal | undefined,
  timeoutMs: number,
  run: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const controller = new AbortController();
  const timer = setTimeout(() => {
    controller.abort(Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'TIMEOUT' }));
  }, timeoutMs);
  const onAbort = (): void => controller.abort(signal?.reason);
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await run(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
