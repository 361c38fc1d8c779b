/** Copying by an engine's own archive streams, the method `engine`. */
import { basename, posix } from 'node:path';
import { callDriver } from './call-driver.js';
import type { ContainerReference } from './container.js';
import { openStage } from './copy-by-exec.js';
import { lookAtHostSource, packHostSource } from './copy-host-source.js';
import type { CopyOptions, CopyOutcome } from './copy-options.js';
import {
  alreadyExistsInContainer,
  requireHostPath,
  resolveContainerDestination,
  resolveContainerSource,
  resolveHostDestination,
} from './copy-paths.js';
import type { ArchiveFeature } from './engine-contract.js';
import { isPathNotFoundError } from './errors/path-not-found-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { isFinalCopyError } from './final-copy-errors.js';
import { peekTar } from './peek-tar.js';
import type { ExecContext } from './run-exec.js';
import { unpackTar } from './unpack-tar.js';

export interface ArchiveTarget {
  readonly archive: ArchiveFeature;
  /** Id of the engine, for messages. */
  readonly engine: string;
  readonly reference: ContainerReference;
  /** Runs commands in the container, where it has a shell, so that what goes in appears at once. */
  readonly stageWith?: ExecContext;
}

/** Like the start of an exec: until the engine begins to answer. */
const archiveStartDeadlineMs = 10_000;

/** The longest that a timer takes: how long a transfer lasts is the caller's signal's business. */
const noDeadlineMs = 2 ** 31 - 1;

/**
 * Copies a file, directory or symlink of this host to the path `destination` in a container; with a slash at its end,
 * into that directory under the source's own name. Missing parent directories are made (mode 0755). A file or symlink
 * replaces a file or symlink; a directory needs a path that is free or an empty directory; else `AlreadyExistsError`.
 *
 * With `stage`, it appears by one rename. Without one (the container has no shell, or does not run) the engine unpacks
 * in place: after a failure in the middle, what had arrived is there.
 */
export async function copyToContainerByArchive(
  { archive, engine, reference, stageWith }: ArchiveTarget,
  source: string,
  destination: string,
  options: CopyOptions = {},
): Promise<CopyOutcome> {
  const hostSource = requireHostPath(source, 'source');
  const target = resolveContainerDestination(destination, basename(hostSource));
  const { signal } = options;
  const host = await lookAtHostSource(hostSource);
  const isDirectory = host.stats.isDirectory();
  const what = `copy to '${target}' of container ${reference.id}`;
  const put = async (directory: string, name: string, parents: readonly string[]): Promise<CopyOutcome> => {
    const packed = await packHostSource(host, name, { ...options, parents }, (tar, failed) =>
      callDriver(
        {
          what,
          engine,
          timeoutMs: noDeadlineMs,
          signal: signal === undefined ? failed : [signal, failed],
        },
        (callSignal) => archive.putArchive(reference, directory, tar, { signal: callSignal }),
      ),
    );
    return { method: 'engine', ...packed };
  };

  const stage =
    stageWith === undefined
      ? undefined
      : await openStage({ exec: stageWith, reference }, target, isDirectory, signal).catch((error) => {
          if (isFinalCopyError(error)) throw error;
        });
  if (stage !== undefined) {
    try {
      const copied = await put(stage.path, posix.basename(stage.item), []).catch((error) => {
        if (!isPathNotFoundError(error) || isFinalCopyError(error)) throw error;
        throw new UnsupportedError(
          `What the engine unpacks does not reach '${target}' of container ${reference.id}: a file system is mounted there that it does not see.`,
          { engine, applied: 'no', cause: error },
        );
      });
      await stage.arrive(copied.bytes, signal);
      return copied;
    } catch (error) {
      await stage.discard(error);
      throw error;
    }
  }

  await requireFreeTarget({ archive, engine, reference }, target, isDirectory, signal);
  const parents: string[] = [];
  for (let directory = posix.dirname(target); ; directory = posix.dirname(directory)) {
    try {
      return await put(directory, posix.basename(target), parents);
    } catch (error) {
      if (!isPathNotFoundError(error) || isFinalCopyError(error) || directory === '/') throw error;
      parents.unshift(posix.basename(directory));
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
): Promise<CopyOutcome> {
  const from = resolveContainerSource(source);
  const target = resolveHostDestination(destination, posix.basename(from));
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
  throw alreadyExistsInContainer(target, `container ${reference.id}`, undefined, engine);
}
