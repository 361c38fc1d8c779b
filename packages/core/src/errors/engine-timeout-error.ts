import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** An engine did not answer a call within its deadline. */
export class EngineTimeoutError extends CrikitError {
  declare readonly code: 'TIMEOUT';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('EngineTimeoutError', 'TIMEOUT', message, options);
  }
}

/** True for a {@link EngineTimeoutError} of any copy of this package. */
export function isEngineTimeoutError(error: unknown): error is EngineTimeoutError {
  return isErrorNamed(error, 'EngineTimeoutError');
}
