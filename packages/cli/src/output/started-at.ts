import { readFileSync } from 'node:fs';
import { type Container, hostPath } from '@crikit/core';

/** The kernel counts in these for programs, whatever its own clock does. */
const ticksPerSecond = 100;

/**
 * When a container was started, ISO 8601: as its engine says; where that does not tell (containerd), when its first process
 * was. Undefined for what does not run or cannot be seen.
 */
export function startedAt({ state }: Pick<Container, 'state'>, hostRoot: string): string | undefined {
  if (state.startedAt !== undefined || state.pid <= 0) return state.startedAt;
  try {
    const stat = readFileSync(hostPath(hostRoot, `/proc/${state.pid}/stat`), 'latin1');
    // The name of the program, in parentheses, may hold anything.
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
    const bootSeconds = Number(/^btime (\d+)$/m.exec(readFileSync(hostPath(hostRoot, '/proc/stat'), 'latin1'))?.[1]);
    return new Date((bootSeconds + ticks / ticksPerSecond) * 1_000).toISOString();
  } catch {
    return undefined;
  }
}
