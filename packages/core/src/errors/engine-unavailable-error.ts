import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The engine cannot be reached, or went away in mid-call. */
export class EngineUnavailableError extends CrikitError {
  declare readonly code: 'UNAVAILABLE';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('EngineUnavailableError', 'UNAVAILABLE', message, options);
  }
}

/** True for a {@link EngineUnavailableError} of any copy of this package. */
export function isEngineUnavailableError(error: unknown): error is EngineUnavailableError {
  return isErrorNamed(error, 'EngineUnavailableError');
}
