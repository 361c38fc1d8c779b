import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PathNotFoundError, PermissionDeniedError, UnsupportedError } from '@crikit/core';

export interface LogFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly inode: bigint;
  readonly isCompressed: boolean;
  readonly modifiedMs: number;
}

/**
 * Opens a log file. A link is not followed and nothing but a regular file is opened: pods that may write into the node's
 * log directory would else choose what is read. Rejects with `PATH_NOT_FOUND`, `PERMISSION`, `UNSUPPORTED`.
 */
export async function openLogFile(path: string): Promise<LogFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw convertOpenError(path, error as NodeJS.ErrnoException);
  }
  try {
    const status = await handle.stat({ bigint: true });
    if (!status.isFile()) throw new UnsupportedError(`The log ${path} is no regular file.`, { applied: 'no' });
    return { path, handle, inode: status.ino, isCompressed: path.endsWith('.gz'), modifiedMs: Number(status.mtimeMs) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function convertOpenError(path: string, error: NodeJS.ErrnoException): Error {
  const options = { applied: 'no', cause: error } as const;
  switch (error.code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new PathNotFoundError(`The log ${path} is not there.`, {
        ...options,
        remedy: 'Where the root of the node is mounted elsewhere, say so by --host-root.',
      });
    case 'EACCES':
    case 'EPERM':
      return new PermissionDeniedError(`The log ${path} may not be read.`, {
        ...options,
        remedy: 'Run crikit as root.',
      });
    case 'ELOOP':
      return new UnsupportedError(`The log ${path} is a symbolic link, which is not followed.`, options);
    default:
      return error;
  }
}

/**
 * What a log was rotated to, oldest first: Docker counts (`.1` is the newest), the kubelet gives times; both may compress.
 * Files that go meanwhile are left out. The caller closes the handles.
 */
export async function openRotatedLogs(path: string): Promise<readonly LogFile[]> {
  const names = await readdir(dirname(path)).catch(() => []);
  const own = basename(path);
  const rotated = names
    .flatMap((name) => {
      const suffix = name.startsWith(`${own}.`) ? name.slice(own.length + 1).replace(/\.gz$/, '') : '';
      return /^(\d{1,4}|\d{8}-\d{6})$/.test(suffix) ? [{ name, suffix }] : [];
    })
    .sort((one, other) => ageOf(one.suffix) - ageOf(other.suffix));
  const files: LogFile[] = [];
  for (const { name } of rotated) {
    const file = await openLogFile(join(dirname(path), name)).catch(() => undefined);
    if (file !== undefined) files.push(file);
  }
  return files;
}

/** Smaller for what is older. */
function ageOf(suffix: string): number {
  return suffix.includes('-') ? Number(suffix.replace('-', '')) : -Number(suffix);
}
