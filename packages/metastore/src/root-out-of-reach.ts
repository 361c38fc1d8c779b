import { isContainerNotRunningError, isPermissionDeniedError, isUnsupportedError } from '@crikit/core';

/**
 * True when a container's root, or a file in it, cannot be had from the host: another machine's container, a virtual
 * machine, no permission, a file system that is not touched. An exec may get it all the same.
 */
export function isOutOfReach(error: unknown): boolean {
  return isContainerNotRunningError(error) || isPermissionDeniedError(error) || isUnsupportedError(error);
}
