import { existsSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { hostPath } from '@crikit/core';
import type { CheckContext, CheckFinding, CheckResult } from './check-task.js';
import { firstPidNamespace } from './container-processes.js';
import { findMountAt, readMountinfo } from './read-mountinfo.js';

/** Whether the node's root is where it is said to be, whole, and kept up to date. */
export function checkHostRoot({ settings: { hostRoot }, environment }: CheckContext): CheckResult {
  if (hostRoot === '/') return { findings: [isInContainer(environment) ? notGiven() : seen('/')] };
  const found = describeDirectory(hostRoot);
  if (found !== undefined) {
    return {
      findings: [
        {
          id: 'host-root-missing',
          severity: 'failure',
          subject: hostRoot,
          message: `The host root ${hostRoot} ${found}.`,
          remedy: 'Mount the node’s / there (hostPath: { path: / }), or give the right place by --host-root or HOSTFS.',
        },
      ],
    };
  }
  if (!existsSync(hostPath(hostRoot, '/proc/1')) && !existsSync(hostPath(hostRoot, '/proc/self'))) {
    return {
      findings: [
        {
          id: 'host-root-incomplete',
          severity: 'failure',
          subject: hostRoot,
          message: `${hostRoot}/proc shows no processes: what is mounted at ${hostRoot} is not the node’s root with all that is mounted in it.`,
          remedy: 'Mount the node’s / with its mounts (a hostPath volume does; with others: rbind).',
        },
      ],
    };
  }
  const findings: CheckFinding[] = [seen(hostRoot)];
  const mount = findMountAt(hostRoot.replace(/(.)\/+$/, '$1'), readMountinfo());
  if (mount !== undefined && !mount.isPropagated) {
    findings.push({
      id: 'host-root-not-propagated',
      severity: 'warning',
      subject: hostRoot,
      message: `What the node mounts later does not show up below ${hostRoot}: root file systems of containers that start after this process look empty.`,
      remedy: 'Set mountPropagation: HostToContainer on the mount of the node’s root.',
    });
  }
  return { findings };
}

function seen(hostRoot: string): CheckFinding {
  return { id: 'host-root-seen', severity: 'ok', subject: hostRoot, message: `The host root is ${hostRoot}.` };
}

function notGiven(): CheckFinding {
  return {
    id: 'host-root-not-given',
    severity: 'warning',
    message:
      'This process runs in a container and was not told where the node’s root is mounted: sockets and files are looked for in the container’s own root.',
    remedy:
      'Mount the node’s / (at /hostfs, say) and give that by HOSTFS or --host-root; or mount the directory of the socket at its own path.',
  };
}

function describeDirectory(path: string): string | undefined {
  try {
    return statSync(path).isDirectory() ? undefined : 'is not a directory';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? 'does not exist' : `cannot be looked at (${code})`;
  }
}

function isInContainer(environment: CheckContext['environment']): boolean {
  if (isNodesOwn()) return false;
  if (environment.KUBERNETES_SERVICE_HOST !== undefined || environment.container !== undefined) return true;
  return existsSync('/.dockerenv') || existsSync('/run/.containerenv') || hasContainerVariable();
}

/** A process of the node, whatever files an image left in its root: it has the pids and mounts that the kernel began with. */
function isNodesOwn(): boolean {
  if (namespaceOf('self', 'pid') !== firstPidNamespace) return false;
  const own = namespaceOf('self', 'mnt');
  // The kernel's own threads tell where the first process may not be looked at.
  return own !== undefined && (own === namespaceOf('2', 'mnt') || own === namespaceOf('1', 'mnt'));
}

function namespaceOf(pid: string, kind: 'mnt' | 'pid'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}

function hasContainerVariable(): boolean {
  try {
    return readFileSync('/proc/1/environ', 'latin1')
      .split('\0')
      .some((line) => line.startsWith('container='));
  } catch {
    return false;
  }
}
