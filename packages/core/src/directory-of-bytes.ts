import { type Dirent, opendirSync } from 'node:fs';
import { opendir } from 'node:fs/promises';

/** `Dir`, as it is when names are asked for as bytes; Node's types know only strings. */
export interface DirectoryOfBytes {
  read(): Promise<Dirent<Buffer> | null>;
  /** Only where the file system does not hang. */
  readSync(): Dirent<Buffer> | null;
  close(): Promise<void>;
}

/** Lists, some entries at a time, the directory that `fd` holds; `fd` is still the caller's. */
export async function openDirectoryOfBytes(fd: number, bufferSize: number): Promise<DirectoryOfBytes> {
  return (await opendir(`/proc/self/fd/${fd}`, optionsOf(bufferSize))) as unknown as DirectoryOfBytes;
}

/** As `openDirectoryOfBytes`, at once. */
export function openDirectoryOfBytesNow(fd: number, bufferSize: number): DirectoryOfBytes {
  return opendirSync(`/proc/self/fd/${fd}`, optionsOf(bufferSize)) as unknown as DirectoryOfBytes;
}

function optionsOf(bufferSize: number): { encoding: BufferEncoding; bufferSize: number } {
  return { encoding: 'buffer' as BufferEncoding, bufferSize };
}
