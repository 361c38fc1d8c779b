import { linkController } from './link-controller.js';

/** Gives `run` a signal that also aborts after `timeoutMs`, with a reason whose code is TIMEOUT; leaves no timer behind. */
export async function withDeadline<Value>(
  signal: AbortSignal | undefined,
  timeoutMs: number,
  run: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const limited = linkController(signal);
  const timer = setTimeout(() => {
    limited.abort(Object.assign(new Error(`no answer within ${timeoutMs} ms`), { code: 'TIMEOUT' }));
  }, timeoutMs);
  try {
    return await run(limited.signal);
  } finally {
    clearTimeout(timer);
    limited.unlink();
  }
}
