import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The agent may not do this: a socket, a file or a process denies it. */
export class PermissionDeniedError extends CrikitError {
  declare readonly code: 'PERMISSION';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('PermissionDeniedError', 'PERMISSION', message, options);
  }
}

/** True for a {@link PermissionDeniedError} of any copy of this package. */
export function isPermissionDeniedError(error: unknown): error is PermissionDeniedError {
  return isErrorNamed(error, 'PermissionDeniedError');
}
