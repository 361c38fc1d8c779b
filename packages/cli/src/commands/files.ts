import { posix } from 'node:path';
import {
  type ContainerRoot,
  type DirectoryEntry,
  type FileStatus,
  type FileType,
  isContainerNotRunningError,
  isCrikitError,
  isRunning,
  UnsupportedError,
} from '@crikit/core';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { isOutOfReach } from '../out-of-reach.js';
import { formatBytes } from '../output/format-bytes.js';
import type { Column } from '../output/render-table.js';
import { writeList } from '../output/write-list.js';
import { parseContainerPath } from '../parse-container-path.js';
import { resolveContainer } from '../resolve-target.js';

/** A file in the JSON of `files`. */
export interface FileDocument {
  readonly name: string;
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device';
  readonly sizeBytes: number;
  /** Permission bits, in octal. */
  readonly mode: string;
  /** As the container numbers its users. */
  readonly uid: number;
  readonly gid: number;
  /** ISO 8601. */
  readonly modifiedAt: string;
  /** Of a symbolic link, as it is written. */
  readonly linkTarget?: string;
}

export interface FilesRequest {
  /** A TARGET, or `TARGET:/path`. */
  readonly target: string;
  /** Default: `/`. */
  readonly path?: string;
}

/** Lists a directory of a container, or one file, without an exec. */
export async function runFiles(context: CommandContext, request: FilesRequest): Promise<void> {
  const { target, path } =
    request.path === undefined
      ? (parseContainerPath(request.target) ?? { target: request.target, path: '/' })
      : { target: request.target, path: posix.resolve('/', request.path) };
  await withStore(context, async (store) => {
    const container = resolveContainer(store, target);
    const root = await store.openRoot(container).catch((error: unknown) => {
      if (!isOutOfReach(error) || !isRunning(container)) throw error;
      // That its process has ended is not true of one that runs elsewhere.
      const reason = isContainerNotRunningError(error) || !(error instanceof Error) ? '' : ` ${error.message}`;
      throw new UnsupportedError(`Container ${container.shortId} cannot be looked into from here.${reason}`, {
        applied: 'no',
        cause: error,
        remedy: `Try 'crikit exec ${target} -- ls -la ${path}'.`,
      });
    });
    try {
      await writeList<FileDocument>(context, {
        kind: 'files',
        rows: await listFiles(root, posix.normalize(path), context.signal),
        columns,
        toJson: (row) => row,
        toName: (row) => row.path,
        whenEmpty: `${path} is empty.`,
      });
    } finally {
      await root.close();
    }
  });
}

async function listFiles(root: ContainerRoot, path: string, signal: AbortSignal): Promise<readonly FileDocument[]> {
  const directory = path.length > 1 ? path.replace(/\/+$/, '') : path;
  const isLinked = path !== directory;
  const status = await root.stat(directory, { followSymlinks: isLinked });
  if (status.type !== 'directory') return [await describeFile(root, posix.basename(directory), directory, status)];
  const entries = [...(await root.readDir(directory, { signal }))].sort((one, other) =>
    Buffer.compare(one.rawName, other.rawName),
  );
  const files: FileDocument[] = [];
  for (const entry of entries) {
    const file = await describeEntry(root, directory, entry);
    if (file !== undefined) files.push(file);
  }
  return files;
}

async function describeEntry(
  root: ContainerRoot,
  directory: string,
  { name, rawName, type }: DirectoryEntry,
): Promise<FileDocument | undefined> {
  const path = posix.join(directory, name);
  const rawPath = Buffer.concat([Buffer.from(directory === '/' ? '/' : `${directory}/`), rawName]);
  try {
    return await describeFile(root, name, path, await root.stat(rawPath, { followSymlinks: false }), rawPath);
  } catch (error) {
    if (!isCrikitError(error)) throw error;
    // Gone since the directory was read.
    if (error.code === 'PATH_NOT_FOUND') return undefined;
    // A mount that is not touched: what the directory says of it is all there is.
    return { name, path, type, sizeBytes: 0, mode: '----', uid: 0, gid: 0, modifiedAt: new Date(0).toISOString() };
  }
}

async function describeFile(
  root: ContainerRoot,
  name: string,
  path: string,
  { type, sizeBytes, mode, uid, gid, modifiedMs }: FileStatus,
  rawPath: string | Uint8Array = path,
): Promise<FileDocument> {
  return {
    ...{ name, path, type, sizeBytes },
    mode: mode.toString(8).padStart(4, '0'),
    ...{ uid, gid },
    modifiedAt: new Date(modifiedMs).toISOString(),
    ...(type === 'symlink' ? { linkTarget: await root.readLink(rawPath) } : {}),
  };
}

const typeLetters: Readonly<Record<FileType, string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  'character-device': 'c',
  'block-device': 'b',
};

const columns: readonly Column<FileDocument>[] = [
  { header: 'MODE', value: ({ type, mode }) => `${typeLetters[type]}${formatMode(mode)}` },
  { header: 'OWNER', value: ({ uid, gid }) => `${uid}:${gid}` },
  { header: 'SIZE', value: ({ type, sizeBytes }) => (type === 'file' ? formatBytes(sizeBytes) : '-'), align: 'right' },
  { header: 'MODIFIED', value: ({ modifiedAt }) => modifiedAt.slice(0, 19).replace('T', ' '), dropOrder: 1 },
  {
    header: 'NAME',
    value: ({ name, linkTarget }) => (linkTarget === undefined ? name : `${name} -> ${linkTarget}`),
    style: ({ type }) => (type === 'directory' ? 'blue' : type === 'symlink' ? 'cyan' : undefined),
    minWidth: 10,
  },
];

/** `0755` as `rwxr-xr-x`. */
export function formatMode(mode: string): string {
  const bits = Number.parseInt(mode, 8);
  if (Number.isNaN(bits)) return '?????????';
  const letters = [...'rwxrwxrwx'].map((letter, index) => ((bits >> (8 - index)) & 1 ? letter : '-'));
  for (const [bit, index, set, unset] of [
    [0o4000, 2, 's', 'S'],
    [0o2000, 5, 's', 'S'],
    [0o1000, 8, 't', 'T'],
  ] as const) {
    if (bits & bit) letters[index] = letters[index] === 'x' ? set : unset;
  }
  return letters.join('');
}
