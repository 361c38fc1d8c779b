import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** A path does not exist where it was looked for, in a container or on the host. */
export class PathNotFoundError extends CrikitError {
  declare readonly code: 'PATH_NOT_FOUND';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('PathNotFoundError', 'PATH_NOT_FOUND', message, options);
  }
}

/** True for a {@link PathNotFoundError} of any copy of this package. */
export function isPathNotFoundError(error: unknown): error is PathNotFoundError {
  return isErrorNamed(error, 'PathNotFoundError');
}
