/** The processes of containers as the host's /proc shows them; no helper in a container is needed. */
import { closeSync, constants, openSync, readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { hostPath } from './host-path.js';
import { parseIdMap } from './id-map.js';
import { openContainerRoot, type ProcessRootLocation } from './open-container-root.js';
import { cgroupNamesContainer, containerIdsFromCgroup } from './read-cgroup.js';

export type ProcessState =
  | 'running'
  | 'sleeping'
  | 'disk-sleep'
  | 'stopped'
  | 'traced'
  | 'zombie'
  | 'dead'
  | 'idle'
  | 'unknown';

export interface ContainerProcess {
  /** As `<hostRoot>/proc` numbers it. */
  readonly pid: number;
  /** In the innermost pid namespace, mostly the container's own; equal to `pid` where that is the host's. */
  readonly containerPid: number;
  readonly parentPid: number;
  /** The program's name as the kernel keeps it, at most 15 bytes; a process can change it. */
  readonly name: string;
  /**
   * A process can change it; bytes that are not UTF-8 are replaced; cut after 64 KiB. Empty for a zombie, and for all as
   * long as a process makes whoever reads its arguments hang.
   */
  readonly command: readonly string[];
  readonly state: ProcessState;
  /** The effective user, as the container numbers its users. */
  readonly uid: number;
  /** The user's name in the container's /etc/passwd; absent when it has none, or was not asked for. */
  readonly user?: string;
}

export interface ListProcessesOptions {
  /** The full id. */
  readonly containerId: string;
  /** Of the container's first process; with it users get their names. */
  readonly pid?: number;
  /** Where the node's root is mounted for this process. Default: `/`. */
  readonly hostRoot?: string;
  readonly signal?: AbortSignal;
}

export interface ListAllProcessesOptions {
  /**
   * The containers that are wanted. A process in several (an engine inside of a container) goes to the outermost one of
   * them. Default: all, and the outermost.
   */
  readonly containerIds?: ReadonlySet<string>;
  /** Default: `/`. */
  readonly hostRoot?: string;
  readonly signal?: AbortSignal;
}

/** See `at-first-use.ts`. */
export async function listProcesses(options: ListProcessesOptions): Promise<readonly ContainerProcess[]> {
  const { containerId, pid, hostRoot = '/', signal } = options;
  const choose: Choose = (cgroup) => (cgroupNamesContainer(cgroup, containerId) ? containerId : undefined);
  const found = (await scan(hostRoot, choose, signal)).get(containerId) ?? [];
  if (pid === undefined || found.length === 0) return found;
  const names = await readUserNames({ pid, containerId, hostRoot });
  return found.map((each) => {
    const user = names.get(each.uid);
    return user === undefined ? each : { ...each, user };
  });
}

/** See `at-first-use.ts`. */
export async function listProcessesOfAll(
  options: ListAllProcessesOptions = {},
): Promise<ReadonlyMap<string, readonly ContainerProcess[]>> {
  const { containerIds, hostRoot = '/', signal } = options;
  // Looking for these costs a comparison each; the others are read out of the control group.
  const chosenByPeople = [...(containerIds ?? [])].filter((id) => !/^[0-9a-f]{64}$/.test(id));
  const choose: Choose = (cgroup) => {
    const ids = containerIdsFromCgroup(cgroup);
    if (containerIds === undefined) return ids[0];
    const known = ids.find((id) => containerIds.has(id));
    if (known !== undefined || ids.length > 0) return known;
    for (const id of chosenByPeople) if (cgroupNamesContainer(cgroup, id)) return id;
    return undefined;
  };
  return scan(hostRoot, choose, signal);
}

/** The id of the wanted container that these control groups belong to. */
type Choose = (cgroup: string) => string | undefined;

/** Looked at before other work of the event loop gets its turn; some 20 µs each. */
const sliceSize = 64;

async function scan(hostRoot: string, choose: Choose, signal?: AbortSignal): Promise<Map<string, ContainerProcess[]>> {
  const directory = hostPath(hostRoot, '/proc');
  const found = new Map<string, ContainerProcess[]>();
  const containerOf = new Map<number, string>();
  const zombies: ContainerProcess[] = [];
  const keep = (containerId: string, seen: ContainerProcess): void => {
    const processes = found.get(containerId);
    if (processes === undefined) found.set(containerId, [seen]);
    else processes.push(seen);
  };

  for (const [index, pid] of listPids(directory).entries()) {
    if (index % sliceSize === sliceSize - 1) await new Promise((resolve) => setImmediate(resolve));
    if (signal?.aborted === true) throw abortedError(signal);
    const seen = await lookAt(`${directory}/${pid}`, pid, choose);
    if (seen === undefined) continue;
    if (seen.containerId !== undefined) {
      containerOf.set(pid, seen.containerId);
      keep(seen.containerId, seen.process);
    } else {
      zombies.push(seen.process);
    }
  }
  for (const zombie of zombies) {
    const containerId = containerOf.get(zombie.parentPid);
    if (containerId !== undefined) keep(containerId, zombie);
  }
  for (const processes of found.values()) processes.sort((one, other) => one.pid - other.pid);
  return found;
}

function listPids(directory: string): number[] {
  let names: string[] = [];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') {
      throw new PermissionDeniedError(`'${directory}' may not be listed.`, { applied: 'no', cause: error });
    }
  }
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  if (pids.length > 0) return pids;
  throw new UnsupportedError(`The node's processes are not to be seen in '${directory}'.`, {
    applied: 'no',
    remedy: 'Mount the root of the node, and set HOSTFS or the option hostRoot to where it is.',
  });
}

interface SeenProcess {
  /** Absent for a zombie that is in no control group. */
  readonly containerId?: string;
  readonly process: ContainerProcess;
}

/** Undefined for what is in no wanted container, and for what has ended. */
async function lookAt(directory: string, pid: number, choose: Choose): Promise<SeenProcess | undefined> {
  let fd: number | undefined;
  try {
    const cgroup = readFileSync(`${directory}/cgroup`, 'latin1');
    if (choose(cgroup) === undefined) {
      // With control groups v1 a zombie is in the root group; its parent, who has not reaped it, tells whose it is.
      if (/^0::.*\n?$/.test(cgroup)) return undefined;
      const status = readFileSync(`${directory}/status`, 'utf8');
      if (!/^State:\s*Z/m.test(status)) return undefined;
      return { process: { ...parseStatus(pid, status, readFileSync(`${directory}/uid_map`, 'latin1')), command: [] } };
    }
    // Stands for this one process, so that what is read belongs together.
    fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    const here = `/proc/self/fd/${fd}`;
    const containerId = choose(readFileSync(`${here}/cgroup`, 'latin1'));
    if (containerId === undefined) return undefined;
    const status = parseStatus(pid, readFileSync(`${here}/status`, 'utf8'), readFileSync(`${here}/uid_map`, 'latin1'));
    const command = status.state === 'zombie' ? [] : await readCommand(`${here}/cmdline`);
    return { containerId, process: { ...status, command } };
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const states: Readonly<Record<string, ProcessState>> = {
  R: 'running',
  S: 'sleeping',
  D: 'disk-sleep',
  T: 'stopped',
  t: 'traced',
  Z: 'zombie',
  X: 'dead',
  I: 'idle',
};

function parseStatus(pid: number, status: string, uidMap: string): Omit<ContainerProcess, 'command'> {
  const field = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1] ?? '';
  const innermostPid = field('NSpid').split(/\s+/).at(-1);
  return {
    pid,
    containerPid: innermostPid === undefined || innermostPid === '' ? pid : Number(innermostPid),
    parentPid: Number(field('PPid')),
    name: unescapeName(field('Name')),
    state: states[field('State').charAt(0)] ?? 'unknown',
    uid: parseIdMap(uidMap).toContainer(Number(field('Uid').split(/\s+/)[1])),
  };
}

/** The kernel escapes line ends and backslashes there. */
function unescapeName(name: string): string {
  return name.replace(/\\([n\\])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
}

const maxCommandBytes = 64 * 1024;
const commandDeadlineMs = 1000;
/** Each hanging read keeps one of the four threads that Node has for files. */
const maxHanging = 1;
let hanging = 0;

/** A process can have its arguments lie in a file of a hanging file system: whoever reads them hangs as well. */
async function readCommand(path: string): Promise<string[]> {
  if (hanging >= maxHanging) return [];
  let timer: NodeJS.Timeout | undefined;
  let late = false;
  const reading = readFile(path).finally(() => {
    if (late) hanging -= 1;
  });
  const deadline = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, commandDeadlineMs, undefined);
  });
  try {
    const bytes = await Promise.race([reading, deadline]);
    if (bytes === undefined) {
      late = true;
      hanging += 1;
      reading.catch(() => {});
      return [];
    }
    const text = bytes.subarray(0, maxCommandBytes).toString();
    return text === '' ? [] : text.replace(/\0$/, '').split('\0');
  } finally {
    clearTimeout(timer);
  }
}

async function readUserNames(location: ProcessRootLocation): Promise<ReadonlyMap<number, string>> {
  try {
    const root = await openContainerRoot(location);
    try {
      const passwd = await root.readFile('/etc/passwd', { maxBytes: 1024 ** 2 });
      return parseUserNames(passwd.toString());
    } finally {
      await root.close();
    }
  } catch {
    return new Map();
  }
}

function parseUserNames(passwd: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of passwd.split('\n')) {
    const [name, , uid] = line.split(':');
    if (name === undefined || name === '' || uid === undefined || !/^\d+$/.test(uid)) continue;
    if (!names.has(Number(uid))) names.set(Number(uid), name);
  }
  return names;
}

function abortedError(signal: AbortSignal): OperationAbortedError {
  return new OperationAbortedError("Listing processes was aborted by the caller's signal.", {
    applied: 'no',
    cause: signal.reason,
  });
}
