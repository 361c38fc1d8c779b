import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** A request or an answer is larger than is allowed. */
export class TooLargeError extends CrikitError {
  declare readonly code: 'TOO_LARGE';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('TooLargeError', 'TOO_LARGE', message, options);
  }
}

/** True for a {@link TooLargeError} of any copy of this package. */
export function isTooLargeError(error: unknown): error is TooLargeError {
  return isErrorNamed(error, 'TooLargeError');
}
