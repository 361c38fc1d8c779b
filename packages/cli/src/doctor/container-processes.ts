import { readdirSync, readFileSync } from 'node:fs';
import { containerIdFromCgroup, hostPath } from '@crikit/core';

/** The kernel's own number for the pid namespace of the machine itself. */
export const firstPidNamespace = 'pid:[4026531836]';

export interface ContainerProcess {
  readonly pid: number;
  readonly containerId: string;
  /** Text of its `/proc/PID/cgroup`. */
  readonly cgroup: string;
}

/** Whether pids of `<hostRoot>/proc` were seen, and one process of each container among them. */
export interface SeenProcesses {
  readonly pids: readonly number[];
  readonly containers: readonly ContainerProcess[];
}

/** Throws the system's error when the directory cannot be read. */
export function findContainerProcesses(hostRoot: string): SeenProcesses {
  const directory = hostPath(hostRoot, '/proc');
  const pids = readdirSync(directory)
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  const containers = new Map<string, ContainerProcess>();
  for (const pid of pids) {
    const cgroup = readText(`${directory}/${pid}/cgroup`);
    const containerId = cgroup === undefined ? undefined : containerIdFromCgroup(cgroup);
    if (cgroup === undefined || containerId === undefined || containers.has(containerId)) continue;
    containers.set(containerId, { pid, containerId, cgroup });
  }
  return { pids, containers: [...containers.values()] };
}

/** Undefined when it cannot be read: processes come and go. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
