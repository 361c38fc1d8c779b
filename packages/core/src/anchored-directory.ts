/**
 * Names below an open directory, reached through its descriptor: whoever swaps a part of the path for a symlink while
 * we work cannot lead us elsewhere, and no depth exceeds the kernel's limit for paths. Where there is no /proc the path
 * is used instead.
 */
import { constants } from 'node:fs';
import { chmod, type FileHandle, open, readdir, rmdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';

export interface AnchoredDirectory {
  readonly handle: FileHandle;
  /** For messages. */
  readonly path: string;
}

const hasDescriptorPaths = process.platform === 'linux';
const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
// Not among Node's constants. Opens a directory that one may not read.
const O_PATH = 0o10000000;

/** Opens a directory that the caller named; symlinks on the way are followed. */
export async function openDirectory(path: string): Promise<AnchoredDirectory> {
  return { handle: await open(path, O_RDONLY | O_DIRECTORY), path };
}

/** Opens a directory of `parent`; a symlink there is refused (ELOOP or ENOTDIR). */
export async function openChildDirectory(parent: AnchoredDirectory, name: string): Promise<AnchoredDirectory> {
  const handle = await open(reach(parent, name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  return { handle, path: join(parent.path, name) };
}

/** What to hand to a function of node:fs to mean `name` in `parent`. */
export function reach(parent: AnchoredDirectory, name: string): string {
  return hasDescriptorPaths ? `/proc/self/fd/${parent.handle.fd}/${name}` : join(parent.path, name);
}

export async function listNames(directory: AnchoredDirectory): Promise<Buffer[]> {
  const path = hasDescriptorPaths ? `/proc/self/fd/${directory.handle.fd}` : directory.path;
  return readdir(path, { encoding: 'buffer' });
}

/** Removes `name` in `parent` and all that is below it, following nothing. Silent when it is not there. */
export async function removeTree(parent: AnchoredDirectory, name: string): Promise<void> {
  const open: { directory: AnchoredDirectory; name: string; left: string[] }[] = [];
  let next: string | undefined = name;
  try {
    for (;;) {
      const above: AnchoredDirectory = open.at(-1)?.directory ?? parent;
      if (next !== undefined && !(await unlinkUnlessDirectory(reach(above, next)))) {
        const directory = await openForRemoval(above, next);
        open.push({ directory, name: next, left: [] });
        open.at(-1)!.left = (await listNames(directory)).map((listed) => listed.toString());
      }
      const frame = open.at(-1);
      if (frame === undefined) return;
      next = frame.left.pop();
      if (next !== undefined) continue;
      open.pop();
      await frame.directory.handle.close();
      await rmdir(reach(open.at(-1)?.directory ?? parent, frame.name));
    }
  } finally {
    for (const { directory } of open) await directory.handle.close();
  }
}

async function unlinkUnlessDirectory(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return true;
    if (code === 'EISDIR' || code === 'EPERM') return false;
    throw error;
  }
}

async function openForRemoval(parent: AnchoredDirectory, name: string): Promise<AnchoredDirectory> {
  // A directory may already have its final mode, which can shut out its owner.
  if (hasDescriptorPaths) {
    const handle = await open(reach(parent, name), O_PATH | O_DIRECTORY | O_NOFOLLOW);
    try {
      await chmod(`/proc/self/fd/${handle.fd}`, 0o700);
    } finally {
      await handle.close();
    }
  }
  return openChildDirectory(parent, name);
}
