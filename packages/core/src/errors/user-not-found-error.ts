import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The user or group of an exec is not in the container's own /etc/passwd or /etc/group. */
export class UserNotFoundError extends CrikitError {
  declare readonly code: 'USER_NOT_FOUND';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('UserNotFoundError', 'USER_NOT_FOUND', message, options);
  }
}

/** True for a {@link UserNotFoundError} of any copy of this package. */
export function isUserNotFoundError(error: unknown): error is UserNotFoundError {
  return isErrorNamed(error, 'UserNotFoundError');
}
