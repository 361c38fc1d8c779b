import { closeSync, constants, existsSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { type AnchoredFiles, createContainerRoot } from './anchored-files.js';
import { type AnchoredBase, type MountedSource, type Walked, walk } from './anchored-walk.js';
import type { MountPoint } from './container.js';
import type { ContainerRoot } from './container-root.js';
import { ContainerNotRunningError } from './errors/container-not-running-error.js';
import { isCrikitError } from './errors/crikit-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { parseIdMap, sameIds } from './id-map.js';
import { mapContainerFileError } from './map-container-file-error.js';
import { createMountGuard, type MountPlace } from './mount-guard.js';
import { cgroupNamesContainer } from './read-cgroup.js';
import { shortContainerId } from './short-container-id.js';

const { O_DIRECTORY, O_RDONLY } = constants;
// Not among Node's constants.
const O_PATH = 0o10000000;

/** A container that runs: all that its processes see, tmpfs and volumes included. */
export interface ProcessRootLocation {
  /** Of the container's first process, as `<hostRoot>/proc` numbers it. */
  readonly pid: number;
  /** The full id. The process must be in a control group of this name: a pid may be another machine's, or used again. */
  readonly containerId: string;
  /** Where the node's root is mounted for this process. Default: `/`. */
  readonly hostRoot?: string;
}

/** A container by its directory on the host, where it has one that is mounted. */
export interface DirectoryRootLocation {
  /** Below `hostRoot`, as in a store's `Container`. */
  readonly mergedDir: string;
  /**
   * What is mounted in the container. Sources are below `hostRoot` as well; a place whose source is not a directory or
   * file there (a tmpfs, for one) is refused with `UNSUPPORTED` rather than shown without its mount. Default: none.
   */
  readonly mounts?: readonly MountPoint[];
  /** Default: `/`. */
  readonly hostRoot?: string;
}

/** See `at-first-use.ts`. */
export async function openContainerRoot(location: ProcessRootLocation | DirectoryRootLocation): Promise<ContainerRoot> {
  if ('pid' in location) return createContainerRoot(openFilesOfProcess(location));
  requireLinux();
  return openByDirectory(location);
}

function requireLinux(): void {
  if (process.platform === 'linux') return;
  throw new UnsupportedError('Containers are reached from the host on Linux only.', { applied: 'no' });
}

/** What `openContainerRoot` by pid works with; throws what that rejects with. The caller closes it. */
export function openFilesOfProcess({ pid, containerId, hostRoot = '/' }: ProcessRootLocation): AnchoredFiles {
  requireLinux();
  if (!Number.isSafeInteger(pid) || pid < 1) throw new InvalidArgumentError(`${pid} is no pid of a container.`);
  if (containerId === '') throw new InvalidArgumentError('The id of the container is empty.');
  const container = `container ${shortContainerId(containerId)}`;
  const anchor = openProcess(pid, hostRoot, container);
  const here = `/proc/self/fd/${anchor}`;
  let fd: number | undefined;
  try {
    requireContainer(here, pid, containerId, container);
    fd = openRootOf(here, pid, container);
    requireContainer(here, pid, containerId, container);
    const guard = createMountGuard(`${here}/mountinfo`);
    const base: AnchoredBase = { fd, guard, place: guard.placeOf(fd, undefined, '/'), mounts: new Map() };
    const root = fd;
    return {
      base,
      container,
      uids: parseIdMap(readFileSync(`${here}/uid_map`, 'latin1')),
      gids: parseIdMap(readFileSync(`${here}/gid_map`, 'latin1')),
      requireAlive() {
        try {
          // Of a zombie, too, this is gone, and with it the mounts.
          readlinkSync(`${here}/root`);
        } catch (error) {
          if (isEnded(error)) throw endedError(pid, container, error);
        }
      },
      close() {
        closeSync(root);
        closeSync(anchor);
      },
    };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    closeSync(anchor);
    if (isEnded(error)) throw endedError(pid, container, error);
    throw mapContainerFileError(error, '/', container);
  }
}

/** The descriptor stands for this one process: after its end what is looked up in it is ESRCH, never another's. */
function openProcess(pid: number, hostRoot: string, container: string): number {
  const directory = posix.join(hostRoot, 'proc');
  try {
    return openSync(`${directory}/${pid}`, O_RDONLY | O_DIRECTORY);
  } catch (error) {
    if (!existsSync(`${directory}/self/mountinfo`)) {
      throw new UnsupportedError(`The node's processes are not to be seen in '${directory}'.`, {
        applied: 'no',
        cause: error,
        remedy: 'Mount the root of the node, and set HOSTFS or the option hostRoot to where it is.',
      });
    }
    if (isEnded(error)) throw endedError(pid, container, error);
    throw mapContainerFileError(error, '/', container);
  }
}

function requireContainer(here: string, pid: number, containerId: string, container: string): void {
  if (cgroupNamesContainer(readFileSync(`${here}/cgroup`, 'latin1'), containerId)) return;
  throw new ContainerNotRunningError(
    `Process ${pid} of this node is not in a control group of ${container}: the container has ended, or runs elsewhere.`,
    { applied: 'no' },
  );
}

function openRootOf(here: string, pid: number, container: string): number {
  try {
    return openSync(`${here}/root`, O_PATH | O_DIRECTORY);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    throw new PermissionDeniedError(`This process may not look into process ${pid} of ${container} (${code}).`, {
      applied: 'no',
      cause: error,
      remedy: 'Run it as root with the capability SYS_PTRACE.',
    });
  }
}

function isEnded(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ESRCH' || (code === 'EINVAL' && !isCrikitError(error));
}

function endedError(pid: number, container: string, cause: unknown): ContainerNotRunningError {
  return new ContainerNotRunningError(`Process ${pid} of ${container} has ended.`, { applied: 'no', cause });
}

function openByDirectory({ mergedDir, mounts = [], hostRoot = '/' }: DirectoryRootLocation): ContainerRoot {
  if (mergedDir === '') throw new InvalidArgumentError('The merged directory is empty.');
  const container = `the container in '${mergedDir}'`;
  const opened: number[] = [];
  const close = (): void => {
    for (const fd of opened.splice(0)) closeSync(fd);
  };
  const openOnHost = (path: string): { fd: number; place: MountPlace; isDirectory: boolean } => {
    const walked = walkOnHost(hostRoot, path);
    try {
      if (walked.entry === undefined) throw Object.assign(new Error('no such file or directory'), { code: 'ENOENT' });
      const { place, stats } = walked.entry;
      if (!stats.isDirectory() && !stats.isFile()) {
        throw new UnsupportedError(`'${path}' is neither a directory nor a file.`, { applied: 'no' });
      }
      const fd = openSync(`/proc/self/fd/${walked.entry.fd}`, O_PATH);
      opened.push(fd);
      return { fd, place, isDirectory: stats.isDirectory() };
    } finally {
      walked.close();
    }
  };

  try {
    const { fd, place, isDirectory } = openOnHost(mergedDir);
    if (!isDirectory) throw new InvalidArgumentError(`'${mergedDir}' is not a directory.`);
    const sources = new Map<string, MountedSource>();
    const base: AnchoredBase = { fd, place, guard: createMountGuard('/proc/self/mountinfo'), mounts: sources };
    // Outer mounts first: an inner one's place lies in them.
    for (const mount of mounts.toSorted((one, other) => one.destination.length - other.destination.length)) {
      const destination = placeOfMount(base, mount.destination);
      if (destination !== '') sources.set(destination, openSource(mount, openOnHost));
    }
    return createContainerRoot({ base, container, uids: sameIds, gids: sameIds, requireAlive() {}, close });
  } catch (error) {
    close();
    throw mapContainerFileError(error, '/', container);
  }
}

/** Where somebody who can make links owns the node anyway. */
const trustedDirectories: ReadonlySet<string> = new Set(['', '/var', '/var/lib']);

/** Resolves a path of the node of which a container may hold a part; links only where it could not have put them. */
export function walkOnHost(hostRoot: string, path: string, guard = createMountGuard('/proc/self/mountinfo')): Walked {
  const root = posix.resolve(hostRoot);
  const below = posix.relative(root, posix.normalize(path));
  if (!posix.isAbsolute(path) || !posix.isAbsolute(hostRoot) || below.split('/')[0] === '..') {
    throw new InvalidArgumentError(`'${path}' is not below the host root '${hostRoot}'.`);
  }
  const fd = openSync(root, O_PATH | O_DIRECTORY);
  try {
    const base: AnchoredBase = {
      fd,
      guard,
      place: guard.placeOf(fd, undefined, root),
      mounts: new Map(),
      mayFollowLinkIn: (directory) => trustedDirectories.has(directory),
    };
    return walk(base, Buffer.from(`/${below}`), { followLast: true });
  } finally {
    closeSync(fd);
  }
}

/** The runtime has followed the links in it, so `/var/run/x` may be mounted at `/run/x`. In latin1, '' for the root. */
function placeOfMount(base: AnchoredBase, destination: string): string {
  if (!posix.isAbsolute(destination)) throw new InvalidArgumentError(`'${destination}' is no place of a mount.`);
  const path = Buffer.from(posix.normalize(destination).replace(/\/+$/, ''));
  if (path.length === 0) return '';
  try {
    const walked = walk(base, path, { followLast: true });
    walked.close();
    return walked.path;
  } catch {
    return path.toString('latin1');
  }
}

function openSource(
  { source, destination, readWrite }: MountPoint,
  openOnHost: (path: string) => { fd: number; place: MountPlace },
): MountedSource {
  const inWords = `'${destination}' is a mount of the container that cannot be reached from the host by its directory`;
  if (!posix.isAbsolute(source)) return { unreachable: `${inWords}: it has no source there.` };
  try {
    const { fd, place } = openOnHost(source);
    return { fd, place, readOnly: !readWrite };
  } catch (error) {
    return { unreachable: `${inWords}: ${(error as Error).message}` };
  }
}
