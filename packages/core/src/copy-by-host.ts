/** Copying through the container's root on this host, the method `host`. */
import { closeSync, fstatSync, renameSync, rmdirSync, type Stats } from 'node:fs';
import { posix } from 'node:path';
import type { AnchoredFiles } from './anchored-files.js';
import { openInert, reachName, systemError, type Walked, type WalkOptions, walk } from './anchored-walk.js';
import { copyTreeToHost, withHostSource } from './copy-host-files.js';
import type { CopyOptions, CopyOutcome } from './copy-options.js';
import { alreadyExistsInContainer } from './copy-paths.js';
import { createCopyProgressMeter } from './copy-progress-meter.js';
import { makeStage, removeStage } from './copy-stage.js';
import { copyTree, type TreePlace, type TreeSide } from './copy-tree.js';
import { openDirectoryOfBytes } from './directory-of-bytes.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { markFinal } from './final-copy-errors.js';
import { mapContainerFileError } from './map-container-file-error.js';
import { type MountPlace, requireStored } from './mount-guard.js';

/** A full or read-only disk is so for every way to copy. */
const finalCodes: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG', 'ENAMETOOLONG']);

/** Copies `source` of this host, which `looked` is the status of, to the path `target`. Rejects with typed errors only. */
export async function copyToContainerByHost(
  files: AnchoredFiles,
  source: string,
  looked: Stats,
  target: string,
  options: CopyOptions = {},
): Promise<CopyOutcome> {
  const to = containerSide(files);
  try {
    return await withHostSource(source, (place, from) => copyIn(files, from, to, place, looked, target, options));
  } catch (error) {
    throw to.mapError(error, target);
  }
}

async function copyIn(
  files: AnchoredFiles,
  from: TreeSide,
  to: TreeSide,
  source: TreePlace,
  looked: Stats,
  target: string,
  { signal, onProgress, owner }: CopyOptions,
): Promise<CopyOutcome> {
  const convert = ({ uid, gid }: { uid: number; gid: number }) => ({
    uid: files.uids.toHost(uid),
    gid: files.gids.toHost(gid),
  });
  const parentPath = posix.dirname(target);
  const name = Buffer.from(posix.basename(target));
  const made = { mode: 0o755, owner: convert(owner ?? { uid: 0, gid: 0 }) };
  const missing = missingParents(files, parentPath);
  const meter = createCopyProgressMeter(onProgress);
  try {
    const parent = resolvePath(files, parentPath, { followLast: true, makeParents: made, makeLast: made });
    try {
      const { entry } = parent;
      if (entry === undefined) throw systemError('ENOENT', 'no such directory');
      if (!entry.stats.isDirectory()) throw systemError('ENOTDIR', 'not a directory');
      requireStored(entry.place);
      await requireFreeInContainer(files, entry.fd, entry.place, name, looked.isDirectory(), target);
      // A directory that nobody else may enter: what lies in it cannot be swapped while its owner and mode are set.
      const stage = makeStage(files.base.guard, { fd: entry.fd, place: entry.place, path: parentPath });
      const into: TreePlace = { directoryFd: stage.fd, name: Buffer.from('item'), place: stage.place, path: target };
      try {
        await copyTree(from, source, to, into, {
          meter,
          signal,
          fileModeMask: 0o7777,
          directoryModeMask: 0o7777,
          ownerOf: (stats) => convert(owner ?? stats),
        });
        files.requireAlive();
        requireNotAborted(signal, target);
        rename(stage.fd, entry.fd, name, target, files.container);
      } catch (error) {
        await removeStage(stage, files.container, error);
        throw error;
      } finally {
        closeSync(stage.fd);
      }
      rmdirSync(reachName(entry.fd, stage.name));
      return { method: 'host', ...meter.end() };
    } finally {
      parent.close();
    }
  } catch (error) {
    for (const path of missing) {
      if (!removeMade(files, path)) break;
    }
    throw error;
  }
}

/** Copies the file, directory or symlink `source` of a container to the path `target` of this host. */
export async function copyFromContainerByHost(
  files: AnchoredFiles,
  source: string,
  target: string,
  options: CopyOptions = {},
): Promise<CopyOutcome> {
  const from = containerSide(files);
  try {
    const walked = resolvePath(files, source, { followLast: false });
    try {
      const { parent, entry } = walked;
      if (entry === undefined) throw systemError('ENOENT', 'no such file or directory');
      if (parent === undefined) throw systemError('EINVAL', 'it is the root');
      const place: TreePlace = { directoryFd: parent.fd, name: parent.name, place: parent.place, path: source };
      const isDirectory = entry.stats.isDirectory();
      const copied = await copyTreeToHost(from, place, isDirectory, target, options, () => files.requireAlive());
      return { method: 'host', ...copied };
    } finally {
      walked.close();
    }
  } catch (error) {
    throw from.mapError(error, source);
  }
}

function containerSide({ base, container, requireAlive }: AnchoredFiles): TreeSide {
  return {
    guard: base.guard,
    mapError(error, path) {
      const typed = mapContainerFileError(error, path, container);
      if (typed === error) return typed;
      try {
        // The mounts go when the container ends: what seems to be missing may only be that.
        requireAlive();
      } catch (ended) {
        return ended as Error;
      }
      return finalCodes.has(String((error as NodeJS.ErrnoException).code)) ? markFinal(typed) : typed;
    },
  };
}

function resolvePath(files: AnchoredFiles, path: string, options: WalkOptions): Walked {
  const walked = walk(files.base, Buffer.from(path), options);
  try {
    files.requireAlive();
    return walked;
  } catch (error) {
    walked.close();
    throw error;
  }
}

/** Those of `path` and its parents that are not there, the deepest first. */
function missingParents(files: AnchoredFiles, path: string): string[] {
  const missing: string[] = [];
  for (let directory = path; directory !== '/'; directory = posix.dirname(directory)) {
    try {
      const walked = walk(files.base, Buffer.from(directory), { followLast: true });
      const isThere = walked.entry !== undefined;
      walked.close();
      if (isThere) break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') break;
    }
    missing.push(directory);
  }
  return missing;
}

/** False when it is not empty any more, and so in use. */
function removeMade(files: AnchoredFiles, path: string): boolean {
  try {
    const { parent, close } = walk(files.base, Buffer.from(path), { followLast: false });
    try {
      if (parent !== undefined) rmdirSync(reachName(parent.fd, parent.name));
      return true;
    } finally {
      close();
    }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

async function requireFreeInContainer(
  files: AnchoredFiles,
  parentFd: number,
  parentPlace: MountPlace,
  name: Buffer,
  forDirectory: boolean,
  target: string,
): Promise<void> {
  let fd: number;
  try {
    fd = openInert(parentFd, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    const place = files.base.guard.placeOf(fd, parentPlace, Buffer.from(target).toString('latin1'));
    const isDirectory = fstatSync(fd).isDirectory();
    if (isDirectory !== forDirectory || (isDirectory && !(await isEmpty(fd)))) {
      throw alreadyExistsInContainer(target, files.container);
    }
    if (place.mountId !== parentPlace.mountId) {
      throw new UnsupportedError(`'${target}' is itself a mount in ${files.container} and cannot be replaced.`, {
        applied: 'no',
      });
    }
  } finally {
    closeSync(fd);
  }
}

async function isEmpty(fd: number): Promise<boolean> {
  const directory = await openDirectoryOfBytes(fd, 1);
  try {
    return (await directory.read()) === null;
  } finally {
    await directory.close();
  }
}

function rename(stageFd: number, parentFd: number, name: Buffer, target: string, container: string): void {
  try {
    renameSync(reachName(stageFd, Buffer.from('item')), reachName(parentFd, name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'EISDIR' || code === 'ENOTDIR') {
      throw alreadyExistsInContainer(target, container, error);
    }
    throw error;
  }
}

function requireNotAborted(signal: AbortSignal | undefined, target: string): void {
  if (signal?.aborted !== true) return;
  throw new OperationAbortedError(`Copying to '${target}' was aborted by the caller's signal.`, {
    applied: 'no',
    cause: signal.reason,
  });
}
