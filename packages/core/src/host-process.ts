/**
 * Processes of containers as the host's /proc shows them, and the proofs that must hold before one is signalled: a pid
 * that an engine tells may belong to another machine, to another pid namespace, or by now to another process.
 */
import { readdir, readFile } from 'node:fs/promises';
import { hostPath } from './host-path.js';

export interface MarkedProcesses {
  /** True when the container's processes can be seen at all, so that finding none means that there are none. */
  readonly covered: boolean;
  readonly processes: readonly HostProcess[];
}

export interface HostProcess {
  readonly pid: number;
  /** In clock ticks since boot; with the pid it names one process for ever. */
  readonly startTime: string;
}

interface SeenProcess extends HostProcess {
  readonly parentPid: number;
  readonly marked: boolean;
}

/**
 * True when pids in `<hostRoot>/proc` are pids that this process can signal: one number in NSpid means that this
 * process lives in the very namespace that this /proc shows.
 */
export async function canSignalHostPids(hostRoot: string): Promise<boolean> {
  try {
    const status = await readFile(hostPath(hostRoot, '/proc/self/status'), 'utf8');
    const pids = /^NSpid:\s*(.+)$/m.exec(status)?.[1]?.trim().split(/\s+/);
    return pids?.length === 1 && Number(pids[0]) === process.pid;
  } catch {
    return false;
  }
}

/**
 * The processes of a container that carry `marker` in their environment, and their descendants. Each is proven to be
 * in a cgroup named after the container.
 */
export async function findMarkedProcesses(
  hostRoot: string,
  containerId: string,
  marker: string,
): Promise<MarkedProcesses> {
  const directory = hostPath(hostRoot, '/proc');
  let names: string[];
  try {
    names = await readdir(directory);
  } catch {
    return { covered: false, processes: [] };
  }
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const seen = (await Promise.all(pids.map((pid) => readProcess(directory, pid, containerId, marker)))).filter(
    (found) => found !== undefined,
  );
  const wanted = new Map(seen.filter((found) => found.marked).map((found) => [found.pid, found]));
  for (let grown = true; grown; ) {
    grown = false;
    for (const found of seen) {
      if (!wanted.has(found.pid) && wanted.has(found.parentPid)) {
        wanted.set(found.pid, found);
        grown = true;
      }
    }
  }
  return { covered: seen.length > 0, processes: [...wanted.values()] };
}

/** A process, if it is the container's and carries the marker now. */
export async function proveMarkedProcess(
  hostRoot: string,
  pid: number,
  containerId: string,
  marker: string,
): Promise<HostProcess | undefined> {
  const found = await readProcess(hostPath(hostRoot, '/proc'), pid, containerId, marker);
  return found?.marked === true ? found : undefined;
}

/**
 * Signals a proven process, or with `group` the process group that it leads, if it is still the same one. True when
 * the signal was sent.
 */
export async function killProvenProcess(hostRoot: string, proven: HostProcess, group = false): Promise<boolean> {
  const stat = await readStat(hostPath(hostRoot, '/proc'), proven.pid);
  if (stat === undefined || stat.startTime !== proven.startTime) return false;
  if (group && stat.processGroup !== proven.pid) return false;
  try {
    process.kill(group ? -proven.pid : proven.pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

async function readProcess(
  directory: string,
  pid: number,
  containerId: string,
  marker: string,
): Promise<SeenProcess | undefined> {
  try {
    const cgroup = await readFile(`${directory}/${pid}/cgroup`, 'utf8');
    if (!namesContainer(cgroup, containerId)) return undefined;
    const before = await readStat(directory, pid);
    if (before === undefined || before.zombie) return undefined;
    const environment = await readFile(`${directory}/${pid}/environ`, 'latin1').catch(() => '');
    const after = await readStat(directory, pid);
    if (after?.startTime !== before.startTime) return undefined;
    return {
      pid,
      startTime: before.startTime,
      parentPid: before.parentPid,
      marked: environment.split('\0').includes(marker),
    };
  } catch {
    return undefined;
  }
}

/**
 * True when a line of /proc/PID/cgroup has the container id as a whole word. Ids that people choose, as in containerd,
 * may hold dots and dashes themselves: those are a whole part of the path, or end one before systemd's suffix.
 */
function namesContainer(cgroup: string, containerId: string): boolean {
  if (containerId.length === 0) return false;
  if (cgroup.split(/[^A-Za-z0-9_]+/).includes(containerId)) return true;
  return cgroup
    .split(/[\n/:]/)
    .map((part) => part.replace(/\.scope$/, ''))
    .some((part) => part === containerId || part.endsWith(`-${containerId}`));
}

interface ProcessStat {
  readonly parentPid: number;
  readonly processGroup: number;
  readonly startTime: string;
  readonly zombie: boolean;
}

async function readStat(directory: string, pid: number): Promise<ProcessStat | undefined> {
  try {
    const text = await readFile(`${directory}/${pid}/stat`, 'latin1');
    // The command's name may hold spaces and parentheses; the fields begin after the last one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const startTime = fields[19];
    if (startTime === undefined) return undefined;
    return { zombie: fields[0] === 'Z', parentPid: Number(fields[1]), processGroup: Number(fields[2]), startTime };
  } catch {
    return undefined;
  }
}
