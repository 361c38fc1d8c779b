import { posix } from 'node:path';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';

export interface HostPathOptions {
  /** Where the node's root is mounted for this process. Default: the environment variable HOSTFS, else `/`. */
  readonly hostRoot?: string;
}

/**
 * The path of a file of the node for this process: `path`, absolute, below `hostRoot`. `..` is cleaned away first, so
 * the result does not leave the root. It is a string: a symlink on the way that has an absolute target (`/var/run` on
 * many nodes) leads out of `hostRoot` when the kernel follows it. Throws `InvalidArgumentError` for a path that is not
 * absolute.
 */
export function hostPath(hostRoot: string, path: string): string {
  requireAbsolute(hostRoot, 'The host root');
  requireAbsolute(path, 'The path');
  const clean = posix.normalize(path);
  return hostRoot === '/' ? clean : posix.join(hostRoot, clean);
}

/** HOSTFS of the environment, else `/`. An empty HOSTFS counts as unset. */
export function defaultHostRoot(): string {
  const fromEnvironment = process.env.HOSTFS;
  return fromEnvironment === undefined || fromEnvironment === '' ? '/' : fromEnvironment;
}

export function requireAbsolute(path: string, what: string): void {
  if (!posix.isAbsolute(path) || path.includes('\0')) {
    throw new InvalidArgumentError(`${what} must be absolute and without NUL: ${JSON.stringify(path)}.`);
  }
}
