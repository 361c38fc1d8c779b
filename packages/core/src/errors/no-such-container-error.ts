import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The engine does not know this container (any more). */
export class NoSuchContainerError extends CrikitError {
  declare readonly code: 'NOT_FOUND';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('NoSuchContainerError', 'NOT_FOUND', message, options);
  }
}

/** True for a {@link NoSuchContainerError} of any copy of this package. */
export function isNoSuchContainerError(error: unknown): error is NoSuchContainerError {
  return isErrorNamed(error, 'NoSuchContainerError');
}
