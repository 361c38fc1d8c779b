import type { Container } from './container.js';
import type { ContainerRoot } from './container-root.js';
import { ContainerNotRunningError } from './errors/container-not-running-error.js';
import { isCrikitError } from './errors/crikit-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { openContainerRoot } from './open-container-root.js';
import { isRuncLikeRuntime } from './runc-like-runtime.js';

/** See `at-first-use.ts`. */
export async function openRootOfContainer(
  container: Pick<Container, 'id' | 'runtime' | 'state' | 'mounts' | 'mergedDir'>,
  { hostRoot = '/' }: { readonly hostRoot?: string } = {},
): Promise<ContainerRoot> {
  const { id, runtime, state, mounts, mergedDir } = container;
  if (!isRuncLikeRuntime(runtime)) {
    throw new UnsupportedError(
      `The files of container ${id} (runtime ${runtime ?? 'unknown'}) cannot be reached from the host.`,
      { applied: 'no', remedy: 'Use exec.' },
    );
  }
  if (state.pid === 0) {
    // The directory may still be there, unmounted and empty.
    throw new ContainerNotRunningError(`Container ${id} has no process.`, { applied: 'no' });
  }
  try {
    return await openContainerRoot({ pid: state.pid, containerId: id, hostRoot });
  } catch (error) {
    if (mergedDir === undefined || !isCrikitError(error) || error.code !== 'PERMISSION') throw error;
    try {
      return await openContainerRoot({ mergedDir, mounts, hostRoot });
    } catch {
      throw error;
    }
  }
}
