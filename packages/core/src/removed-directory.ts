import type { Stats } from 'node:fs';
import { CopyFailedError } from './errors/copy-failed-error.js';

/** A directory that is held but has been removed lists nothing, as an empty one does. */
export function isRemoved(before: Stats, now: Stats): boolean {
  // Some file systems count no links of directories at all.
  return before.nlink > 0 && now.nlink === 0;
}

export function wasRemoved(path: string): CopyFailedError {
  return new CopyFailedError(`'${path}' was removed while it was copied.`, { applied: 'no', retryable: true });
}
