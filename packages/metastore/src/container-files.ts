/** What a store reads of containers from the host, without asking an engine. */
import {
  type Container,
  type ContainerRoot,
  containerIdsOfPid,
  getHostAccess,
  listProcesses,
  openRootOfContainer,
} from '@crikit/core';
import type { MetaStore, StoreTarget } from './meta-store.js';
import type { Snapshot } from './snapshot.js';

export type ContainerFiles = Pick<
  MetaStore,
  'readFile' | 'stat' | 'readDir' | 'writeFile' | 'openRoot' | 'listProcesses' | 'getContainerByPid' | 'getHostAccess'
>;

export interface ContainerFilesInput {
  readonly hostRoot: string;
  /** The target as the store knows it now; throws as `MetaStore.engine` does. */
  findTarget(target: StoreTarget): Container;
  snapshot(): Snapshot;
}

export function createContainerFiles({ hostRoot, findTarget, snapshot }: ContainerFilesInput): ContainerFiles {
  const openRoot = async (target: StoreTarget): Promise<ContainerRoot> =>
    openRootOfContainer(findTarget(target), { hostRoot });

  const withRoot = async <Result>(
    target: StoreTarget,
    use: (root: ContainerRoot) => Promise<Result>,
  ): Promise<Result> => {
    const root = await openRoot(target);
    try {
      return await use(root);
    } finally {
      await root.close();
    }
  };

  return {
    openRoot,
    readFile: (target, path, options) => withRoot(target, (root) => root.readFile(path, options)),
    stat: (target, path, options) => withRoot(target, (root) => root.stat(path, options)),
    readDir: (target, path, options) => withRoot(target, (root) => root.readDir(path, options)),
    writeFile: (target, path, data, options) => withRoot(target, (root) => root.writeFile(path, data, options)),
    listProcesses: async (target, options = {}) => {
      const { id, state } = findTarget(target);
      return listProcesses({
        ...options,
        containerId: id,
        hostRoot,
        ...(state.pid === 0 ? {} : { pid: state.pid }),
      });
    },
    getHostAccess: async (target) => getHostAccess(findTarget(target), { hostRoot }),
    getContainerByPid: (pid) => {
      const { keysById, containersByKey } = snapshot();
      // The outermost that is known: further inside a container can give itself any name.
      for (const id of containerIdsOfPid(pid, hostRoot)) {
        const key = keysById.get(id)?.[0];
        if (key !== undefined) return containersByKey.get(key);
      }
      return undefined;
    },
  };
}
