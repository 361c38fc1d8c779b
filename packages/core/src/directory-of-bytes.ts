import type { Dir, Dirent } from 'node:fs';
import { opendir } from 'node:fs/promises';

/** `Dir`, as it is when names are asked for as bytes; Node's types know only strings. */
export interface DirectoryOfBytes {
  read(): Promise<Dirent<Buffer> | null>;
  close(): Promise<void>;
}

/** Lists, some entries at a time, the directory that `fd` holds; `fd` is still the caller's. */
export async function openDirectoryOfBytes(fd: number, bufferSize: number): Promise<DirectoryOfBytes> {
  const options = { encoding: 'buffer' as BufferEncoding, bufferSize };
  const directory: Dir = await opendir(`/proc/self/fd/${fd}`, options);
  return directory as unknown as DirectoryOfBytes;
}
