/** This host's side of a copy: the source that goes in, the place at which something out of a container arrives. */
import { constants } from 'node:fs';
import { mkdir, open, rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type AnchoredDirectory, openDirectory, reach, removeTree } from './anchored-directory.js';
import type { CopyOptions, CopyProgress } from './copy-options.js';
import { createCopyProgressMeter } from './copy-progress-meter.js';
import { copyTree, type TreePlace, type TreeSide } from './copy-tree.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { markFinal } from './final-copy-errors.js';
import { mapFileError } from './map-file-error.js';
import { createMountGuard } from './mount-guard.js';
import { randomHex } from './random-hex.js';
import {
  DEFAULT_MAX_COPY_BYTES,
  DEFAULT_MAX_COPY_ENTRIES,
  mapRenameError,
  removeMadeParents,
  requireFreeDestination,
} from './unpack-tar.js';

// Not among Node's constants.
const O_PATH = 0o10000000;

const hostSide: TreeSide = {
  // The same for every way to copy.
  mapError: (error, path) => markFinal(mapFileError(error, path, 'no')),
};

/** This host's side, of which `fd` is the directory that is worked in. */
function hostSideAt(fd: number): TreeSide {
  try {
    const guard = createMountGuard('/proc/self/mountinfo');
    return { ...hostSide, local: { guard, place: guard.placeOf(fd, undefined, '') } };
  } catch {
    return hostSide;
  }
}

/** Holds the directory of `path` open while `use` works with it. */
export async function withHostSource<Value>(
  path: string,
  use: (source: TreePlace, side: TreeSide) => Promise<Value>,
): Promise<Value> {
  const handle = await open(dirname(path), O_PATH | constants.O_DIRECTORY).catch((error) => {
    throw hostSide.mapError(error, path);
  });
  try {
    return await use({ directoryFd: handle.fd, name: Buffer.from(basename(path)), path }, hostSideAt(handle.fd));
  } finally {
    await handle.close();
  }
}

/**
 * Copies `source` to the path `target` of this host, under the same promises as `unpackTar`: a temporary name beside
 * it, one rename, nothing left after a failure, everything the calling user's, no set-id bits.
 */
export async function copyTreeToHost(
  from: TreeSide,
  source: TreePlace,
  sourceIsDirectory: boolean,
  target: string,
  { signal, onProgress, maxBytes, maxEntries }: CopyOptions,
  requireIntact: () => void,
): Promise<CopyProgress> {
  const meter = createCopyProgressMeter(onProgress);
  const parentPath = dirname(target);
  const name = basename(target);
  const temporary = `.crikit-${randomHex(16)}`;
  let firstMade: string | undefined;
  let parent: AnchoredDirectory | undefined;
  try {
    firstMade = await mkdir(parentPath, { recursive: true });
    parent = await openDirectory(parentPath);
    await requireFreeDestination(parent, name, sourceIsDirectory);
    await copyTree(
      from,
      source,
      hostSideAt(parent.handle.fd),
      { directoryFd: parent.handle.fd, name: Buffer.from(temporary), path: target },
      {
        meter,
        signal,
        maxBytes: maxBytes ?? DEFAULT_MAX_COPY_BYTES,
        maxEntries: maxEntries ?? DEFAULT_MAX_COPY_ENTRIES,
        // With set-id bits a container could plant a program that runs as somebody else here.
        fileModeMask: 0o777,
        directoryModeMask: 0o1777,
        ownerOf: () => undefined,
      },
    );
    requireIntact();
    await rename(reach(parent, temporary), reach(parent, name)).catch((error) => {
      throw mapRenameError(error, target);
    });
    return meter.end();
  } catch (error) {
    if (parent !== undefined) {
      await removeTree(parent, temporary).catch((cause) => {
        throw new CopyFailedError(`The copy failed, and '${parentPath}/${temporary}' could not be removed: ${cause}.`, {
          applied: 'no',
          remedy: 'Remove it by hand.',
          cause: error,
        });
      });
    }
    if (firstMade !== undefined) await removeMadeParents(parentPath, firstMade);
    throw mapUnlessTyped(error, target);
  } finally {
    await parent?.handle.close();
  }
}

/** Typed errors are those of the source or were typed where they came up; what is left is this host's. */
function mapUnlessTyped(error: unknown, target: string): Error {
  const typed = mapFileError(error, target, 'no');
  return typed === error ? typed : markFinal(typed);
}
