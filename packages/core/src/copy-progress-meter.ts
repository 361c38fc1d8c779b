import type { CopyOptions, CopyProgress } from './copy-options.js';

export interface CopyProgressMeter {
  addEntry(): void;
  addBytes(bytes: number): void;
  /** Reports the final counts. */
  end(): CopyProgress;
}

const reportIntervalMs = 100;

/** Counts what a copy moves and reports it at most ten times a second, and once at the end. */
export function createCopyProgressMeter(onProgress: CopyOptions['onProgress']): CopyProgressMeter {
  let bytes = 0;
  let entries = 0;
  let reportedAt = Number.NEGATIVE_INFINITY;
  const report = (): void => {
    if (onProgress === undefined) return;
    const now = performance.now();
    if (now - reportedAt < reportIntervalMs) return;
    reportedAt = now;
    onProgress({ bytes, entries });
  };
  return {
    addEntry() {
      entries += 1;
      report();
    },
    addBytes(more) {
      bytes += more;
      report();
    },
    end() {
      onProgress?.({ bytes, entries });
      return { bytes, entries };
    },
  };
}
