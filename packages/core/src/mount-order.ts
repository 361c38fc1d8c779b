import type { MountPoint } from './container.js';

/**
 * The mounts in the order in which a path of the container is to be looked up: longest destination first, so that a
 * mount inside another one is found before it. The name is the seed's; the order by source that it speaks of would find
 * the wrong mount. Gives a new array; mounts of equal length keep their order.
 */
export function sortMountPointsByLongSourceFirst(mounts: readonly MountPoint[]): MountPoint[] {
  return mounts.toSorted((one, other) => other.destination.length - one.destination.length);
}
