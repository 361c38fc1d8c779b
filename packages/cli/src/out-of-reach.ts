import { isContainerNotRunningError, isPermissionDeniedError, isUnsupportedError } from '@crikit/core';

/**
 * True when a container's root cannot be opened from here: no right, a virtual machine, or an engine elsewhere, whose
 * processes are not on this machine. An exec may do it all the same.
 */
export function isOutOfReach(error: unknown): boolean {
  return isContainerNotRunningError(error) || isPermissionDeniedError(error) || isUnsupportedError(error);
}
