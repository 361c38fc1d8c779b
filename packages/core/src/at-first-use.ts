/**
 * Public functions whose work is in the machinery, which they load when they are first called: importing this package is
 * to cost next to nothing.
 */
import type { Container } from './container.js';
import type { ContainerRoot } from './container-root.js';
import type { HostAccess } from './host-access.js';
import type { HostPathOptions } from './host-path.js';
import type { ContainerProcess, ListAllProcessesOptions, ListProcessesOptions } from './list-processes.js';
import type { DirectoryRootLocation, ProcessRootLocation } from './open-container-root.js';
import type { ResolveTimeZoneOptions } from './resolve-time-zone.js';
import type { TimeZoneRoot } from './time-zone-root.js';
import type { TzInfo } from './tz-info.js';

/**
 * Opens the file system of a container for race-free access from the host; close it after use, and do not keep it
 * longer than the container runs. Linux only.
 *
 * By pid it rejects with `NOT_RUNNING` when there is no such process or it is not the container's, with `PERMISSION`
 * when this process may not look into it, with `UNSUPPORTED` where `<hostRoot>/proc` is not to be seen or the root lies
 * on a file system that may hang. A root by pid stays bound to that very process: when it has ended, calls reject with
 * `NOT_RUNNING`, whoever has its pid then.
 *
 * By directory it rejects with `PATH_NOT_FOUND` when `mergedDir` is not there. In that form a mount source may not lead
 * through symlinks, except in directories of the node that nobody writes to who does not own the node (`/`, `/var`,
 * `/var/lib`): a container with the parent directory as its volume could have swapped the source.
 */
export async function openContainerRoot(location: ProcessRootLocation | DirectoryRootLocation): Promise<ContainerRoot> {
  const machinery = await import('./machinery.js');
  return machinery.openContainerRoot(location);
}

/**
 * Opens the file system of a container of a store (its paths are below the host root): by its process, and where this
 * process may not look into that, by its merged directory and mounts. Close it after use.
 *
 * Rejects with `UNSUPPORTED` for a runtime whose containers are no processes of this kernel (kata, runsc, unknown ones),
 * with `NOT_RUNNING` for a container without a process, otherwise as `openContainerRoot` by pid does.
 */
export async function openRootOfContainer(
  container: Pick<Container, 'id' | 'runtime' | 'state' | 'mounts' | 'mergedDir'>,
  options: { readonly hostRoot?: string } = {},
): Promise<ContainerRoot> {
  const machinery = await import('./machinery.js');
  return machinery.openRootOfContainer(container, options);
}

/**
 * What this process may do to a container of a store from the host, found out by trying: its process must be in a
 * control group of the container's name, and its root must open. Never rejects. Default of `hostRoot`: `/`.
 */
export async function getHostAccess(
  container: Pick<Container, 'id' | 'runtime' | 'state' | 'mounts' | 'mergedDir'>,
  options: { readonly hostRoot?: string } = {},
): Promise<HostAccess> {
  const machinery = await import('./machinery.js');
  return machinery.getHostAccess(container, options);
}

/**
 * The processes of one container, by pid; empty when it has none. Rejects with `UNSUPPORTED` where the node's /proc is
 * not to be seen.
 */
export async function listProcesses(options: ListProcessesOptions): Promise<readonly ContainerProcess[]> {
  const machinery = await import('./machinery.js');
  return machinery.listProcesses(options);
}

/** The processes of all containers in one pass over the node's /proc, by container id. Users have no names here. */
export async function listProcessesOfAll(
  options: ListAllProcessesOptions = {},
): Promise<ReadonlyMap<string, readonly ContainerProcess[]>> {
  const machinery = await import('./machinery.js');
  return machinery.listProcessesOfAll(options);
}

/**
 * The time zone in which a process with this environment lives in a container with this root, as its C library finds
 * it: the variable `TZ`, and only where that is not set `/etc/localtime`; what names no zone is UTC. The offsets are
 * always those of the zone file in the container, whatever its name says. `TZDIR` counts for glibc.
 *
 * Rejects when a file that decides cannot be read (see `ContainerRoot`), rather than calling it UTC.
 */
export async function resolveTimeZone(
  root: TimeZoneRoot,
  env: Readonly<Record<string, string | undefined>>,
  options: ResolveTimeZoneOptions = {},
): Promise<TzInfo> {
  const machinery = await import('./machinery.js');
  return machinery.resolveTimeZone(root, env, options);
}

/**
 * Where a path of the container lies on this host: by `/proc/<pid>/root` for runc, crun and youki containers that run,
 * else by the container's mounts (those whose source is a directory or file on the host), else by its `mergedDir`.
 * With `respectSymlinks`, links are followed inside the container's root, absolute ones too, at most 40; parts that do
 * not exist are kept as they are. Without it the path is only translated.
 *
 * The result is for showing and for comparing. **Never open it**: the container may swap any part of it for a symlink
 * between this answer and the opening, and then the file is one of the host's.
 *
 * Rejects with `INVALID_ARGUMENT` for a path that is not absolute or has too many links, with `UNSUPPORTED` when
 * nothing of the container's file system is on this host, with `PERMISSION` when it may not be looked at.
 */
export async function transferToHostPathForContainer(
  container: Pick<Container, 'id' | 'runtime' | 'state' | 'mounts' | 'mergedDir'>,
  path: string,
  respectSymlinks: boolean,
  options: HostPathOptions = {},
): Promise<string> {
  const machinery = await import('./machinery.js');
  return machinery.transferToHostPathForContainer(container, path, respectSymlinks, options);
}
