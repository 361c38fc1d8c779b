import { RUNTIME_RUNC } from './container.js';

const runcLikeRuntimes: ReadonlySet<string> = new Set([RUNTIME_RUNC, 'crun', 'youki']);

/**
 * Whether containers of this runtime are processes of the node's own kernel, whose files can be reached from the host.
 * Virtual machines and sandboxes (kata, rund, runv, runsc), names that are not known and undefined are not.
 */
export function isRuncLikeRuntime(runtime: string | undefined): boolean {
  return runtime !== undefined && runcLikeRuntimes.has(runtime);
}
