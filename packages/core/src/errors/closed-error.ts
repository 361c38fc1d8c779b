import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The object was used after its `close`. */
export class ClosedError extends CrikitError {
  declare readonly code: 'CLOSED';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('ClosedError', 'CLOSED', message, options);
  }
}

/** True for a {@link ClosedError} of any copy of this package. */
export function isClosedError(error: unknown): error is ClosedError {
  return isErrorNamed(error, 'ClosedError');
}
