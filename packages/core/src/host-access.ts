import type { Container } from './container.js';
import { isCrikitError } from './errors/crikit-error.js';
import { canSignalHostPids } from './host-process.js';
import { openRootOfContainer } from './open-root-of-container.js';

/**
 * - `files-and-signals`: its files can be read and written from the host, and its processes signalled.
 * - `files`: its files only.
 * - `none`: it can be reached by exec and the engine alone.
 */
export type HostAccessLevel = 'files-and-signals' | 'files' | 'none';

export interface HostAccess {
  readonly access: HostAccessLevel;
  /** Why it is that and no more (or, with everything, how it was proven), in a sentence. */
  readonly reason: string;
}

/** See `at-first-use.ts`. */
export async function getHostAccess(
  container: Pick<Container, 'id' | 'runtime' | 'state' | 'mounts' | 'mergedDir'>,
  { hostRoot = '/' }: { readonly hostRoot?: string } = {},
): Promise<HostAccess> {
  try {
    const root = await openRootOfContainer(container, { hostRoot });
    await root.close();
  } catch (error) {
    return { access: 'none', reason: isCrikitError(error) ? error.message : String(error) };
  }
  const { pid } = container.state;
  if (!(await canSignalHostPids(hostRoot))) {
    return {
      access: 'files',
      reason: `The files open, but this process is not in the pid namespace that the node's /proc shows: it must not signal process ${pid}.`,
    };
  }
  try {
    // Signal 0 asks whether one may, and does nothing.
    process.kill(pid, 0);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { access: 'files', reason: `The files open, but process ${pid} may not be signalled (${code}).` };
  }
  return {
    access: 'files-and-signals',
    reason: `Process ${pid} of this node is in a control group of the container, and its root opens.`,
  };
}
