import { InvalidArgumentError } from './errors/invalid-argument-error.js';

/** Between the user or group ids of a container's user namespace and those of this process. */
export interface IdMap {
  /** 65534 (nobody) for an id that the container does not have, as it is shown there too. */
  toContainer(hostId: number): number;
  /** Throws `InvalidArgumentError` for an id that the container does not have. */
  toHost(containerId: number): number;
}

const overflowId = 65_534;

export const sameIds: IdMap = { toContainer: (id) => id, toHost: (id) => id };

/** `text` is that of /proc/PID/uid_map or gid_map. */
export function parseIdMap(text: string): IdMap {
  const ranges = [...text.matchAll(/^\s*(\d+)\s+(\d+)\s+(\d+)\s*$/gm)].map(([, inside, outside, count]) => ({
    inside: Number(inside),
    outside: Number(outside),
    count: Number(count),
  }));
  return {
    toContainer(id) {
      const range = ranges.find(({ outside, count }) => id >= outside && id < outside + count);
      return range === undefined ? overflowId : range.inside + id - range.outside;
    },
    toHost(id) {
      const range = ranges.find(({ inside, count }) => id >= inside && id < inside + count);
      if (range === undefined) throw new InvalidArgumentError(`The container has no user or group with id ${id}.`);
      return range.outside + id - range.inside;
    },
  };
}
