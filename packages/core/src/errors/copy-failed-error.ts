import type { CopyAttempt } from '../copy-options.js';
import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** A copy could not be completed for a reason that no other error names: the disk is full, no way to copy served, … */
export class CopyFailedError extends CrikitError {
  declare readonly code: 'COPY_FAILED';
  /** Every way that was tried, with its reason; empty when one way failed for a reason that holds for all. */
  readonly attempts: readonly CopyAttempt[];

  constructor(message: string, options: CrikitErrorOptions & { attempts?: readonly CopyAttempt[] } = {}) {
    super('CopyFailedError', 'COPY_FAILED', message, options);
    this.attempts = options.attempts ?? [];
  }
}

/** True for a {@link CopyFailedError} of any copy of this package. */
export function isCopyFailedError(error: unknown): error is CopyFailedError {
  return isErrorNamed(error, 'CopyFailedError');
}
