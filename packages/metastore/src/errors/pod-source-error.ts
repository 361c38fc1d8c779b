import { CrikitError, type CrikitErrorOptions } from '@crikit/core';

/**
 * - `UNAVAILABLE`: no connection, it broke, or the server says that it cannot now. Tried again.
 * - `TIMEOUT`: no answer in time, or a stream that went silent. Tried again.
 * - `PERMISSION`: 401 or 403. Tried again, since a token or a role may come.
 * - `PROTOCOL`: an answer that is none of Kubernetes. Tried again.
 * - `UNSUPPORTED`: this process is not where the source works; final.
 */
export type PodSourceErrorCode = 'UNAVAILABLE' | 'TIMEOUT' | 'PERMISSION' | 'PROTOCOL' | 'UNSUPPORTED';

export interface PodSourceErrorOptions extends Omit<CrikitErrorOptions, 'engine' | 'applied'> {
  /** The HTTP status, or the code of a watch's ERROR event. */
  readonly status?: number;
  /** How long the server asks to be left alone. */
  readonly retryAfterMs?: number;
}

/** A pod source cannot tell what pods there are. */
export class PodSourceError extends CrikitError {
  declare readonly code: PodSourceErrorCode;
  /** The HTTP status, or the code of a watch's ERROR event; absent when there was no answer. */
  readonly status: number | undefined;
  /** How long the server asks to be left alone; absent when it does not. */
  readonly retryAfterMs: number | undefined;

  constructor(code: PodSourceErrorCode, message: string, options: PodSourceErrorOptions = {}) {
    const { status, retryAfterMs, ...rest } = options;
    super('PodSourceError', code, message, { retryable: code !== 'UNSUPPORTED', ...rest, applied: 'no' });
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** True for a {@link PodSourceError} of any copy of this package. */
export function isPodSourceError(error: unknown): error is PodSourceError {
  return typeof error === 'object' && error !== null && Symbol.for('crikit.error.PodSourceError') in error;
}
