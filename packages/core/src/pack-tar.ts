import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, readlink } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { TarHeader, TarPackController } from 'modern-tar';
import { type AnchoredDirectory, listNames, openChildDirectory, openDirectory, reach } from './anchored-directory.js';
import type { CopyOptions, CopyProgress } from './copy-options.js';
import { type CopyProgressMeter, createCopyProgressMeter } from './copy-progress-meter.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { mapFileError } from './map-file-error.js';
import { isRemoved, wasRemoved } from './removed-directory.js';

/** Linux's limit, its closing NUL included: no one could unpack a longer name. */
export const MAX_PATH_BYTES = 4096;

export interface PackTarOptions extends Pick<CopyOptions, 'signal' | 'onProgress' | 'owner'> {
  /** Directories to put in front, outermost first; the source lies in the last one. Mode 0755, owner root or `owner`. */
  readonly parents?: readonly string[];
  /**
   * For unpackers such as busybox's: long names are said in GNU's way as well (POSIX's are passed over there), and
   * directories again after what is in them, for their times. Default: false.
   */
  readonly forSimpleUnpackers?: boolean;
}

export interface PackedTar {
  readonly stream: Readable;
  /** Resolves when nothing is read from the host any more; never rejects. */
  readonly done: Promise<void>;
  /** What went wrong on this host; undefined when nothing did, or when the reader of the stream gave up. */
  failure(): Error | undefined;
  /** What was packed; undefined until all of it is. */
  packed(): CopyProgress | undefined;
}

/**
 * A tar of the file, directory or symlink `source`, under the name `nameInArchive`. Symlinks are packed as symlinks;
 * mode, owner and time are kept, hard links become files of their own. A file that grows meanwhile is packed as long as
 * it was when it was opened; one that shrinks fails the stream, as do sockets, FIFOs, devices and names that are not
 * UTF-8. Reads no faster than the stream is read.
 */
export async function packTar(source: string, nameInArchive: string, options: PackTarOptions = {}): Promise<PackedTar> {
  const { createTarPacker } = await import('modern-tar');
  const { readable, controller } = createTarPacker();
  const stream = Readable.fromWeb(readable as Parameters<typeof Readable.fromWeb>[0]);
  // Its reader sees it too; but it may come before there is one.
  stream.on('error', () => {});
  const meter = createCopyProgressMeter(options.onProgress);
  let failure: Error | undefined;
  let packed: CopyProgress | undefined;

  const { signal } = options;
  const onAbort = (): void => {
    failure ??= new OperationAbortedError(`Packing '${source}' was aborted by the caller's signal.`, {
      cause: signal?.reason,
    });
    controller.error(failure);
  };
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });

  const done = (async () => {
    try {
      await packAll(controller, resolve(source), nameInArchive, options, meter);
      controller.finalize();
      packed = meter.end();
    } catch (error) {
      if (!stream.destroyed) failure ??= mapFileError(error, source, 'unknown');
      controller.error(failure ?? error);
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  })();
  return { stream, done, failure: () => failure, packed: () => packed };
}

interface Frame {
  /** Packed after the children. */
  readonly again?: TarHeader;
  readonly directory: AnchoredDirectory;
  readonly name: string;
  readonly children: Buffer[];
}

async function packAll(
  controller: TarPackController,
  source: string,
  nameInArchive: string,
  options: PackTarOptions,
  meter: CopyProgressMeter,
): Promise<void> {
  const { parents = [], owner = { uid: 0, gid: 0 } } = options;
  let prefix = '';
  for (const parent of parents) {
    prefix += `${parent}/`;
    await addEntry(controller, { name: prefix, type: 'directory', size: 0, mode: 0o755, mtime: new Date(), ...owner });
  }
  const frames: Frame[] = [];
  const top = await openDirectory(dirname(source)).catch((error) => {
    throw mapFileError(error, dirname(source), 'unknown');
  });
  try {
    let parent = top;
    let fileName = basename(source);
    let name = `${prefix}${nameInArchive}`;
    for (;;) {
      const frame = await packOne(controller, parent, fileName, name, options, meter).catch((error) => {
        throw mapFileError(error, `${parent.path}/${fileName}`, 'unknown');
      });
      if (frame !== undefined) frames.push(frame);
      while (frames.at(-1)?.children.length === 0) {
        const done = frames.pop();
        await done?.directory.handle.close();
        if (done?.again === undefined) continue;
        await addLongNames(controller, done.again.name);
        await addEntry(controller, done.again);
      }
      const current = frames.at(-1);
      if (current === undefined) return;
      parent = current.directory;
      fileName = decodeName(current.children.pop()!, parent.path);
      name = `${current.name}/${fileName}`;
    }
  } finally {
    for (const { directory } of frames) await directory.handle.close();
    await top.handle.close();
  }
}

/** Packs one thing; gives the frame of its children when it is a directory. */
async function packOne(
  controller: TarPackController,
  parent: AnchoredDirectory,
  fileName: string,
  name: string,
  { owner, forSimpleUnpackers }: PackTarOptions,
  meter: CopyProgressMeter,
): Promise<Frame | undefined> {
  const announce = forSimpleUnpackers === true ? addLongNames : async (): Promise<void> => {};
  const shown = `${parent.path}/${fileName}`;
  if (Buffer.byteLength(name) >= MAX_PATH_BYTES) {
    throw new InvalidArgumentError(`The path of '${name.slice(0, 100)}…' is longer than ${MAX_PATH_BYTES - 1} bytes.`);
  }
  const path = reach(parent, fileName);
  const found = await lstat(path);
  if (found.isSymbolicLink()) {
    const linkname = decodeName(await readlink(path, { encoding: 'buffer' }), shown);
    await announce(controller, name, linkname);
    await addEntry(controller, { ...toHeader(name, found, owner), type: 'symlink', linkname, size: 0 });
    meter.addEntry();
    return undefined;
  }
  if (found.isDirectory()) {
    const directory = await openChildDirectory(parent, fileName);
    try {
      const looked = await directory.handle.stat();
      const header = toHeader(`${name}/`, looked, owner);
      await announce(controller, header.name);
      const entry: TarHeader = { ...header, type: 'directory', size: 0 };
      await addEntry(controller, entry);
      meter.addEntry();
      // Popped from the end: so the archive is in the order of the names.
      const children = (await listNames(directory)).sort(Buffer.compare).reverse();
      if (isRemoved(looked, await directory.handle.stat())) throw wasRemoved(shown);
      return { directory, name, children, ...(forSimpleUnpackers === true && { again: entry }) };
    } catch (error) {
      await directory.handle.close();
      throw error;
    }
  }
  requireFile(found, shown);
  // Not blocking, for the case that the file has just been replaced by a FIFO.
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stats = await handle.stat();
    requireFile(stats, shown);
    await announce(controller, name);
    await packFile(
      controller,
      handle,
      { ...toHeader(name, stats, owner), type: 'file', size: stats.size },
      shown,
      meter,
    );
    meter.addEntry();
  } finally {
    await handle.close();
  }
  return undefined;
}

const readBytes = 256 * 1024;

async function packFile(
  controller: TarPackController,
  handle: FileHandle,
  header: TarHeader,
  shown: string,
  meter: CopyProgressMeter,
): Promise<void> {
  const writer = controller.add(header).getWriter();
  let left = header.size;
  while (left > 0) {
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(Math.min(left, readBytes)));
    if (bytesRead === 0) {
      throw new CopyFailedError(
        `'${shown}' became shorter while it was copied: ${left} of ${header.size} bytes are missing.`,
        {
          retryable: true,
        },
      );
    }
    left -= bytesRead;
    await writer.write(buffer.subarray(0, bytesRead));
    meter.addBytes(bytesRead);
  }
  await writer.close();
}

/** As many bytes as the old header has room for. */
const shortNameBytes = 100;

async function addLongNames(controller: TarPackController, name: string, linkname = ''): Promise<void> {
  for (const [type, text] of [
    ['gnu-long-name', name],
    ['gnu-long-link-name', linkname],
  ] as const) {
    const bytes = Buffer.from(`${text}\0`);
    if (bytes.length - 1 <= shortNameBytes) continue;
    const writer = controller.add({ name: '././@LongLink', type, size: bytes.length, mode: 0 }).getWriter();
    await writer.write(bytes);
    await writer.close();
  }
}

async function addEntry(controller: TarPackController, header: TarHeader): Promise<void> {
  await controller.add(header).close();
}

function toHeader(name: string, stats: Stats, owner: PackTarOptions['owner']): Omit<TarHeader, 'size'> {
  const seconds = Math.floor(stats.mtimeMs / 1000);
  return {
    name,
    mode: stats.mode & 0o7777,
    uid: owner?.uid ?? stats.uid,
    gid: owner?.gid ?? stats.gid,
    mtime: new Date(Math.max(0, seconds) * 1000),
    // The old header has no room for a time before 1970.
    ...(seconds < 0 ? { pax: { mtime: String(seconds) } } : {}),
  };
}

function requireFile(stats: Stats, shown: string): void {
  if (stats.isFile()) return;
  throw new UnsupportedError(`'${shown}' is a socket, FIFO or device, which cannot be copied.`, {
    remedy: 'Copy a directory without it.',
  });
}

function decodeName(name: Buffer, where: string): string {
  const text = name.toString();
  if (Buffer.from(text).equals(name)) return text;
  throw new UnsupportedError(`'${text}' in '${where}' is not UTF-8 and cannot be copied.`);
}
