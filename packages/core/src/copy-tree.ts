/**
 * Copies a file, directory or symlink from one directory that is held open to another, either of which may be in a
 * container that changes it at the same moment. Everything is reached by a name in a held directory, nothing is
 * followed, and what is written is written through the descriptor that made it.
 *
 * Not `fs.copyFile`: it cannot be stopped, tells no progress, and when a file becomes shorter under it the libuv of
 * Node 20 to 24 spins on sendfile for ever, which a container could do to us at will.
 */

import {
  chmod,
  chmodSync,
  chown,
  chownSync,
  close,
  closeSync,
  constants,
  type Dirent,
  fchmod,
  fchmodSync,
  fchown,
  fchownSync,
  fstat,
  fstatSync,
  futimes,
  futimesSync,
  lchown,
  lchownSync,
  lutimes,
  lutimesSync,
  mkdir,
  mkdirSync,
  open,
  openSync,
  read,
  readlink,
  readlinkSync,
  readSync,
  type Stats,
  symlink,
  symlinkSync,
  utimes,
  utimesSync,
  write,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { reachName, systemError } from './anchored-walk.js';
import type { CopyProgressMeter } from './copy-progress-meter.js';
import { type DirectoryOfBytes, openDirectoryOfBytes, openDirectoryOfBytesNow } from './directory-of-bytes.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { TooLargeError } from './errors/too-large-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { markFinal } from './final-copy-errors.js';
import { isGenerated, type MountGuard, type MountPlace } from './mount-guard.js';
import { isRemoved, wasRemoved } from './removed-directory.js';
import { type Steps, settle, until } from './steps.js';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
// Not among Node's constants.
const O_PATH = 0o10000000;

const maxDepth = 256;
const parallelFiles = 4;
const namesAtOnce = 256;
const chunkBytes = 1024 ** 2;
/** Files up to this size are read and written at once: less than the way through the thread pool costs. */
const directBytes = 64 * 1024;
/** How long the small files of a tree may keep the event loop to themselves. */
const sliceMs = 4;

/** How the files of one side are reached. */
export interface TreeSide {
  /** Checks the file system before it is touched. Absent for directories of this host that the caller named. */
  readonly guard?: MountGuard;
  /** Of a directory of this host, when its file system is one that does not hang: what lies on it is reached faster. */
  readonly local?: { readonly guard: MountGuard; readonly place: MountPlace };
  /** Makes an error of the system a typed one. */
  mapError(error: unknown, path: string): Error;
}

/** A name in a held directory. */
export interface TreePlace {
  readonly directoryFd: number;
  readonly name: Buffer;
  /** The directory's; given exactly when the side has a guard. */
  readonly place?: MountPlace;
  /** For messages. */
  readonly path: string;
}

export interface CopyTreeOptions {
  readonly meter: CopyProgressMeter;
  readonly signal?: AbortSignal | undefined;
  readonly maxBytes?: number | undefined;
  readonly maxEntries?: number | undefined;
  /** Bits that are kept. */
  readonly fileModeMask: number;
  readonly directoryModeMask: number;
  /** As this host numbers its users; undefined leaves everything to the user of this process. */
  ownerOf(source: Stats): { readonly uid: number; readonly gid: number } | undefined;
}

/** `destination.name` must be free. What was made of it when this rejects is left to the caller to remove. */
export async function copyTree(
  from: TreeSide,
  source: TreePlace,
  to: TreeSide,
  destination: TreePlace,
  options: CopyTreeOptions,
): Promise<void> {
  const { meter, signal, maxBytes = Number.POSITIVE_INFINITY, maxEntries = Number.POSITIVE_INFINITY } = options;
  // What is written lies on one file system: the destination's own.
  const writing = to.guard === undefined && to.local === undefined ? queuedCalls : directCalls;
  const readingOf = (fd: number): FileCalls => {
    if (from.guard !== undefined) return directCalls;
    if (from.local === undefined) return queuedCalls;
    try {
      const { guard, place } = from.local;
      return guard.placeOf(fd, place, '').mountId === place.mountId ? directCalls : queuedCalls;
    } catch {
      return queuedCalls;
    }
  };
  const opening = from.guard === undefined && from.local === undefined ? queuedCalls : directCalls;
  let bytes = 0;
  let entries = 0;
  let sliceEndsAt = performance.now() + sliceMs;
  let small: Buffer | undefined;

  const requireGoingOn = (): void => {
    if (signal?.aborted !== true) return;
    throw new OperationAbortedError(`Copying '${source.path}' was aborted by the caller's signal.`, {
      applied: 'no',
      cause: signal.reason,
    });
  };
  const countBytes = (more: number): void => {
    bytes += more;
    if (bytes > maxBytes) {
      throw new TooLargeError(`'${source.path}' holds more than ${maxBytes} bytes.`, {
        applied: 'no',
        remedy: 'The option `maxBytes` allows more.',
      });
    }
    meter.addBytes(more);
  };
  function* on<Value>(side: TreeSide, path: string, run: () => Value | Promise<Value>): Steps<Value> {
    try {
      return yield* until(run());
    } catch (error) {
      throw side.mapError(error, path);
    }
  }
  const placeOf = (side: TreeSide, fd: number, above: TreePlace): MountPlace | undefined =>
    side.guard?.placeOf(fd, above.place, Buffer.from(above.path).toString('latin1'));

  function* copyEntry(at: TreePlace, into: TreePlace, depth: number): Steps<void> {
    requireGoingOn();
    if (performance.now() > sliceEndsAt) {
      yield new Promise((resolve) => setImmediate(resolve));
      sliceEndsAt = performance.now() + sliceMs;
    }
    entries += 1;
    if (entries > maxEntries) {
      throw new TooLargeError(`'${source.path}' has more than ${maxEntries} entries.`, {
        applied: 'no',
        remedy: 'The option `maxEntries` allows more.',
      });
    }
    // Without waking up what it is: a FIFO, a device, an automount.
    const fd = yield* on(from, at.path, () => opening.open(reachName(at.directoryFd, at.name), O_PATH | O_NOFOLLOW, 0));
    try {
      const place = yield* on(from, at.path, () => placeOf(from, fd, at));
      const reading = readingOf(fd);
      const stats = yield* on(from, at.path, () => reading.fstat(fd));
      if (stats.isFile()) yield* copyFile(reading, fd, stats, place, at, into);
      else if (stats.isSymbolicLink()) yield* copyLink(reading, stats, at, into);
      else if (stats.isDirectory()) yield* copyDirectory(reading, fd, stats, place, at, into, depth);
      else {
        throw markFinal(
          new UnsupportedError(`'${at.path}' is a socket, FIFO or device, which cannot be copied.`, {
            applied: 'no',
            remedy: 'Copy a directory without it.',
          }),
        );
      }
    } finally {
      closeSync(fd);
    }
    meter.addEntry();
  }

  function* copyFile(
    reading: FileCalls,
    pathFd: number,
    looked: Stats,
    place: MountPlace | undefined,
    at: TreePlace,
    into: TreePlace,
  ): Steps<void> {
    const input = yield* on(from, at.path, () => reading.open(`/proc/self/fd/${pathFd}`, O_RDONLY | O_NONBLOCK, 0));
    try {
      const output = yield* on(to, into.path, () =>
        writing.open(reachName(into.directoryFd, into.name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600),
      );
      let isOpen = true;
      try {
        const isSized = place === undefined ? looked.size > 0 : !isGenerated(place);
        const isSmall = isSized && looked.size <= directBytes;
        if (isSmall && reading === directCalls && writing === directCalls) {
          yield* pumpNow(input, looked.size, output, at, into);
        } else {
          yield* until(pump(input, isSized ? looked.size : undefined, output, at, into));
        }
        const owner = options.ownerOf(looked);
        // In this order: changing the owner takes set-id bits away.
        if (owner !== undefined) yield* on(to, into.path, () => writing.fchown(output, owner.uid, owner.gid));
        yield* on(to, into.path, () => writing.fchmod(output, looked.mode & options.fileModeMask));
        yield* on(to, into.path, () => writing.futimes(output, looked.mtimeMs / 1000));
        isOpen = false;
        yield* on(to, into.path, () => writing.close(output));
      } finally {
        if (isOpen) closeSync(output);
      }
    } finally {
      closeSync(input);
    }
  }

  const becameShorter = (missing: number, size: number, at: TreePlace): Error =>
    from.mapError(
      new CopyFailedError(`'${at.path}' became shorter while it was copied: ${missing} of ${size} bytes are missing.`, {
        applied: 'no',
        retryable: true,
      }),
      at.path,
    );

  /** What is written goes no further than the page cache. */
  function* pumpNow(input: number, size: number, output: number, at: TreePlace, into: TreePlace): Steps<void> {
    small ??= Buffer.allocUnsafeSlow(directBytes);
    const buffer = small;
    const length = yield* on(from, at.path, () => readAtMostNow(input, buffer, size));
    if (length < size) throw becameShorter(size - length, size, at);
    countBytes(length);
    yield* on(to, into.path, () => writeAllNow(output, buffer, length));
  }

  /** Reads a chunk while the one before it is written. Without a `size` until the file ends. */
  const pump = async (
    input: number,
    size: number | undefined,
    output: number,
    at: TreePlace,
    into: TreePlace,
  ): Promise<void> => {
    const wanted = size ?? Number.POSITIVE_INFINITY;
    const buffers: Buffer[] = [];
    let written: Promise<void> = Promise.resolve();
    let position = 0;
    try {
      for (let turn = 0; position < wanted; turn = 1 - turn) {
        requireGoingOn();
        const buffer = buffers[turn] ?? Buffer.allocUnsafe(Math.min(wanted - position, chunkBytes));
        buffers[turn] = buffer;
        const asked = Math.min(buffer.length, wanted - position);
        const { bytesRead } = await readAsync(input, buffer, 0, asked, position).catch((error) => {
          throw from.mapError(error, at.path);
        });
        if (bytesRead === 0) {
          if (size === undefined) break;
          throw becameShorter(size - position, size, at);
        }
        countBytes(bytesRead);
        await written;
        written = writeAll(output, buffer, bytesRead, position).catch((error) => {
          throw to.mapError(error, into.path);
        });
        written.catch(() => {});
        position += bytesRead;
      }
      await written;
    } finally {
      // The descriptor is closed next: nobody may still write to its number.
      await written.catch(() => {});
    }
  };

  function* copyLink(reading: FileCalls, looked: Stats, at: TreePlace, into: TreePlace): Steps<void> {
    const target = yield* on(from, at.path, () => reading.readlink(reachName(at.directoryFd, at.name)));
    const path = reachName(into.directoryFd, into.name);
    const owner = options.ownerOf(looked);
    yield* on(to, into.path, () => writing.symlink(target, path));
    if (owner !== undefined) yield* on(to, into.path, () => writing.lchown(path, owner.uid, owner.gid));
    yield* on(to, into.path, () => writing.lutimes(path, looked.mtimeMs / 1000));
  }

  function* makeDirectory(into: TreePlace): Steps<{ fd: number; place: MountPlace | undefined }> {
    const path = reachName(into.directoryFd, into.name);
    yield* on(to, into.path, () => writing.mkdir(path, 0o700));
    const fd = yield* on(to, into.path, () => writing.open(path, O_PATH | O_NOFOLLOW, 0));
    try {
      const place = yield* on(to, into.path, () => placeOf(to, fd, into));
      const stats = yield* on(to, into.path, () => writing.fstat(fd));
      yield* on(to, into.path, () => requireOwn(stats, place, into.place));
      return { fd, place };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  const below = (parent: TreePlace, fd: number, name: Buffer, place: MountPlace | undefined): TreePlace => ({
    directoryFd: fd,
    name,
    path: `${parent.path}/${name}`,
    ...(place !== undefined && { place }),
  });

  function* copyDirectory(
    reading: FileCalls,
    fd: number,
    looked: Stats,
    place: MountPlace | undefined,
    at: TreePlace,
    into: TreePlace,
    depth: number,
  ): Steps<void> {
    if (depth >= maxDepth) {
      throw new UnsupportedError(`'${source.path}' has more than ${maxDepth} levels.`, { applied: 'no' });
    }
    const made = yield* makeDirectory(into);
    try {
      const copyBelow = (name: Buffer): Steps<void> =>
        copyEntry(below(at, fd, name, place), below(into, made.fd, name, made.place), depth + 1);
      const directories: Buffer[] = [];
      const running = new Set<Promise<void>>();
      let failed: { readonly error: unknown } | undefined;
      const listing = yield* on(from, at.path, () => reading.list(fd));
      try {
        while (failed === undefined) {
          const entry = yield* on(from, at.path, () => reading.next(listing));
          if (entry === null) break;
          const { name } = entry;
          if (entry.isDirectory()) {
            directories.push(name);
            if (entries + directories.length > maxEntries) break;
            continue;
          }
          const copied = settle(copyBelow(name));
          if (copied === undefined) continue;
          const copying = copied
            .catch((error) => {
              failed ??= { error };
            })
            .finally(() => running.delete(copying));
          running.add(copying);
          if (running.size >= parallelFiles) yield Promise.race(running);
        }
      } finally {
        yield Promise.all(running);
        yield listing.close();
      }
      if (failed !== undefined) throw failed.error;
      if (isRemoved(looked, yield* on(from, at.path, () => reading.fstat(fd)))) {
        throw from.mapError(wasRemoved(at.path), at.path);
      }
      for (const name of directories) yield* copyBelow(name);
      const path = `/proc/self/fd/${made.fd}`;
      const owner = options.ownerOf(looked);
      if (owner !== undefined) yield* on(to, into.path, () => writing.chown(path, owner.uid, owner.gid));
      yield* on(to, into.path, () => writing.chmod(path, looked.mode & options.directoryModeMask));
      yield* on(to, into.path, () => writing.utimes(path, looked.mtimeMs / 1000));
    } finally {
      closeSync(made.fd);
    }
  }

  await settle(copyEntry(source, destination, 0));
}

/** That an open directory is the one that was just made with mode 0700, and nothing that was put in its place. */
export function requireOwn(stats: Stats, place: MountPlace | undefined, parent: MountPlace | undefined): void {
  const isOurs = stats.isDirectory() && stats.uid === process.geteuid?.() && (stats.mode & 0o777) === 0o700;
  if (isOurs && place?.mountId === parent?.mountId) return;
  throw systemError('EAGAIN', 'the new directory was replaced');
}

/** What both sides need of the file system. */
interface FileCalls {
  open(path: string | Buffer, flags: number, mode: number): number | Promise<number>;
  fstat(fd: number): Stats | Promise<Stats>;
  close(fd: number): void | Promise<void>;
  fchown(fd: number, uid: number, gid: number): void | Promise<void>;
  fchmod(fd: number, mode: number): void | Promise<void>;
  futimes(fd: number, seconds: number): void | Promise<void>;
  mkdir(path: Buffer, mode: number): unknown;
  chown(path: string, uid: number, gid: number): void | Promise<void>;
  chmod(path: string, mode: number): void | Promise<void>;
  utimes(path: string, seconds: number): void | Promise<void>;
  readlink(path: Buffer): Buffer | Promise<Buffer>;
  symlink(target: Buffer, path: Buffer): void | Promise<void>;
  lchown(path: Buffer, uid: number, gid: number): void | Promise<void>;
  lutimes(path: Buffer, seconds: number): void | Promise<void>;
  list(fd: number): DirectoryOfBytes | Promise<DirectoryOfBytes>;
  next(listing: DirectoryOfBytes): Dirent<Buffer> | null | Promise<Dirent<Buffer> | null>;
}

/** Only where a guard keeps us off file systems that hang: a tenth of the cost when the files are small. */
const directCalls: FileCalls = {
  open: openSync,
  fstat: (fd) => fstatSync(fd),
  close: closeSync,
  fchown: fchownSync,
  fchmod: fchmodSync,
  futimes: (fd, seconds) => futimesSync(fd, seconds, seconds),
  mkdir: (path, mode) => mkdirSync(path, mode),
  chown: chownSync,
  chmod: chmodSync,
  utimes: (path, seconds) => utimesSync(path, seconds, seconds),
  readlink: (path) => readlinkSync(path, 'buffer'),
  symlink: (target, path) => symlinkSync(target, path),
  lchown: lchownSync,
  lutimes: (path, seconds) => lutimesSync(path, seconds, seconds),
  list: (fd) => openDirectoryOfBytesNow(fd, namesAtOnce),
  next: (listing) => listing.readSync(),
};

const [openAsync, fstatAsync, closeAsync, readAsync, writeAsync] = [
  promisify(open),
  promisify(fstat) as (fd: number) => Promise<Stats>,
  promisify(close),
  promisify(read),
  promisify(write),
];
const [fchownAsync, fchmodAsync, futimesAsync] = [promisify(fchown), promisify(fchmod), promisify(futimes)];
const [mkdirAsync, chownAsync, chmodAsync, utimesAsync] = [
  promisify(mkdir),
  promisify(chown),
  promisify(chmod),
  promisify(utimes),
];
const [symlinkAsync, lchownAsync, lutimesAsync] = [promisify(symlink), promisify(lchown), promisify(lutimes)];
const readlinkAsync = promisify(readlink) as unknown as (path: Buffer, encoding: 'buffer') => Promise<Buffer>;

/** By the thread pool: the file system may be a slow one of the network. */
const queuedCalls: FileCalls = {
  open: openAsync,
  fstat: fstatAsync,
  close: closeAsync,
  fchown: fchownAsync,
  fchmod: fchmodAsync,
  futimes: (fd, seconds) => futimesAsync(fd, seconds, seconds),
  mkdir: (path, mode) => mkdirAsync(path, { mode }),
  chown: chownAsync,
  chmod: chmodAsync,
  utimes: (path, seconds) => utimesAsync(path, seconds, seconds),
  readlink: (path) => readlinkAsync(path, 'buffer'),
  symlink: (target, path) => symlinkAsync(target, path, null),
  lchown: lchownAsync,
  lutimes: (path, seconds) => lutimesAsync(path, seconds, seconds),
  list: (fd) => openDirectoryOfBytes(fd, namesAtOnce),
  next: (listing) => listing.read(),
};

function readAtMostNow(fd: number, buffer: Buffer, length: number): number {
  let done = 0;
  while (done < length) {
    const count = readSync(fd, buffer, done, length - done, done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function writeAllNow(fd: number, buffer: Buffer, length: number): void {
  for (let done = 0; done < length; ) done += writeSync(fd, buffer, done, length - done, done);
}

async function writeAll(fd: number, buffer: Buffer, length: number, position: number): Promise<void> {
  for (let done = 0; done < length; ) {
    const { bytesWritten } = await writeAsync(fd, buffer, done, length - done, position + done);
    if (bytesWritten === 0) throw systemError('EIO', 'nothing was written');
    done += bytesWritten;
  }
}
