import type { ContainerRoot, DirectoryEntry } from './container-root.js';
import { isInvalidArgumentError } from './errors/invalid-argument-error.js';
import { isPathNotFoundError } from './errors/path-not-found-error.js';
import { MAX_TZIF_BYTES } from './read-tzif.js';
import type { Libc } from './tz-info.js';

/** What finding a time zone needs of a container's root. */
export type TimeZoneRoot = Pick<ContainerRoot, 'readDir' | 'readFile' | 'readLink' | 'stat'>;

const longestPath = 4096;
const longestName = 255;

/**
 * The bytes of a file that may be a zone file; undefined when there is none: nothing there, no regular file, or more
 * bytes than a zone file has. Other failures reject: what cannot be read must not pass for UTC.
 */
export async function readZoneFile(root: TimeZoneRoot, path: string): Promise<Buffer | undefined> {
  // The kernel finds no such file either; the root would call the path a mistake.
  if (path.length >= longestPath || path.split('/').some((name) => name.length > longestName)) return undefined;
  try {
    const { type, sizeBytes } = await root.stat(path);
    if (type !== 'file' || sizeBytes > MAX_TZIF_BYTES) return undefined;
    return await root.readFile(path, { maxBytes: MAX_TZIF_BYTES });
  } catch (error) {
    if (isNothingThere(error)) return undefined;
    throw error;
  }
}

/** True when a root says that a path leads nowhere, be it in a circle of links. */
export function isNothingThere(error: unknown): boolean {
  return isPathNotFoundError(error) || isInvalidArgumentError(error);
}

/** The names in a directory with their types; none when there is no such directory. */
export async function entriesOf(root: TimeZoneRoot, path: string): Promise<readonly DirectoryEntry[]> {
  try {
    return await root.readDir(path);
  } catch (error) {
    if (isNothingThere(error)) return [];
    throw error;
  }
}

/** The C library of a root, by its loader; undefined when it shows none. */
export async function findLibc(root: TimeZoneRoot): Promise<Libc | undefined> {
  const names = [...(await entriesOf(root, '/lib')), ...(await entriesOf(root, '/lib64'))].map(({ name }) => name);
  // A glibc distribution may have musl's loader as an addition; one that is built on musl has no such directory.
  const hasGlibcDirectory = names.some((name) => name.includes('-linux-gnu'));
  if (!hasGlibcDirectory && names.some((name) => name.startsWith('ld-musl-'))) return 'musl';
  return hasGlibcDirectory || names.some((name) => /^(ld-linux|ld64\.so)/.test(name)) ? 'glibc' : undefined;
}
