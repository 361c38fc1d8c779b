import type { Stats } from 'node:fs';
import { lstat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import type { CopyProgress } from './copy-options.js';
import { requireCopyable } from './copy-paths.js';
import { ProtocolError } from './errors/protocol-error.js';
import { markFinal } from './final-copy-errors.js';
import { mapFileError } from './map-file-error.js';
import { type PackTarOptions, packTar } from './pack-tar.js';

/** What of this host is to go into a container. */
export interface HostSource {
  /** Absolute. */
  readonly path: string;
  readonly stats: Stats;
}

/** Rejects, for good, when it is not there or is something that cannot be copied. */
export async function lookAtHostSource(path: string): Promise<HostSource> {
  const stats = await lstat(path).catch((error) => {
    throw markFinal(mapFileError(error, path, 'no'));
  });
  requireCopyable(stats, path);
  return { path, stats };
}

/**
 * Gives `send` a tar of the source, under the name `nameInArchive`. What goes wrong on this host is the error then,
 * whatever `send` makes of the stream that breaks off.
 */
export async function packHostSource(
  source: HostSource,
  nameInArchive: string,
  options: PackTarOptions,
  send: (tar: Readable, failed: AbortSignal) => Promise<void>,
): Promise<CopyProgress> {
  const tar = await packTar(source.path, nameInArchive, options);
  const failed = new AbortController();
  void tar.done.then(() => {
    if (tar.failure() !== undefined) failed.abort();
  });
  try {
    await send(tar.stream, failed.signal);
    const packed = tar.packed();
    if (packed !== undefined) return packed;
    throw tar.failure() ?? new ProtocolError(`It was said to be done before all of '${source.path}' was taken.`);
  } catch (error) {
    const failure = tar.failure();
    if (failure === undefined) throw error;
    throw markFinal(failure);
  } finally {
    tar.stream.destroy();
    await tar.done;
  }
}
