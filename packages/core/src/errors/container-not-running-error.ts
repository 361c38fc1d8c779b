import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The container exists, but has no running process to work in. */
export class ContainerNotRunningError extends CrikitError {
  declare readonly code: 'NOT_RUNNING';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('ContainerNotRunningError', 'NOT_RUNNING', message, options);
  }
}

/** True for a {@link ContainerNotRunningError} of any copy of this package. */
export function isContainerNotRunningError(error: unknown): error is ContainerNotRunningError {
  return isErrorNamed(error, 'ContainerNotRunningError');
}
