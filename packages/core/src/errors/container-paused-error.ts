import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The container is paused; it answers again once somebody resumes it. */
export class ContainerPausedError extends CrikitError {
  declare readonly code: 'PAUSED';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('ContainerPausedError', 'PAUSED', message, options);
  }
}

/** True for a {@link ContainerPausedError} of any copy of this package. */
export function isContainerPausedError(error: unknown): error is ContainerPausedError {
  return isErrorNamed(error, 'ContainerPausedError');
}
