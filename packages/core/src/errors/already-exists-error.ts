import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The destination exists and would have to be destroyed first; nothing was touched. */
export class AlreadyExistsError extends CrikitError {
  declare readonly code: 'ALREADY_EXISTS';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('AlreadyExistsError', 'ALREADY_EXISTS', message, options);
  }
}

/** True for a {@link AlreadyExistsError} of any copy of this package. */
export function isAlreadyExistsError(error: unknown): error is AlreadyExistsError {
  return isErrorNamed(error, 'AlreadyExistsError');
}
