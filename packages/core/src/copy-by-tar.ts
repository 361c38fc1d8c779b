/** Copying by the container's own `tar`, the method `tar`. */
import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { type ExecTarget, explainFailure, openStage, readContainerOutput, runInContainer } from './copy-by-exec.js';
import { type HostSource, packHostSource } from './copy-host-source.js';
import type { CopyOptions, CopyOutcome } from './copy-options.js';
import { unpackTar } from './unpack-tar.js';

/** Needs `sh`, `tar`, `mv`, `mkdir`, `rm` and `rmdir` in the container. */
export async function copyToContainerByTar(
  container: ExecTarget,
  source: HostSource,
  target: string,
  options: CopyOptions,
): Promise<CopyOutcome> {
  const { exec, reference } = container;
  const { signal } = options;
  const stage = await openStage(container, target, source.stats.isDirectory(), signal);
  try {
    const copied = await packHostSource(
      source,
      posix.basename(stage.item),
      { ...options, forSimpleUnpackers: true },
      async (tar) => {
        const result = await runInContainer(container, ['tar', '-x', '-p', '-f', '-', '-C', stage.path], {
          input: tar,
          ...(signal !== undefined && { signal }),
        });
        if (result.exitCode !== 0) {
          throw explainFailure(result, `unpack in container ${reference.id}`, target, reference, exec.driver.id);
        }
      },
    );
    await stage.arrive(copied.bytes, signal);
    return { method: 'tar', ...copied };
  } catch (error) {
    await stage.discard(error);
    throw error;
  }
}

/** Needs `tar` in the container. */
export async function copyFromContainerByTar(
  container: ExecTarget,
  source: string,
  target: string,
  options: CopyOptions,
): Promise<CopyOutcome> {
  // Beginning with `./`, no name is taken for an option.
  const cmd = ['tar', '-c', '-f', '-', '-C', posix.dirname(source), `./${posix.basename(source)}`];
  const tar = Readable.from(readContainerOutput(container, cmd, source, options.signal), { objectMode: false });
  return { method: 'tar', ...(await unpackTar(tar, target, options)) };
}
