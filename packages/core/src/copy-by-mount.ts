/**
 * Copying by a writable volume of the container as a transfer station, the method `mount`: for containers whose root
 * this process cannot reach, but whose volume is a directory of this host. What goes in is put there and copied to its
 * place by the container's `cp`; what comes out takes the same way back.
 */
import { closeSync, fstatSync } from 'node:fs';
import { posix } from 'node:path';
import { openInert } from './anchored-walk.js';
import type { MountPoint } from './container.js';
import { type ExecTarget, explainFailure, openStage, runInContainer } from './copy-by-exec.js';
import { copyTreeToHost, withHostSource } from './copy-host-files.js';
import type { HostSource } from './copy-host-source.js';
import type { CopyOptions, CopyOutcome } from './copy-options.js';
import { createCopyProgressMeter } from './copy-progress-meter.js';
import { makeStage, removeStage, type Stage } from './copy-stage.js';
import { copyTree, type TreePlace, type TreeSide } from './copy-tree.js';
import { isCrikitError } from './errors/crikit-error.js';
import { PathNotFoundError } from './errors/path-not-found-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { mapContainerFileError } from './map-container-file-error.js';
import { createMountGuard, requireStored } from './mount-guard.js';
import { walkOnHost } from './open-container-root.js';

export interface MountTarget extends ExecTarget {
  /** Their sources below the host root. */
  readonly mounts: readonly MountPoint[];
}

const notSeenCode = 74;
const notFoundCode = 75;

// Positional: the station, what is copied, where to.
const copyScript = `[ -d "$1" ] || exit ${notSeenCode}
[ -e "$2" ] || [ -L "$2" ] || exit ${notFoundCode}
command -v cp >/dev/null || exit 127
cp -a "$2" "$3"`;

/** Needs `sh`, `cp`, `mv`, `mkdir`, `rm` and `rmdir` in the container. */
export async function copyToContainerByMount(
  container: MountTarget,
  source: HostSource,
  target: string,
  options: CopyOptions,
): Promise<CopyOutcome> {
  const { signal, onProgress, owner } = options;
  return throughStation(container, async (station) => {
    const meter = createCopyProgressMeter(onProgress);
    // Before everything is written to a directory that may be another machine's.
    const seen = await runInContainer(container, ['sh', '-c', '[ -d "$1" ]', 'sh', station.inside], {
      ...(signal !== undefined && { signal }),
    });
    if (seen.exitCode !== 0) throw notSeen();
    await withHostSource(source.path, (from, side) =>
      copyTree(side, from, station.side, station.item, {
        meter,
        signal,
        fileModeMask: 0o7777,
        directoryModeMask: 0o7777,
        ownerOf: (stats) => owner ?? stats,
      }),
    );
    const stage = await openStage(container, target, source.stats.isDirectory(), signal);
    try {
      await copyInside(container, station, `${station.inside}/item`, stage.item, target, signal);
      const copied = meter.end();
      await stage.arrive(copied.bytes, signal);
      return { method: 'mount', ...copied };
    } catch (error) {
      await stage.discard(error);
      throw error;
    }
  });
}

/** Needs `sh` and `cp` in the container. */
export async function copyFromContainerByMount(
  container: MountTarget,
  source: string,
  target: string,
  options: CopyOptions,
): Promise<CopyOutcome> {
  return throughStation(container, async (station) => {
    await copyInside(container, station, source, `${station.inside}/item`, source, options.signal);
    const isDirectory = isDirectoryAt(station.item);
    const copied = await copyTreeToHost(station.side, station.item, isDirectory, target, options, () => {});
    return { method: 'mount', ...copied };
  });
}

interface Station {
  readonly side: TreeSide;
  /** What is copied, seen from this host. */
  readonly item: TreePlace;
  /** The station's path in the container. */
  readonly inside: string;
}

class NotSeenError extends UnsupportedError {}

/** Tries the volumes in turn until the container sees what was made in one of them. */
async function throughStation(
  container: MountTarget,
  use: (station: Station) => Promise<CopyOutcome>,
): Promise<CopyOutcome> {
  const { exec, mounts, reference } = container;
  const where = `container ${reference.id}`;
  const reasons: string[] = [];
  for (const mount of mounts) {
    if (!mount.readWrite || !posix.isAbsolute(mount.source) || mount.destination === '/') continue;
    let opened: OpenedStation;
    try {
      opened = openStation(exec.hostRoot, mount, where);
    } catch (error) {
      reasons.push(`'${mount.destination}': ${(error as Error).message}`);
      continue;
    }
    const { stage, station, close } = opened;
    let failure: unknown;
    try {
      return await use(station);
    } catch (error) {
      failure = error;
      if (!(error instanceof NotSeenError)) throw mapContainerFileError(error, mount.destination, where);
      reasons.push(`'${mount.destination}': ${error.message}`);
    } finally {
      try {
        await removeStage(stage, where, failure);
      } finally {
        close();
      }
    }
  }
  throw new UnsupportedError(
    `Container ${reference.id} has no writable volume that is a directory of this host${reasons.length === 0 ? '' : ` (${reasons.join('; ')})`}.`,
    { engine: exec.driver.id, applied: 'no' },
  );
}

interface OpenedStation {
  readonly stage: Stage;
  readonly station: Station;
  close(): void;
}

function openStation(hostRoot: string, { source, destination }: MountPoint, where: string): OpenedStation {
  const guard = createMountGuard('/proc/self/mountinfo');
  const walked = walkOnHost(hostRoot, source, guard);
  try {
    const { entry } = walked;
    if (entry?.stats.isDirectory() !== true) {
      throw new UnsupportedError('it is no directory on this host', { applied: 'no' });
    }
    requireStored(entry.place);
    const stage = makeStage(guard, { fd: entry.fd, place: entry.place, path: destination });
    const inside = posix.join(destination, stage.name.toString());
    return {
      stage,
      station: {
        side: { guard, mapError: (error, path) => mapContainerFileError(error, path, where) },
        item: { directoryFd: stage.fd, name: Buffer.from('item'), place: stage.place, path: `${inside}/item` },
        inside,
      },
      close() {
        closeSync(stage.fd);
        walked.close();
      },
    };
  } catch (error) {
    walked.close();
    throw isCrikitError(error) ? error : mapContainerFileError(error, destination, where);
  }
}

async function copyInside(
  container: MountTarget,
  { inside }: Station,
  from: string,
  to: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { exec, reference } = container;
  const result = await runInContainer(container, ['sh', '-c', copyScript, 'sh', inside, from, to], {
    ...(signal !== undefined && { signal }),
  });
  if (result.exitCode === 0) return;
  if (result.exitCode === notSeenCode) {
    throw notSeen();
  }
  if (result.exitCode === notFoundCode) {
    throw new PathNotFoundError(`There is no '${from}' in container ${reference.id}.`, { applied: 'no' });
  }
  throw explainFailure(result, `copy '${path}' in container ${reference.id}`, path, reference, exec.driver.id);
}

function notSeen(): NotSeenError {
  return new NotSeenError('what is made in it on this host does not appear in the container', { applied: 'no' });
}

function isDirectoryAt({ directoryFd, name }: TreePlace): boolean {
  const fd = openInert(directoryFd, name);
  try {
    return fstatSync(fd).isDirectory();
  } finally {
    closeSync(fd);
  }
}
