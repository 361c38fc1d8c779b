/**
 * Calls with a signal that aborts with `signal`, and when the time is up. Not by `AbortSignal.any`: on Node 20 a signal of
 * `AbortSignal.timeout` that nothing else refers to may be collected before it fires.
 */
export async function callWithin<Value>(
  timeoutMs: number,
  signal: AbortSignal,
  call: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const limited = new AbortController();
  const onAbort = (): void => limited.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => limited.abort(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await call(limited.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}
