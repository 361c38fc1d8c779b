/** Copying by an engine's own archive streams, the method `engine`. */
import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { basename, posix, resolve } from 'node:path';
import { callDriver } from './call-driver.js';
import type { ContainerReference } from './container.js';
import type { CopyOptions, CopyResult } from './copy-options.js';
import type { ArchiveFeature } from './engine-contract.js';
import { AlreadyExistsError } from './errors/already-exists-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { isPathNotFoundError } from './errors/path-not-found-error.js';
import { ProtocolError } from './errors/protocol-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { mapFileError } from './map-file-error.js';
import { packTar } from './pack-tar.js';
import { peekTar } from './peek-tar.js';
import { unpackTar } from './unpack-tar.js';

export interface ArchiveTarget {
  readonly archive: ArchiveFeature;
  /** Id of the engine, for messages. */
  readonly engine: string;
  readonly reference: ContainerReference;
}

/** Like the start of an exec: until the engine begins to answer. */
const archiveStartDeadlineMs = 10_000;

/** The longest that a timer takes: how long a transfer lasts is the caller's signal's business. */
const noDeadlineMs = 2 ** 31 - 1;

/**
 * Copies a file, directory or symlink of this host to the path `destination` in a container; with a slash at its end,
 * into that directory under the source's own name. Missing parent directories are made (mode 0755). A file or symlink
 * replaces a file or symlink; a directory needs a path that is free or an empty directory; else `AlreadyExistsError`.
 * The engine unpacks in place: after a failure in the middle, what had arrived is there.
 */
export async function copyToContainerByArchive(
  { archive, engine, reference }: ArchiveTarget,
  source: string,
  destination: string,
  options: CopyOptions = {},
): Promise<CopyResult> {
  const hostSource = requireHostPath(source, 'source');
  const target = resolveContainerDestination(destination, basename(hostSource));
  const { signal } = options;
  const what = `copy to '${target}' of container ${reference.id}`;
  const stats = await lstat(hostSource).catch((error) => {
    throw mapFileError(error, hostSource, 'no');
  });
  requireCopyable(stats, hostSource);
  await requireFreeTarget({ archive, engine, reference }, target, stats.isDirectory(), signal);

  const parents: string[] = [];
  for (let directory = posix.dirname(target); ; directory = posix.dirname(directory)) {
    const tar = await packTar(hostSource, posix.basename(target), { ...options, parents });
    const failed = new AbortController();
    void tar.done.then(() => {
      if (tar.failure() !== undefined) failed.abort();
    });
    const signals = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal]);
    try {
      await callDriver({ what, engine, timeoutMs: noDeadlineMs, signal: signals }, (callSignal) =>
        archive.putArchive(reference, directory, tar.stream, { signal: callSignal }),
      );
      const packed = tar.packed();
      if (packed !== undefined) return { method: 'engine', ...packed };
      throw (
        tar.failure() ??
        new ProtocolError(`Could not ${what}: the engine called it done before it had the whole archive.`, { engine })
      );
    } catch (error) {
      const failure = tar.failure();
      if (failure !== undefined) throw failure;
      if (!isPathNotFoundError(error) || directory === '/') throw error;
      parents.unshift(posix.basename(directory));
    } finally {
      tar.stream.destroy();
      await tar.done;
    }
  }
}

/**
 * Copies a file, directory or symlink of a container to the path `destination` of this host; with a slash at its end,
 * into that directory under the source's own name. What is made, replaced and refused there is said at `unpackTar`.
 */
export async function copyFromContainerByArchive(
  { archive, engine, reference }: ArchiveTarget,
  source: string,
  destination: string,
  options: CopyOptions = {},
): Promise<CopyResult> {
  const from = requireContainerPath(source, 'source');
  if (from === '/')
    throw new InvalidArgumentError("The root of a container cannot be copied as a whole; name a path below '/'.");
  const base = posix.basename(from);
  const hostDestination = requireHostPath(destination, 'destination');
  const target = destination.endsWith('/') ? resolve(hostDestination, base) : hostDestination;
  const tar = await callDriver(
    {
      what: `copy '${from}' of container ${reference.id}`,
      engine,
      timeoutMs: archiveStartDeadlineMs,
      signal: options.signal,
      onLate: (late: Awaited<ReturnType<ArchiveFeature['getArchive']>>) => late.on('error', () => {}).destroy(),
    },
    (signal) => archive.getArchive(reference, from, { signal }),
  );
  const unpacked = await unpackTar(tar, target, options);
  return { method: 'engine', ...unpacked };
}

/** Engines replace a whole directory by a file without asking, and merge directories; so it is asked for beforehand. */
async function requireFreeTarget(
  { archive, engine, reference }: ArchiveTarget,
  target: string,
  forDirectory: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const what = `look at '${target}' of container ${reference.id}`;
  const headers = await callDriver({ what, engine, timeoutMs: archiveStartDeadlineMs, signal }, async (callSignal) => {
    const tar = await archive.getArchive(reference, target, { signal: callSignal });
    const stop = (): void => {
      tar.on('error', () => {}).destroy();
    };
    callSignal.addEventListener('abort', stop, { once: true });
    if (callSignal.aborted) stop();
    return peekTar(tar, 2);
  }).catch((error) => {
    if (isPathNotFoundError(error)) return undefined;
    throw error;
  });
  const first = headers?.[0];
  if (headers === undefined || first === undefined) return;
  const isDirectory = first.type === 'directory';
  if (isDirectory === forDirectory && (!forDirectory || headers.length === 1)) return;
  throw new AlreadyExistsError(
    `'${target}' exists in container ${reference.id}: a directory is copied to a free path or an empty directory only, anything else never onto a directory.`,
    { engine, applied: 'no', remedy: 'Choose another path, remove it first, or end the destination with a slash.' },
  );
}

function resolveContainerDestination(destination: string, base: string): string {
  const path = requireContainerPath(destination, 'destination');
  const target = destination.endsWith('/') ? posix.join(path, base) : path;
  if (target === '/') throw new InvalidArgumentError("'/' is no place for a copy; '/' and a name is.");
  return target;
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

function requireHostPath(path: string, what: string): string {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new InvalidArgumentError(`The ${what} on the host must be a path without NUL: ${JSON.stringify(path)}.`);
  }
  return resolve(path);
}

function requireCopyable(stats: Stats, path: string): void {
  if (stats.isFile() || stats.isDirectory() || stats.isSymbolicLink()) return;
  throw new UnsupportedError(`'${path}' is a socket, FIFO or device, which cannot be copied.`, { applied: 'no' });
}
