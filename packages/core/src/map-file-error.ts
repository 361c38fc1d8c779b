import { CopyFailedError } from './errors/copy-failed-error.js';
import type { Applied, CrikitError } from './errors/crikit-error.js';
import { isCrikitError } from './errors/crikit-error.js';
import { PathNotFoundError } from './errors/path-not-found-error.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';

/** Makes a typed error of what the file system of this host said about `path`; typed errors pass through. */
export function mapFileError(error: unknown, path: string, applied: Applied): CrikitError {
  if (isCrikitError(error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const options = { applied, cause: error };
  switch (code) {
    case 'ENOENT':
      return new PathNotFoundError(`There is no '${path}' on this host.`, options);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new PermissionDeniedError(`This process may not use '${path}' on this host (${code}).`, options);
    default:
      return new CopyFailedError(`'${path}' on this host failed: ${message}.`, options);
  }
}
