import { statfsSync } from 'node:fs';
import { hostPath } from '@crikit/core';
import type { CheckContext, CheckResult } from './check-task.js';
import { type ContainerProcess, findContainerProcesses } from './container-processes.js';

// As statfs gives it.
const cgroup2Magic = 0x63677270;

/** Version of control groups, and who makes those of containers. */
export function checkCgroup({ settings: { hostRoot } }: CheckContext): CheckResult {
  const directory = hostPath(hostRoot, '/sys/fs/cgroup');
  try {
    const version = statfsSync(directory).type === cgroup2Magic ? 'v2' : 'v1';
    const drivers = [...new Set(findContainerProcesses(hostRoot).containers.map(driverOf))].sort();
    const driver =
      drivers.length === 0 ? 'no container runs that would show the driver' : `driver ${drivers.join(', ')}`;
    const message = `Control groups ${version}, ${driver}.`;
    return { findings: [{ id: 'cgroup-known', severity: 'ok', subject: directory, message }] };
  } catch (error) {
    return {
      findings: [
        {
          id: 'cgroup-unknown',
          severity: 'warning',
          subject: directory,
          message: `The control groups of the node cannot be read: ${(error as Error).message}.`,
          remedy:
            'Mount the node’s root with /sys/fs/cgroup and /proc in it; without them no process is told to be a container’s.',
        },
      ],
    };
  }
}

/** systemd makes a unit of each container, which ends in `.scope`. */
function driverOf({ cgroup, containerId }: ContainerProcess): string {
  return cgroup.includes(`${containerId}.scope`) ? 'systemd' : 'cgroupfs';
}
