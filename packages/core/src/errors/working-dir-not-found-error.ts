import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** The working directory of an exec does not exist in the container. */
export class WorkingDirNotFoundError extends CrikitError {
  declare readonly code: 'WORKDIR_NOT_FOUND';

  constructor(message: string, options: CrikitErrorOptions = {}) {
    super('WorkingDirNotFoundError', 'WORKDIR_NOT_FOUND', message, options);
  }
}

/** True for a {@link WorkingDirNotFoundError} of any copy of this package. */
export function isWorkingDirNotFoundError(error: unknown): error is WorkingDirNotFoundError {
  return isErrorNamed(error, 'WorkingDirNotFoundError');
}
