import type { Stats } from 'node:fs';
import { posix, resolve } from 'node:path';
import { AlreadyExistsError } from './errors/already-exists-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { markFinal } from './final-copy-errors.js';

/** The path in the container at which a copy is to arrive; `base` is the source's own name. */
export function resolveContainerDestination(destination: string, base: string): string {
  const path = requireContainerPath(destination, 'destination');
  const target = destination.endsWith('/') ? posix.join(path, base) : path;
  if (target === '/') throw new InvalidArgumentError("'/' is no place for a copy; '/' and a name is.");
  return target;
}

/** The path of a container that is to be copied. */
export function resolveContainerSource(source: string): string {
  const from = requireContainerPath(source, 'source');
  if (from === '/') {
    throw new InvalidArgumentError("The root of a container cannot be copied as a whole; name a path below '/'.");
  }
  return from;
}

/** The path on this host at which a copy is to arrive; `base` is the source's own name. */
export function resolveHostDestination(destination: string, base: string): string {
  const path = requireHostPath(destination, 'destination');
  const target = destination.endsWith('/') ? resolve(path, base) : path;
  if (target === '/') throw new InvalidArgumentError(`'${destination}' is no place for a copy.`);
  return target;
}

export function requireHostPath(path: string, what: string): string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new InvalidArgumentError(`The ${what} on the host must be a path without NUL: ${JSON.stringify(path)}.`);
  }
  return resolve(path);
}

function requireContainerPath(path: string, what: string): string {
  if (typeof path !== 'string' || !posix.isAbsolute(path) || path.includes('\0')) {
    throw new InvalidArgumentError(
      `The ${what} in a container must be an absolute path without NUL: ${JSON.stringify(path)}.`,
    );
  }
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
}

export function requireCopyable(stats: Stats, path: string): void {
  if (stats.isFile() || stats.isDirectory() || stats.isSymbolicLink()) return;
  throw markFinal(
    new UnsupportedError(`'${path}' is a socket, FIFO or device, which cannot be copied.`, {
      applied: 'no',
      remedy: 'Copy a directory without it.',
    }),
  );
}

/** `container` is for the message: `container 4f5e…`. */
export function alreadyExistsInContainer(
  target: string,
  container: string,
  cause?: unknown,
  engine?: string,
): AlreadyExistsError {
  return new AlreadyExistsError(
    `'${target}' exists in ${container}: a directory is copied to a free path or an empty directory only, anything else never onto a directory.`,
    {
      applied: 'no',
      remedy: 'Choose another path, remove it first, or end the destination with a slash.',
      cause,
      ...(engine !== undefined && { engine }),
    },
  );
}
