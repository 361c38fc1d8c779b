export interface LinkedController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** Lets go of the signal that it was linked to. */
  unlink(): void;
}

/**
 * A controller that also aborts when `source` does. Not `AbortSignal.any`: on Node 20 that leaves a trace on a source that
 * lives long, for each signal made of it, and does not hear a source of `AbortSignal.timeout` that nobody else holds.
 */
export function linkController(source: AbortSignal | undefined): LinkedController {
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(source?.reason);
  if (source?.aborted === true) onAbort();
  else source?.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink: () => source?.removeEventListener('abort', onAbort),
  };
}
