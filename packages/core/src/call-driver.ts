import { type CrikitError, isCrikitError } from './errors/crikit-error.js';
import { EngineTimeoutError } from './errors/engine-timeout-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { ProtocolError } from './errors/protocol-error.js';

export interface DriverCallOptions {
  /** For messages: `list containers`. */
  readonly what: string;
  readonly engine: string;
  readonly timeoutMs: number;
  /**
   * One signal or several. Not one made by `AbortSignal.any`: on Node 20 those leave a trace on each signal that they were
   * made from for as long as that lives, and an engine's own lives long.
   */
  readonly signal?: AbortSignal | readonly AbortSignal[] | undefined;
  /** Gets what the driver delivers after the caller has already been answered, to release it. */
  readonly onLate?: (value: never) => void;
}

/**
 * Calls a driver with a deadline. Some client libraries leave a promise unsettled for ever, so the deadline and the
 * caller's signal are raced against the call as well as handed to it.
 */
export async function callDriver<Value>(
  options: DriverCallOptions & { readonly onLate?: (value: Value) => void },
  run: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const signals = listSignals(options.signal);
  const aborted = signals.find((signal) => signal.aborted);
  if (aborted !== undefined) throw abortedBefore(options, aborted);
  const controller = new AbortController();
  let settled = false;
  let timer: NodeJS.Timeout | undefined;
  let onAbort = (): void => {};
  const interruption = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new EngineTimeoutError(`Could not ${options.what}: no answer within ${options.timeoutMs} ms.`, {
          engine: options.engine,
          retryable: true,
          remedy: 'Look whether the daemon hangs; `timeoutMs` gives it longer.',
        }),
      );
      controller.abort();
    }, options.timeoutMs);
    onAbort = () => {
      const reason: unknown = signals.find((signal) => signal.aborted)?.reason;
      reject(
        new OperationAbortedError(`Could not ${options.what}: the caller's signal ended the call.`, {
          engine: options.engine,
          cause: reason,
        }),
      );
      controller.abort(reason);
    };
    for (const signal of signals) signal.addEventListener('abort', onAbort, { once: true });
  });
  const call = (async () => run(controller.signal))();
  call.then(
    (value) => {
      if (settled) options.onLate?.(value);
    },
    () => {},
  );
  try {
    return await Promise.race([call, interruption]);
  } catch (error) {
    throw asEngineError(error, options);
  } finally {
    settled = true;
    clearTimeout(timer);
    for (const signal of signals) signal.removeEventListener('abort', onAbort);
  }
}

/** What a driver threw that is no typed error is a defect of the driver, and is reported as one. */
export function asEngineError(error: unknown, about: { readonly what: string; readonly engine: string }): CrikitError {
  if (isCrikitError(error)) return error;
  return new ProtocolError(`Could not ${about.what}: ${error instanceof Error ? error.message : String(error)}.`, {
    engine: about.engine,
    cause: error,
  });
}

function listSignals(signal: DriverCallOptions['signal']): readonly AbortSignal[] {
  if (signal === undefined) return [];
  return 'aborted' in signal ? [signal] : signal;
}

function abortedBefore(options: DriverCallOptions, signal: AbortSignal): OperationAbortedError {
  return new OperationAbortedError(`Could not ${options.what}: the caller's signal had already been aborted.`, {
    engine: options.engine,
    applied: 'no',
    cause: signal.reason,
  });
}
