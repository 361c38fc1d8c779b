import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The engine, or this container, cannot do what was asked; `supports` says so beforehand. */
export class UnsupportedError extends CrikitError {
  declare readonly code: 'UNSUPPORTED';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('UnsupportedError', 'UNSUPPORTED', message, options);
  }
}

/** True for a {@link UnsupportedError} of any copy of this package. */
export function isUnsupportedError(error: unknown): error is UnsupportedError {
  return isErrorNamed(error, 'UnsupportedError');
}
