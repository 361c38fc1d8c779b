/** Which container a process belongs to, by the names of its control groups. */
import { hostPath } from './host-path.js';

/**
 * The ids of all containers that a process is in, outermost first: more than one when an engine runs inside of a
 * container. `text` is the content of a `/proc/PID/cgroup`, of v1, v2 or both, made by docker, containerd, CRI-O, Podman
 * or Pouch with the systemd or the cgroupfs driver. Only ids of 64 hexadecimal digits are known; Podman's and CRI-O's
 * monitor processes, which are on the host, are in none.
 *
 * A container that may make control groups can put a name of its choice behind its own id, never in front of it. So of
 * several take the first one that you know.
 */
export function containerIdsFromCgroup(text: string): readonly string[] {
  let found: readonly string[] = [];
  for (const path of cgroupPaths(text)) {
    const ids = idsOfPath(path);
    // Hierarchies may be used in part only; the most telling one counts.
    if (ids.length > found.length) found = ids;
  }
  return found;
}

/** The outermost of {@link containerIdsFromCgroup}, the one that nobody in it can forge; undefined for none. */
export function containerIdFromCgroup(text: string): string | undefined {
  return containerIdsFromCgroup(text)[0];
}

/**
 * The ids of the containers that a process of the node is in now, outermost first; empty when it is in none, or is not
 * there. `pid` is one of `<hostRoot>/proc`. Default of `hostRoot`: `/`.
 */
export function containerIdsOfPid(pid: number, hostRoot = '/'): readonly string[] {
  // Not imported above: loading it costs every program some time.
  const { readFileSync } = process.getBuiltinModule('node:fs');
  try {
    return containerIdsFromCgroup(readFileSync(hostPath(hostRoot, `/proc/${pid}/cgroup`), 'latin1'));
  } catch {
    return [];
  }
}

/** The outermost of {@link containerIdsOfPid}. */
export function containerIdOfPid(pid: number, hostRoot = '/'): string | undefined {
  return containerIdsOfPid(pid, hostRoot)[0];
}

/** True when a control group is named after this container; also for ids that are not 64 hexadecimal digits. */
export function cgroupNamesContainer(text: string, containerId: string): boolean {
  if (containerId === '') return false;
  if (containerIdsFromCgroup(text).includes(containerId)) return true;
  // containerd lets clients choose any id; the runtime makes `…/<id>`, `…-<id>.scope` or `slice:prefix:<id>` of it.
  return cgroupPaths(text).some((path) =>
    path.split('/').some((name) => {
      const unit = name.endsWith('.scope') ? name.slice(0, -'.scope'.length) : name;
      if (isMonitor(unit)) return false;
      return (
        unit === containerId || (unit.endsWith(containerId) && /[-:]/.test(unit.at(-containerId.length - 1) ?? ''))
      );
    }),
  );
}

function cgroupPaths(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const start = line.indexOf(':', line.indexOf(':') + 1);
    return start < 0 || !/^\d+:/.test(line) ? [] : [line.slice(start + 1)];
  });
}

function idsOfPath(path: string): string[] {
  return path.split('/').flatMap((name) => {
    if (isMonitor(name)) return [];
    const id = /(?:^|[-:_])([0-9a-f]{64})(?:\.scope)?$/.exec(name.replace(/ \(deleted\)$/, ''))?.[1];
    return id === undefined ? [] : [id];
  });
}

function isMonitor(name: string): boolean {
  return /conmon/.test(name);
}
