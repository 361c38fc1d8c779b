import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** A copy could not be completed for a reason that no other error names: the disk is full, the source changed, … */
export class CopyFailedError extends CrikitError {
  declare readonly code: 'COPY_FAILED';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('CopyFailedError', 'COPY_FAILED', message, options);
  }
}

/** True for a {@link CopyFailedError} of any copy of this package. */
export function isCopyFailedError(error: unknown): error is CopyFailedError {
  return isErrorNamed(error, 'CopyFailedError');
}
