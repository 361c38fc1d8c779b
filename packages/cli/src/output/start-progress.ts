import type { CopyProgress } from '@crikit/core';
import type { CommandContext } from '../command-context.js';
import { formatBytes } from './format-bytes.js';

export interface Progress {
  update(progress: CopyProgress): void;
  stop(): void;
}

/** A bar on stderr where that is a terminal, which goes away at the end; a counter where the total is not known. */
export async function startProgress({ stderr }: CommandContext, totalBytes: number | undefined): Promise<Progress> {
  if (stderr.isTTY !== true) return { update: () => {}, stop: () => {} };
  const { default: progress } = await import('cli-progress');
  const bar = new progress.SingleBar(
    {
      stream: stderr,
      clearOnComplete: true,
      hideCursor: true,
      barsize: 30,
      format:
        totalBytes === undefined
          ? 'copying {done}, {entries} entries, {duration_formatted}'
          : 'copying [{bar}] {percentage}% {done} of {size}, {eta_formatted} left',
    },
    progress.Presets.legacy,
  );
  const describe = ({ bytes, entries }: CopyProgress) => ({
    done: formatBytes(bytes),
    entries,
    size: formatBytes(totalBytes ?? 0),
  });
  bar.start(totalBytes ?? 0, 0, describe({ bytes: 0, entries: 0 }));
  return {
    update: (now) => bar.update(totalBytes === undefined ? 0 : Math.min(now.bytes, totalBytes), describe(now)),
    stop: () => bar.stop(),
  };
}
