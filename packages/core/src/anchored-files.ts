/** Makes a `ContainerRoot` of a directory that is held open: what is done with a path once the walk has resolved it. */
import { closeSync, constants, createReadStream, openSync, read, readlinkSync, type Stats } from 'node:fs';
import { type FileHandle, open, rename, unlink, writeFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import {
  type AnchoredBase,
  type NewDirectory,
  type OwnerIds,
  reachName,
  systemError,
  type Walked,
  type WalkedEntry,
  type WalkOptions,
  walk,
} from './anchored-walk.js';
import type {
  ContainerPath,
  ContainerRoot,
  DirectoryEntry,
  FileStatus,
  FileType,
  ReadDirOptions,
  ReadFileOptions,
  RemoveOptions,
  WriteFileOptions,
} from './container-root.js';
import { openDirectoryOfBytes } from './directory-of-bytes.js';
import { AlreadyExistsError } from './errors/already-exists-error.js';
import { ClosedError } from './errors/closed-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { TooLargeError } from './errors/too-large-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import type { IdMap } from './id-map.js';
import { mapContainerFileError } from './map-container-file-error.js';
import { isGenerated, requireStored } from './mount-guard.js';
import { randomHex } from './random-hex.js';
import { removeAnchoredTree } from './remove-anchored-tree.js';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

const defaultMaxBytes = 16 * 1024 ** 2;
const defaultMaxEntries = 100_000;
const defaultFileMode = 0o644;
const defaultDirectoryMode = 0o755;
const generatedFileBytes = 16 * 1024;
const largestRead = 1024 ** 2;

export interface AnchoredFiles {
  readonly base: AnchoredBase;
  /** For messages: `container 4f5e…`. */
  readonly container: string;
  readonly uids: IdMap;
  readonly gids: IdMap;
  /** Throws when what was resolved so far may not be the container's any more, since it has ended. */
  requireAlive(): void;
  /** Closes the base. Called once. */
  close(): void;
}

export function createContainerRoot(files: AnchoredFiles): ContainerRoot {
  const { base, container, uids, gids } = files;
  let closed = false;
  let inFlight = 0;

  const guarded = async <Result>(
    path: ContainerPath,
    signal: AbortSignal | undefined,
    run: (path: Buffer) => Promise<Result> | Result,
  ): Promise<Result> => {
    const shown = showPath(path);
    if (closed) throw new ClosedError(`The root of ${container} was closed.`, { applied: 'no' });
    const bytes = requirePath(path);
    inFlight += 1;
    try {
      if (signal?.aborted === true) throw abortedError(shown, container, signal);
      return await run(bytes);
    } catch (error) {
      if (signal?.aborted === true) throw abortedError(shown, container, signal);
      throw mapContainerFileError(error, shown, container);
    } finally {
      inFlight -= 1;
      if (closed && inFlight === 0) files.close();
    }
  };

  /** Gives the walk's result to `use` and closes it afterwards. */
  const resolve = <Result>(path: Buffer, options: WalkOptions, use: (walked: Walked) => Result): Result => {
    let walked: Walked;
    try {
      walked = walk(base, path, options);
    } catch (error) {
      // The mounts go when the container ends: what seems to be missing may only be that.
      files.requireAlive();
      throw error;
    }
    let result: Result;
    try {
      files.requireAlive();
      result = use(walked);
    } catch (error) {
      walked.close();
      throw error;
    }
    if (result instanceof Promise) return result.finally(() => walked.close()) as Result;
    walked.close();
    return result;
  };

  const convertOwner = (owner: OwnerIds): OwnerIds => ({ uid: uids.toHost(owner.uid), gid: gids.toHost(owner.gid) });

  const openRegular = (path: Buffer): OpenedFile =>
    resolve(path, { followLast: true }, (walked) => {
      const { fd, stats, place } = requireEntry(walked);
      if (!stats.isFile()) throw notRegular(stats);
      // The same inode as was looked at. Without O_NONBLOCK a lease of the container's could hold us up.
      const opened = openSync(`/proc/self/fd/${fd}`, O_RDONLY | O_NONBLOCK);
      return { fd: opened, sizeBytes: stats.size, generated: isGenerated(place) };
    });

  const writeTemporary = async (
    directory: number,
    temporary: Buffer,
    data: string | Uint8Array | Readable,
    { mode, owner }: NewDirectory,
    signal: AbortSignal | undefined,
  ): Promise<void> => {
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    const handle = await open(reachName(directory, temporary), flags, 0o600);
    try {
      await writeAll(handle, data, signal);
      // In this order: changing the owner takes set-id bits away.
      await handle.chown(owner.uid, owner.gid);
      await handle.chmod(mode);
    } finally {
      await handle.close();
    }
  };

  const replaceFile = async (
    walked: Walked,
    data: string | Uint8Array | Readable,
    { mode, owner, signal }: WriteFileOptions,
  ): Promise<void> => {
    const { parent, entry } = walked;
    if (entry !== undefined && !entry.stats.isFile()) throw notRegular(entry.stats);
    if (parent === undefined) throw systemError('EISDIR', 'it is the root');
    if (walked.readOnly) throw systemError('EROFS', 'read-only mount');
    requireStored(parent.place);
    if (walked.isMountPoint) {
      throw new UnsupportedError('The file is itself a mount and cannot be replaced.', { applied: 'no' });
    }
    const existing = entry?.stats;
    const wanted: NewDirectory = {
      mode: mode ?? (existing === undefined ? defaultFileMode : existing.mode & 0o777),
      owner: owner === undefined ? (existing ?? convertOwner({ uid: 0, gid: 0 })) : convertOwner(owner),
    };
    const temporary = Buffer.from(`.crikit-${randomHex(16)}`);
    try {
      await writeTemporary(parent.fd, temporary, data, wanted, signal);
      signal?.throwIfAborted();
      files.requireAlive();
      await rename(reachName(parent.fd, temporary), reachName(parent.fd, parent.name));
    } catch (error) {
      await unlink(reachName(parent.fd, temporary)).catch(ignore);
      throw error;
    }
  };

  return {
    stat: (path, { followSymlinks = true } = {}) =>
      guarded(path, undefined, (bytes) =>
        resolve(bytes, { followLast: followSymlinks }, (walked) =>
          convertStats(requireEntry(walked).stats, uids, gids),
        ),
      ),

    readLink: (path) =>
      guarded(path, undefined, (bytes) =>
        resolve(bytes, { followLast: false }, (walked) => {
          const { stats } = requireEntry(walked);
          if (!stats.isSymbolicLink() || walked.parent === undefined) {
            throw new InvalidArgumentError(`'${showPath(path)}' in ${container} is no symbolic link.`);
          }
          return readlinkSync(reachName(walked.parent.fd, walked.parent.name), 'utf8');
        }),
      ),

    readFile: (path, { maxBytes = defaultMaxBytes, signal }: ReadFileOptions = {}) =>
      guarded(path, signal, async (bytes) => {
        const file = openRegular(bytes);
        try {
          return await readAll(file, maxBytes, signal);
        } finally {
          closeSync(file.fd);
        }
      }),

    openReadStream: (path, { signal } = {}) =>
      guarded(path, signal, (bytes) => {
        const { fd } = openRegular(bytes);
        const stream = createReadStream('', { fd, autoClose: true });
        destroyOnAbort(stream, signal, () => abortedError(showPath(path), container, signal));
        return stream;
      }),

    readDir: (path, options = {}) =>
      guarded(path, options.signal, (bytes) =>
        resolve(bytes, { followLast: true }, (walked) => {
          const { fd, stats } = requireEntry(walked);
          if (!stats.isDirectory()) throw systemError('ENOTDIR', 'not a directory');
          return listDirectory(fd, options);
        }),
      ),

    writeFile: (path, data, options = {}) => {
      const written = guarded(path, options.signal, (bytes) => {
        const makeParents: NewDirectory | undefined =
          options.makeParents === true
            ? { mode: defaultDirectoryMode, owner: convertOwner(options.owner ?? { uid: 0, gid: 0 }) }
            : undefined;
        return resolve(bytes, { followLast: true, ...(makeParents !== undefined && { makeParents }) }, (walked) =>
          replaceFile(walked, data, options),
        );
      });
      if (!isStream(data)) return written;
      return written.catch((error) => {
        data.destroy();
        throw error;
      });
    },

    makeDirectories: (path, { mode = defaultDirectoryMode, owner = { uid: 0, gid: 0 } } = {}) =>
      guarded(path, undefined, (bytes) => {
        const made = { mode, owner: convertOwner(owner) };
        resolve(bytes, { followLast: true, makeParents: made, makeLast: made }, (walked) => {
          if (requireEntry(walked).stats.isDirectory()) return;
          throw new AlreadyExistsError(`'${showPath(path)}' in ${container} exists and is no directory.`, {
            applied: 'no',
          });
        });
      }),

    remove: (path, { recursive = false, signal }: RemoveOptions = {}) =>
      guarded(path, signal, async (bytes) => {
        try {
          await resolve(requireName(bytes), { followLast: false }, async (walked) => {
            const { parent, entry } = walked;
            if (entry === undefined) return;
            if (parent === undefined) throw new InvalidArgumentError('The root is not removed.');
            if (walked.readOnly) throw systemError('EROFS', 'read-only mount');
            requireStored(parent.place);
            if (walked.isMountPoint) throw new UnsupportedError('It is a mount point.', { applied: 'no' });
            if (entry.stats.isDirectory() && !recursive) {
              throw new InvalidArgumentError(`'${showPath(path)}' is a directory, removed only with 'recursive'.`);
            }
            await removeAnchoredTree(parent.fd, parent.name, parent.place, base.guard, signal);
          });
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        }
      }),

    close,
    [Symbol.asyncDispose]: close,
  };

  async function close(): Promise<void> {
    if (closed) return;
    closed = true;
    if (inFlight === 0) files.close();
  }
}

interface OpenedFile {
  readonly fd: number;
  readonly sizeBytes: number;
  readonly generated: boolean;
}

async function readAll({ fd, sizeBytes, generated }: OpenedFile, maxBytes: number, signal?: AbortSignal) {
  if (sizeBytes > maxBytes) throw tooLarge(maxBytes);
  // One byte more than is expected: a short read then shows the end, without another one that finds nothing.
  let buffer = Buffer.allocUnsafe((sizeBytes > 0 ? sizeBytes : generatedFileBytes) + 1);
  let length = 0;
  for (;;) {
    signal?.throwIfAborted();
    const wanted = Math.min(buffer.length - length, largestRead);
    const bytes = await readSome(fd, buffer, length, wanted);
    length += bytes;
    if (length > maxBytes) throw tooLarge(maxBytes);
    if (bytes === 0 || (bytes < wanted && !generated)) return buffer.subarray(0, length);
    if (length === buffer.length) buffer = Buffer.concat([buffer], Math.min(length * 2, maxBytes + 1));
  }
}

function readSome(fd: number, buffer: Buffer, offset: number, length: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, buffer, offset, length, offset, (error, bytes) => {
      if (error === null) resolve(bytes);
      else reject(error);
    });
  });
}

async function listDirectory(fd: number, options: ReadDirOptions): Promise<DirectoryEntry[]> {
  const { maxEntries = defaultMaxEntries, signal } = options;
  const entries: DirectoryEntry[] = [];
  const directory = await openDirectoryOfBytes(fd, 256);
  try {
    for (let entry = await directory.read(); entry !== null; entry = await directory.read()) {
      signal?.throwIfAborted();
      if (entries.length >= maxEntries) {
        throw new TooLargeError(`The directory has more than ${maxEntries} entries.`, { applied: 'no' });
      }
      entries.push({ name: entry.name.toString(), rawName: entry.name, type: fileTypeOf(entry) });
    }
  } finally {
    await directory.close();
  }
  return entries;
}

async function writeAll(handle: FileHandle, data: string | Uint8Array | Readable, signal?: AbortSignal) {
  if (!isStream(data)) {
    await handle.writeFile(data, { ...(signal !== undefined && { signal }) });
    return;
  }
  const stop = destroyOnAbort(data, signal, () => signal?.reason);
  try {
    await writeFile(handle, data);
  } finally {
    stop();
  }
}

function isStream(data: string | Uint8Array | Readable): data is Readable {
  return typeof data !== 'string' && !(data instanceof Uint8Array);
}

/** Without it a stream that gives nothing would be waited for in spite of the signal. */
function destroyOnAbort(stream: Readable, signal: AbortSignal | undefined, reason: () => unknown): () => void {
  if (signal === undefined) return ignore;
  const onAbort = (): void => {
    const error = reason();
    stream.destroy(error instanceof Error ? error : new Error('aborted', { cause: error }));
  };
  const stop = (): void => signal.removeEventListener('abort', onAbort);
  stream.once('close', stop);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  return stop;
}

function requireEntry(walked: Walked): WalkedEntry {
  if (walked.entry === undefined) throw systemError('ENOENT', 'no such file or directory');
  return walked.entry;
}

function requirePath(path: ContainerPath): Buffer {
  const bytes = Buffer.from(path as string);
  if (bytes[0] !== 0x2f || bytes.includes(0)) {
    throw new InvalidArgumentError(
      `A path in a container is absolute and without NUL: ${JSON.stringify(showPath(path))}.`,
    );
  }
  return bytes;
}

/** Without slashes at the end, so that a link there is not followed; what is not named cannot be removed. */
function requireName(path: Buffer): Buffer {
  let end = path.length;
  while (end > 1 && path[end - 1] === 0x2f) end -= 1;
  const name = path.subarray(path.lastIndexOf(0x2f, end - 1) + 1, end).toString('latin1');
  if (name === '' || name === '.' || name === '..') {
    throw new InvalidArgumentError(`'${path}' does not name what is to be removed.`);
  }
  return path.subarray(0, end);
}

function showPath(path: ContainerPath): string {
  return typeof path === 'string' ? path : Buffer.from(path).toString();
}

function convertStats(stats: Stats, uids: IdMap, gids: IdMap): FileStatus {
  return {
    type: fileTypeOf(stats),
    sizeBytes: stats.size,
    mode: stats.mode & 0o7777,
    uid: uids.toContainer(stats.uid),
    gid: gids.toContainer(stats.gid),
    modifiedMs: stats.mtimeMs,
  };
}

function fileTypeOf(
  entry: Pick<Stats, `is${'Directory' | 'SymbolicLink' | 'FIFO' | 'Socket'}` | 'isCharacterDevice' | 'isBlockDevice'>,
): FileType {
  if (entry.isDirectory()) return 'directory';
  if (entry.isSymbolicLink()) return 'symlink';
  if (entry.isFIFO()) return 'fifo';
  if (entry.isSocket()) return 'socket';
  if (entry.isCharacterDevice()) return 'character-device';
  return entry.isBlockDevice() ? 'block-device' : 'file';
}

function notRegular(stats: Stats): UnsupportedError {
  return new UnsupportedError(`It is no regular file but a ${fileTypeOf(stats)}.`, { applied: 'no' });
}

function tooLarge(maxBytes: number): TooLargeError {
  return new TooLargeError(`The file has more than ${maxBytes} bytes.`, { applied: 'no' });
}

function abortedError(path: string, container: string, signal: AbortSignal | undefined): OperationAbortedError {
  return new OperationAbortedError(`Access to '${path}' in ${container} was aborted by the caller's signal.`, {
    applied: 'no',
    cause: signal?.reason,
  });
}

function ignore(): void {}
