/**
 * Unpacking of archives that come out of a container: hostile input. Nothing of them is handed to an extractor; each
 * entry is written here, through descriptors of directories that we have made.
 */
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, lutimes, mkdir, open, rename, rmdir, symlink } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import type { ParsedTarEntry, TarHeader } from 'modern-tar';
import {
  type AnchoredDirectory,
  listNames,
  openChildDirectory,
  openDirectory,
  reach,
  removeTree,
} from './anchored-directory.js';
import type { CopyOptions, CopyProgress } from './copy-options.js';
import { createCopyProgressMeter } from './copy-progress-meter.js';
import { AlreadyExistsError } from './errors/already-exists-error.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { isCrikitError } from './errors/crikit-error.js';
import { EngineUnavailableError } from './errors/engine-unavailable-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { ProtocolError } from './errors/protocol-error.js';
import { TooLargeError } from './errors/too-large-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { markFinal } from './final-copy-errors.js';
import { mapFileError } from './map-file-error.js';
import { MAX_PATH_BYTES } from './pack-tar.js';
import { randomHex } from './random-hex.js';

/** 16 GiB. */
export const DEFAULT_MAX_COPY_BYTES = 16 * 1024 ** 3;
export const DEFAULT_MAX_COPY_ENTRIES = 1_000_000;

/** Names of directories and links are kept until the end: an average of 256 bytes for as many as are allowed. */
const maxKeptNameBytes = 256 * DEFAULT_MAX_COPY_ENTRIES;

export type UnpackTarOptions = Pick<CopyOptions, 'signal' | 'onProgress' | 'maxBytes' | 'maxEntries'>;

/**
 * Writes the one file, directory or symlink that `tar` holds to `destination`, whatever it is called in the archive.
 * It is made under an unpredictable name beside the destination and appears by one rename; after a failure nothing is
 * left, parent directories that were made for it included. A file or symlink replaces a file or symlink; a directory
 * needs a path that is free or an empty directory; anything else is an `AlreadyExistsError`.
 *
 * Everything belongs to the calling process's user, and the bits setuid and setgid are dropped: with them a container
 * could plant a program that runs as somebody else on the host. Other mode bits and times are kept. Symlinks are kept
 * as they are and made last, so that nothing is ever written through one. Absolute names, `..`, a second root, entries
 * below something that is no directory of the archive, names that come twice, hard links to anything but a file of the
 * archive are a `ProtocolError`; devices, FIFOs, sparse files and names that are not UTF-8 an `UnsupportedError`.
 */
export async function unpackTar(
  tar: Readable,
  destination: string,
  options: UnpackTarOptions = {},
): Promise<CopyProgress> {
  const target = resolve(destination);
  const parentPath = dirname(target);
  const { signal } = options;
  const onAbort = (): void => {
    tar.destroy(
      new OperationAbortedError(`Copying to '${target}' was aborted by the caller's signal.`, {
        applied: 'no',
        cause: signal?.reason,
      }),
    );
  };
  // Read by `for await` later; until then an error must not be one that nobody listens to.
  tar.on('error', ignore);
  let firstMade: string | undefined;
  let parent: AnchoredDirectory | undefined;
  try {
    if (parentPath === target) throw new InvalidArgumentError(`'${destination}' is no place for a copy.`);
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    firstMade = await mkdir(parentPath, { recursive: true });
    parent = await openDirectory(parentPath);
    return await unpackInto(tar, parent, basename(target), options);
  } catch (error) {
    tar.destroy();
    if (firstMade !== undefined) await removeMadeParents(parentPath, firstMade);
    if (isCrikitError(error)) throw error;
    throw markFinal(mapFileError(error, target, 'no'));
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await parent?.handle.close();
  }
}

async function unpackInto(
  tar: Readable,
  parent: AnchoredDirectory,
  name: string,
  { signal, onProgress, maxBytes = DEFAULT_MAX_COPY_BYTES, maxEntries = DEFAULT_MAX_COPY_ENTRIES }: UnpackTarOptions,
): Promise<CopyProgress> {
  const meter = createCopyProgressMeter(onProgress);
  const temporary = `.crikit-${randomHex(16)}`;
  const walk = createDirectoryWalk(parent);
  const directories: { path: string[]; header: TarHeader }[] = [];
  const symlinks = new Map<string, { path: string[]; header: TarHeader }>();
  let root: string | undefined;
  let bytes = 0;
  let entries = 0;
  let keptNameBytes = 0;

  const keep = (header: TarHeader): void => {
    keptNameBytes += header.name.length + (header.linkname?.length ?? 0);
    if (keptNameBytes > maxKeptNameBytes) {
      throw new TooLargeError(`The names in the archive take more than ${maxKeptNameBytes} bytes.`, { applied: 'no' });
    }
  };

  const takeEntry = async (entry: ParsedTarEntry, explain: ExplainReadError): Promise<void> => {
    const { header } = entry;
    const parts = splitName(header.name, header);
    entries += 1;
    if (entries > maxEntries) {
      throw new TooLargeError(`The archive has more than ${maxEntries} entries.`, {
        applied: 'no',
        remedy: 'The option `maxEntries` allows more.',
      });
    }
    if (root === undefined) {
      root = parts[0]!;
      await requireFreeDestination(parent, name, header.type === 'directory');
    }
    if (parts[0] !== root) throw refused(header, `does not lie in '${root}', the first entry of the archive`);
    const path = [temporary, ...parts.slice(1)];
    const last = path.at(-1)!;
    const inDirectory = path.length === 1 ? parent : await walk.open(path.slice(0, -1), header);

    switch (header.type) {
      case 'directory':
        keep(header);
        await once(header, mkdir(reach(inDirectory, last), { mode: 0o700 }));
        directories.push({ path, header });
        break;
      case 'file': {
        if (header.pax !== undefined && Object.keys(header.pax).some((key) => key.startsWith('GNU.sparse.'))) {
          throw new UnsupportedError(`${show(header)} in the archive is a sparse file.`, { applied: 'no' });
        }
        bytes += header.size;
        if (bytes > maxBytes) {
          throw new TooLargeError(`The archive holds more than ${maxBytes} bytes.`, {
            applied: 'no',
            remedy: 'The option `maxBytes` allows more.',
          });
        }
        await writeFile(reach(inDirectory, last), entry, explain, (count) => meter.addBytes(count));
        break;
      }
      case 'symlink':
        keep(header);
        requireText(header.linkname ?? '', header);
        if (symlinks.has(path.join('/'))) throw refused(header, 'comes twice');
        symlinks.set(path.join('/'), { path, header });
        break;
      case 'link': {
        const [linkedRoot, ...linkedParts] = splitName(header.linkname ?? '', header);
        if (linkedRoot !== root) throw refused(header, 'is a hard link to something outside');
        const existing = [temporary, ...linkedParts];
        const linked = symlinks.get(existing.join('/'));
        if (linked !== undefined) {
          keep(linked.header);
          symlinks.set(path.join('/'), { path, header: linked.header });
          break;
        }
        await makeHardLink(parent, existing, reach(inDirectory, last), header);
        break;
      }
      default:
        throw new UnsupportedError(
          `'${header.name}' in the archive is a ${header.type}, which is not taken from a container.`,
          {
            applied: 'no',
          },
        );
    }
    meter.addEntry();
  };

  try {
    await decodeTar(tar, takeEntry);
    if (root === undefined) throw new ProtocolError('The archive is empty.', { applied: 'no' });
    for (const { path, header } of symlinks.values()) {
      const inDirectory = path.length === 1 ? parent : await walk.open(path.slice(0, -1), header);
      const at = reach(inDirectory, path.at(-1)!);
      await once(header, symlink(header.linkname!, at));
      const time = timeOf(header);
      if (time !== undefined) await lutimes(at, time, time);
    }
    // Children before parents: a final mode may shut us out, and a new child would change the parent's time.
    for (const { path, header } of directories.reverse()) {
      const { handle } = await walk.open(path, header);
      await setModeAndTime(handle, header, 0o1777);
    }
    signal?.throwIfAborted();
    await rename(reach(parent, temporary), reach(parent, name)).catch((error) => {
      throw mapRenameError(error, `${parent.path}/${name}`);
    });
    return meter.end();
  } catch (error) {
    await walk.close();
    await removeTemporary(parent, temporary, error);
    if (signal?.aborted === true) {
      throw new OperationAbortedError(`Copying to '${parent.path}/${name}' was aborted by the caller's signal.`, {
        applied: 'no',
        cause: signal.reason,
      });
    }
    throw error;
  } finally {
    await walk.close();
  }
}

type ExplainReadError = (error: unknown) => Error;

/** Gives the entries one by one. Feeds the archive to the decoder by hand: Node 20's own adapter counts chunks where it should count bytes. */
export async function decodeTar(
  tar: Readable,
  takeEntry: (entry: ParsedTarEntry, explain: ExplainReadError) => Promise<void>,
): Promise<void> {
  const { createTarDecoder } = await import('modern-tar');
  const { readable, writable } = createTarDecoder({ strict: true });
  const writer = writable.getWriter();
  let sourceError: unknown;
  const explain: ExplainReadError = (error) => explainReadError(error, sourceError);
  const feeding = (async () => {
    try {
      for await (const chunk of tar) {
        // The decoder has told its reader why already.
        if (!(await writer.write(chunk).then(accepted, refusedChunk))) return;
      }
    } catch (error) {
      sourceError = error;
      await writer.abort(error).catch(ignore);
      return;
    }
    await writer.close().catch(ignore);
  })();
  const reader = readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw explain(error);
      });
      if (done) return;
      await takeEntry(value, explain);
    }
  } catch (error) {
    await reader.cancel(error).catch(ignore);
    tar.destroy();
    throw error;
  } finally {
    await feeding;
  }
}

function explainReadError(error: unknown, sourceError: unknown): Error {
  if (isCrikitError(sourceError)) return sourceError;
  if (sourceError !== undefined) {
    return new EngineUnavailableError("The engine's stream broke off before the end of the archive.", {
      applied: 'no',
      retryable: true,
      cause: sourceError,
    });
  }
  const { message } = error as Error;
  return new ProtocolError(`The engine gave no valid archive: ${message}`, { applied: 'no', cause: error });
}

interface DirectoryWalk {
  /** Opens a directory below the temporary name; stays open until the next one. `header` is for messages. */
  open(path: readonly string[], header: TarHeader): Promise<AnchoredDirectory>;
  close(): Promise<void>;
}

function createDirectoryWalk(top: AnchoredDirectory): DirectoryWalk {
  const frames: { readonly name: string; readonly directory: AnchoredDirectory }[] = [];
  const shorten = async (length: number): Promise<void> => {
    while (frames.length > length) await frames.pop()?.directory.handle.close();
  };
  return {
    async open(path, header) {
      let common = 0;
      while (common < path.length && frames[common]?.name === path[common]) common += 1;
      await shorten(common);
      for (const name of path.slice(common)) {
        const directory = await openChildDirectory(frames.at(-1)?.directory ?? top, name).catch((error) => {
          if (!isCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
          throw refused(header, 'lies below something that is no directory of the archive');
        });
        frames.push({ name, directory });
      }
      return frames.at(-1)!.directory;
    },
    close: () => shorten(0),
  };
}

const createOnly = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

async function writeFile(
  path: string,
  { header, body }: ParsedTarEntry,
  explain: ExplainReadError,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const handle = await once(header, open(path, createOnly, 0o600));
  try {
    const reader = body.getReader();
    let written = 0;
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw explain(error);
      });
      if (done) break;
      for (let offset = 0; offset < value.length; ) {
        offset += (await handle.write(value, offset)).bytesWritten;
      }
      written += value.length;
      onBytes(value.length);
    }
    if (written !== header.size) throw refused(header, `has ${written} bytes instead of ${header.size}`);
    await setModeAndTime(handle, header, 0o777);
  } finally {
    await handle.close();
  }
}

async function makeHardLink(
  top: AnchoredDirectory,
  existing: readonly string[],
  path: string,
  header: TarHeader,
): Promise<void> {
  const walk = createDirectoryWalk(top);
  try {
    const directory = existing.length === 1 ? top : await walk.open(existing.slice(0, -1), header);
    const from = reach(directory, existing.at(-1)!);
    const found = await lstat(from).catch((error) => {
      if (!isCode(error, 'ENOENT')) throw error;
    });
    if (found?.isFile() !== true) throw refused(header, 'is a hard link to something that is no file of the archive');
    await once(header, link(from, path));
  } finally {
    await walk.close();
  }
}

async function setModeAndTime(handle: FileHandle, header: TarHeader, mask: number): Promise<void> {
  const time = timeOf(header);
  if (time !== undefined) await handle.utimes(time, time);
  if (header.mode !== undefined) await handle.chmod(header.mode & mask);
}

function timeOf({ mtime }: TarHeader): Date | undefined {
  return mtime === undefined || Number.isNaN(mtime.getTime()) ? undefined : mtime;
}

/** The parts of a name in the archive; at least one. */
function splitName(name: string, header: TarHeader): string[] {
  requireText(name, header);
  if (name.startsWith('/')) throw refused(header, 'is absolute');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw refused(header, "contains '..'");
  if (parts.length === 0) throw refused(header, 'has no name');
  return parts;
}

function requireText(text: string, header: TarHeader): void {
  if (text === '') throw refused(header, 'has an empty name or target');
  if (text.includes('\0')) throw refused(header, 'has a NUL in its name or target');
  if (Buffer.byteLength(text) >= MAX_PATH_BYTES) {
    throw refused(header, `has a name or target of more than ${MAX_PATH_BYTES - 1} bytes`);
  }
  // The decoder puts this character where bytes are not UTF-8; written like that, the name would be another one.
  if (text.includes('\uFFFD')) {
    throw new UnsupportedError(`${show(header)} in the archive has a name or target that is not UTF-8.`, {
      applied: 'no',
    });
  }
}

export async function requireFreeDestination(
  parent: AnchoredDirectory,
  name: string,
  forDirectory: boolean,
): Promise<void> {
  const found = await lstat(reach(parent, name)).catch((error) => {
    if (!isCode(error, 'ENOENT')) throw error;
  });
  if (found === undefined) return;
  const path = `${parent.path}/${name}`;
  if (found.isDirectory() !== forDirectory) throw alreadyExists(path);
  if (!forDirectory) return;
  const directory = await openChildDirectory(parent, name);
  try {
    if ((await listNames(directory)).length > 0) throw alreadyExists(path);
  } finally {
    await directory.handle.close();
  }
}

function alreadyExists(path: string, cause?: unknown): AlreadyExistsError {
  return new AlreadyExistsError(
    `'${path}' exists: a directory is copied to a free path or an empty directory only, anything else never onto a directory.`,
    { applied: 'no', remedy: 'Choose another path, or remove it first.', cause },
  );
}

export function mapRenameError(error: unknown, path: string): unknown {
  return isCode(error, 'ENOTEMPTY', 'EEXIST', 'EISDIR', 'ENOTDIR') ? alreadyExists(path, error) : error;
}

async function once<Value>(header: TarHeader, making: Promise<Value>): Promise<Value> {
  try {
    return await making;
  } catch (error) {
    throw isCode(error, 'EEXIST') ? refused(header, 'comes twice') : error;
  }
}

function refused(header: TarHeader, why: string): ProtocolError {
  return new ProtocolError(`The archive is not taken: ${show(header)} ${why}.`, { applied: 'no' });
}

function show({ name }: TarHeader): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

async function removeTemporary(parent: AnchoredDirectory, temporary: string, cause: unknown): Promise<void> {
  try {
    await removeTree(parent, temporary);
  } catch (error) {
    throw new CopyFailedError(`The copy failed, and '${parent.path}/${temporary}' could not be removed: ${error}.`, {
      applied: 'no',
      remedy: 'Remove it by hand.',
      cause,
    });
  }
}

export async function removeMadeParents(path: string, first: string): Promise<void> {
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    try {
      await rmdir(made);
    } catch {
      return; // Somebody else uses it already.
    }
  }
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes(String((error as NodeJS.ErrnoException).code));
}

const accepted = (): boolean => true;
const refusedChunk = (): boolean => false;

function ignore(): void {}
