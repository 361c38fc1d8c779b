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
