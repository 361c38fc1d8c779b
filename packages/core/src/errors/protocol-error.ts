import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The engine answered with something that its API does not allow. */
export class ProtocolError extends CrikitError {
  declare readonly code: 'PROTOCOL';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('ProtocolError', 'PROTOCOL', message, options);
  }
}

/** True for a {@link ProtocolError} of any copy of this package. */
export function isProtocolError(error: unknown): error is ProtocolError {
  return isErrorNamed(error, 'ProtocolError');
}
