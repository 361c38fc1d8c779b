import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The caller's signal ended the call. */
export class OperationAbortedError extends CrikitError {
  declare readonly code: 'ABORTED';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('OperationAbortedError', 'ABORTED', message, options);
  }
}

/** True for a {@link OperationAbortedError} of any copy of this package. */
export function isOperationAbortedError(error: unknown): error is OperationAbortedError {
  return isErrorNamed(error, 'OperationAbortedError');
}
