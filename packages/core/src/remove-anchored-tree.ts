/** `rm -r` in a tree that a hostile container changes at the same time: by descriptors, following nothing. */
import { closeSync, fstatSync } from 'node:fs';
import { rmdir, unlink } from 'node:fs/promises';
import { openInert, reachName, systemError } from './anchored-walk.js';
import { openDirectoryOfBytes } from './directory-of-bytes.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import type { MountGuard, MountPlace } from './mount-guard.js';

const maxDepth = 256;
/** Names read at once; a directory may hold millions. */
const batchSize = 4096;
/** How often a directory may be found with something in it after it was emptied. */
const maxFillings = 20;

interface Level {
  readonly fd: number;
  readonly name: Buffer;
  left: Buffer[];
  fillings: number;
}

/**
 * Removes `name` and all below it in the directory that `parentFd` holds; silent when it is not there. A mount in the
 * tree is refused: from outside of the container's mount namespace the kernel would take it off.
 */
export async function removeAnchoredTree(
  parentFd: number,
  name: Buffer,
  place: MountPlace,
  guard: MountGuard,
  signal?: AbortSignal,
): Promise<void> {
  const levels: Level[] = [];

  const enter = async (directoryFd: number, entry: Buffer): Promise<void> => {
    const fd = openIfThere(directoryFd, entry);
    if (fd === undefined) return;
    let keep = false;
    try {
      if (guard.placeOf(fd, place, entry.toString('latin1')).mountId !== place.mountId) {
        throw new UnsupportedError(`'${entry}' is a mount point and is not removed.`, { applied: 'unknown' });
      }
      if (fstatSync(fd).isDirectory()) {
        if (levels.length >= maxDepth) {
          throw new UnsupportedError(`The directory has more than ${maxDepth} levels.`, { applied: 'unknown' });
        }
        levels.push({ fd, name: entry, left: [], fillings: 0 });
        keep = true;
      } else {
        await unlinkIfThere(reachName(directoryFd, entry));
      }
    } finally {
      if (!keep) closeSync(fd);
    }
  };

  try {
    await enter(parentFd, name);
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      signal?.throwIfAborted();
      const next = level.left.pop();
      if (next !== undefined) {
        await enter(level.fd, next);
        continue;
      }
      level.left = await listSome(level.fd);
      if (level.left.length > 0) {
        // A full batch is progress in a large directory.
        if (level.left.length < batchSize) countFilling(level);
        continue;
      }
      const directoryFd = levels.at(-2)?.fd ?? parentFd;
      if (await removeIfEmpty(reachName(directoryFd, level.name))) {
        levels.pop();
        closeSync(level.fd);
      } else {
        countFilling(level);
      }
    }
  } finally {
    for (const { fd } of levels) closeSync(fd);
  }
}

function countFilling(level: Level): void {
  level.fillings += 1;
  if (level.fillings > maxFillings) throw systemError('EAGAIN', 'somebody fills the directory all the time');
}

function openIfThere(directoryFd: number, name: Buffer): number | undefined {
  try {
    return openInert(directoryFd, name);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function listSome(fd: number): Promise<Buffer[]> {
  const names: Buffer[] = [];
  const directory = await openDirectoryOfBytes(fd, 256);
  try {
    for (let entry = await directory.read(); entry !== null; entry = await directory.read()) {
      names.push(entry.name);
      if (names.length >= batchSize) break;
    }
  } finally {
    await directory.close();
  }
  return names;
}

async function unlinkIfThere(path: Buffer): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** False when it was filled again, or the name is that of something else now. */
async function removeIfEmpty(path: Buffer): Promise<boolean> {
  try {
    await rmdir(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return true;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
