import { lstat, readlink, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Container, MountPoint } from './container.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { defaultHostRoot, type HostPathOptions, hostPath, requireAbsolute } from './host-path.js';
import { sortMountPointsByLongSourceFirst } from './mount-order.js';
import { isRuncLikeRuntime } from './runc-like-runtime.js';

/** As many links as Linux follows in one path. */
const maxSymlinks = 40;

/** See `at-first-use.ts`. */
export async function transferToHostPathForContainer(
  container: Pick<Container, 'id' | 'runtime' | 'state' | 'mounts' | 'mergedDir'>,
  path: string,
  respectSymlinks: boolean,
  options: HostPathOptions = {},
): Promise<string> {
  requireAbsolute(path, 'A path in a container');
  const translate = await chooseTranslation(container, options.hostRoot ?? defaultHostRoot());
  const clean = withoutTrailingSlash(posix.normalize(path));
  return translate(respectSymlinks ? await followSymlinks(clean, translate) : clean);
}

type Translate = (containerPath: string) => string;

async function chooseTranslation(
  { id, runtime, state, mounts, mergedDir }: Parameters<typeof transferToHostPathForContainer>[0],
  hostRoot: string,
): Promise<Translate> {
  if (isRuncLikeRuntime(runtime) && state.pid > 0) {
    const root = hostPath(hostRoot, `/proc/${state.pid}/root`);
    // For `/` the slash stays: without it the name is that of the link in the host's /proc, not of what it leads to.
    return (path) => root + path;
  }
  const sorted = sortMountPointsByLongSourceFirst(await keepMountsOnHost(mounts));
  return (path) => {
    for (const { source, destination } of sorted) {
      const below = pathBelow(path, destination);
      if (below !== undefined) return withoutTrailingSlash(posix.join(source, below));
    }
    // An empty mergedDir in front of `/` would be the host's own root.
    if (mergedDir !== undefined && mergedDir !== '') return withoutTrailingSlash(posix.join(mergedDir, path));
    throw new UnsupportedError(
      `'${path}' of container ${id} (runtime ${runtime ?? 'unknown'}) has no place on this host: ` +
        'there is no process of runc, no mount that holds it and no merged directory.',
      { applied: 'no' },
    );
  };
}

async function keepMountsOnHost(mounts: readonly MountPoint[]): Promise<MountPoint[]> {
  const kept = await Promise.all(
    mounts.map(async (mount) => {
      if (!posix.isAbsolute(mount.source) || !posix.isAbsolute(mount.destination)) return [];
      const found = await stat(mount.source).catch(() => undefined);
      return found !== undefined && (found.isDirectory() || found.isFile()) ? [mount] : [];
    }),
  );
  return kept.flat();
}

function pathBelow(path: string, directory: string): string | undefined {
  const parent = withoutTrailingSlash(posix.normalize(directory));
  if (path === parent) return '';
  const prefix = parent === '/' ? parent : `${parent}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}

async function followSymlinks(path: string, translate: Translate): Promise<string> {
  let resolved: string[] = [];
  const pending = path.split('/').reverse();
  let followed = 0;
  while (pending.length > 0) {
    const part = pending.pop();
    if (part === undefined || part === '' || part === '.') continue;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    resolved.push(part);
    const target = await readSymlink(translate(`/${resolved.join('/')}`));
    if (target === undefined) continue;
    followed += 1;
    if (followed > maxSymlinks) {
      throw new InvalidArgumentError(`'${path}' leads through more than ${maxSymlinks} symbolic links.`);
    }
    if (posix.isAbsolute(target)) resolved = [];
    else resolved.pop();
    pending.push(...target.split('/').reverse());
  }
  return `/${resolved.join('/')}`;
}

async function readSymlink(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'EACCES' && code !== 'EPERM') return undefined;
    throw new PermissionDeniedError(`'${path}' may not be looked at by this process.`, { applied: 'no', cause: error });
  }
}

function withoutTrailingSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
