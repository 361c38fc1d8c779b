import { AlreadyExistsError } from './errors/already-exists-error.js';
import { ContainerNotRunningError } from './errors/container-not-running-error.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { type CrikitError, isCrikitError } from './errors/crikit-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { PathNotFoundError } from './errors/path-not-found-error.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';

/** Makes a typed error of what the system said about a path of a container; typed errors pass through. */
export function mapContainerFileError(error: unknown, path: string, container: string): CrikitError | TypeError {
  if (isCrikitError(error)) return error;
  const { code, message, name } = error as NodeJS.ErrnoException;
  const options = { applied: 'no', cause: error } as const;
  if (name === 'AbortError') return new OperationAbortedError(`Access to '${path}' was aborted.`, options);
  switch (code) {
    case 'ENOENT':
      return new PathNotFoundError(`There is no '${path}' in ${container}.`, options);
    case 'ENOTDIR':
      return new PathNotFoundError(`A part of '${path}' in ${container} is not a directory.`, options);
    case 'EEXIST':
      return new AlreadyExistsError(`'${path}' exists in ${container} already.`, options);
    case 'ESRCH':
      return new ContainerNotRunningError(`The process of ${container} has ended.`, options);
    case 'EROFS':
      return new PermissionDeniedError(`'${path}' is on a read-only file system in ${container}.`, options);
    case 'EACCES':
    case 'EPERM':
      return new PermissionDeniedError(`This process may not use '${path}' in ${container} (${code}).`, {
        ...options,
        remedy: 'Give it the capabilities DAC_OVERRIDE and FOWNER, or use exec.',
      });
    case 'ELOOP':
    case 'ENAMETOOLONG':
      return new InvalidArgumentError(`'${path}' cannot be resolved in ${container}: ${message}.`);
    default:
      return new CopyFailedError(`'${path}' in ${container} failed: ${message}.`, {
        ...options,
        // A lease on the file, a name that is swapped in a loop, or no descriptor left: another time may go well.
        retryable: ['EAGAIN', 'EBUSY', 'EMFILE', 'ENFILE', 'EINTR'].includes(code ?? ''),
      });
  }
}
