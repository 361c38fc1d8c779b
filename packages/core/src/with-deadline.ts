import { linkSignals } from './link-signals.js';

/**
 * Gives `run` a signal that aborts with `signal`, and after `timeoutMs` with an error whose `code` is `TIMEOUT`; leaves
 * no timer and no listener behind. It settles as `run` does: one that does not follow its signal is waited for.
 */
export async function withDeadline<Value>(
  signal: AbortSignal | undefined,
  timeoutMs: number,
  run: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const limited = linkSignals([signal]);
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
