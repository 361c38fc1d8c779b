/**
 * Reads one small file of a running container from the host. A container is hostile: it may swap any part of a path for
 * a symlink while we look, so every part is opened by itself, from the descriptor of the one before, and nothing that
 * the container wrote is ever resolved by the kernel.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, readlinkSync, readSync, statfsSync } from 'node:fs';
import { hostPath } from '@crikit/core';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
// Not among Node's constants: names a file without opening it, so that a pipe or a device is never touched.
const O_PATH = 0o10000000;
const maxSymlinks = 40;
const maxDepth = 64;
const procfsMagic = 0x9fa0;
// File systems that a container may serve itself, and then leave us waiting for an answer.
const servedByOthers = /^(fuse|9p|nfs|virtiofs|cifs|smb|ceph)/;

export interface ContainerProcess {
  readonly hostRoot: string;
  readonly containerId: string;
  readonly pid: number;
}

/**
 * The content of a regular file; undefined when there is no such file. Throws what the system says where the container
 * cannot be looked into, and an error for what is no regular file, is too large, or lies on a file system of another
 * process.
 */
export function readContainerFile(container: ContainerProcess, path: string, maxBytes: number): Buffer | undefined {
  const open: number[] = [];
  const openAt = (directory: number, name: string, flags: number): number => {
    const opened = openSync(`/proc/self/fd/${directory}/${name}`, flags);
    open.push(opened);
    return opened;
  };
  try {
    // Holding the process's own directory is like holding the process: once it has ended, nothing can be reached by it.
    const processDirectory = openSync(hostPath(container.hostRoot, `/proc/${container.pid}`), O_RDONLY | O_DIRECTORY);
    open.push(processDirectory);
    requireContainer(processDirectory, container);
    const root = openAt(processDirectory, 'root', O_PATH | O_DIRECTORY);
    requireContainer(processDirectory, container);
    const mounts = readMounts(processDirectory);

    let stack = [root];
    const pending = path.split('/').reverse();
    let followed = 0;
    while (pending.length > 0) {
      const name = pending.pop() ?? '';
      if (name === '' || name === '.') continue;
      if (name === '..') {
        if (stack.length > 1) stack.pop();
        continue;
      }
      if (stack.length > maxDepth) throw new Error(`${path} is too deep`);
      const directory = stack.at(-1) ?? root;
      const isLast = pending.every((part) => part === '' || part === '.');
      let found: number;
      try {
        found = openAt(directory, name, O_PATH | O_NOFOLLOW);
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
      refuseServedByOthers(found, mounts);
      const stats = fstatSync(found);
      if (stats.isSymbolicLink()) {
        // On procfs a link leads where the kernel says, not where its text does.
        if (statfsSync(`/proc/self/fd/${directory}`).type === procfsMagic) throw new Error(`${path} leads into procfs`);
        followed += 1;
        if (followed > maxSymlinks) throw new Error(`${path} has too many symbolic links`);
        const target = readlinkSync(`/proc/self/fd/${directory}/${name}`);
        if (target.startsWith('/')) stack = [root];
        pending.push(...target.split('/').reverse());
        continue;
      }
      if (stats.isDirectory()) {
        stack.push(found);
        continue;
      }
      if (!isLast) return undefined;
      if (!stats.isFile()) throw new Error(`${path} is no regular file`);
      if (stats.size > maxBytes) throw new Error(`${path} has ${stats.size} bytes, more than ${maxBytes}`);
      const readable = openSync(`/proc/self/fd/${found}`, O_RDONLY | O_NONBLOCK);
      open.push(readable);
      return readAtMost(readable, maxBytes);
    }
    throw new Error(`${path} is a directory`);
  } finally {
    for (const descriptor of open) closeSync(descriptor);
  }
}

function readAtMost(descriptor: number, maxBytes: number): Buffer {
  const buffer = Buffer.alloc(maxBytes);
  let length = 0;
  while (length < maxBytes) {
    const count = readSync(descriptor, buffer, length, maxBytes - length, length);
    if (count === 0) break;
    length += count;
  }
  return Buffer.from(buffer.subarray(0, length));
}

function requireContainer(processDirectory: number, { containerId, pid }: ContainerProcess): void {
  const cgroup = readFileSync(`/proc/self/fd/${processDirectory}/cgroup`, 'utf8');
  if (!namesContainer(cgroup, containerId)) throw new Error(`process ${pid} is not in container ${containerId}`);
}

/** True when a part of a path in /proc/PID/cgroup is the container's id, or a scope of systemd that ends in it. */
export function namesContainer(cgroup: string, containerId: string): boolean {
  return cgroup
    .split(/[\n/:]/)
    .some((part) => part === containerId || part === `${containerId}.scope` || part.endsWith(`-${containerId}.scope`));
}

function readMounts(processDirectory: number): ReadonlyMap<string, string> {
  const lines = readFileSync(`/proc/self/fd/${processDirectory}/mountinfo`, 'utf8').split('\n');
  return new Map(lines.map((line) => [line.split(' ', 1)[0] ?? '', / - (\S+) /.exec(line)?.[1] ?? '']));
}

function refuseServedByOthers(descriptor: number, mounts: ReadonlyMap<string, string>): void {
  const mount = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1];
  const type = mounts.get(mount ?? '');
  // One that was not there a moment ago could be any.
  if (type === undefined) throw new Error('the container mounted something while it was being read');
  if (servedByOthers.test(type)) throw new Error(`a part of the path lies on ${type}`);
}

function isAbsent(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
