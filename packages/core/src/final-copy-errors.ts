import { isCrikitError } from './errors/crikit-error.js';

const marked = new WeakSet<object>();

/** Marks an error that every way to copy would meet: of this host's files, of a disk that is full or read-only. */
export function markFinal<Thrown extends object>(error: Thrown): Thrown {
  marked.add(error);
  return error;
}

const finalCodes: ReadonlySet<string> = new Set([
  'ABORTED',
  'ALREADY_EXISTS',
  'CLOSED',
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'TOO_LARGE',
]);

/** Whether trying another way to copy is useless. */
export function isFinalCopyError(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || marked.has(error)) return true;
  return !isCrikitError(error) || finalCodes.has(error.code);
}
