import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The command of an exec does not exist in the container, or is not executable there. */
export class CommandNotFoundError extends CrikitError {
  declare readonly code: 'COMMAND_NOT_FOUND';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('CommandNotFoundError', 'COMMAND_NOT_FOUND', message, options);
  }
}

/** True for a {@link CommandNotFoundError} of any copy of this package. */
export function isCommandNotFoundError(error: unknown): error is CommandNotFoundError {
  return isErrorNamed(error, 'CommandNotFoundError');
}
