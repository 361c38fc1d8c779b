import { lstat, readdir, stat } from 'node:fs/promises';
import { basename, join, posix, resolve } from 'node:path';
import { type Container, type CopyMethod, type CopyResult, InvalidArgumentError, isCrikitError } from '@crikit/core';
import type { MetaStore } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { formatBytes } from '../output/format-bytes.js';
import { schemaVersion, writeDocument } from '../output/write-list.js';
import { parseContainerPath } from '../parse-container-path.js';
import { resolveContainer } from '../resolve-target.js';

export interface CpRequest {
  readonly source: string;
  readonly destination: string;
  /** Owner of what is made in the container, as `UID:GID`. Default: as the source's. */
  readonly owner?: string;
  /** Only these ways. Default: all, in their order. */
  readonly methods?: readonly CopyMethod[];
}

/** The JSON of `cp`. */
export interface CopyDocument {
  /** As they were given. */
  readonly source: string;
  readonly destination: string;
  /** The way that served: `host`, `engine`, `mount`, `tar` or `chunk`. */
  readonly method: string;
  /** Of the content of files. */
  readonly bytes: number;
  /** Files, directories and links. */
  readonly entries: number;
  /** The ways before it that did not serve, and why. */
  readonly skipped: readonly { readonly method: string; readonly reason: string }[];
}

/** Copies a file or a directory into a container or out of it, and says which way served. */
export async function runCp(context: CommandContext, request: CpRequest): Promise<void> {
  const from = parseContainerPath(request.source);
  const to = parseContainerPath(request.destination);
  if ((from === undefined) === (to === undefined)) {
    throw new InvalidArgumentError(
      from === undefined
        ? 'Neither side is in a container: write TARGET:/path for one of them.'
        : 'Both sides are in containers: copy to this machine first.',
    );
  }
  const owner = request.owner === undefined ? undefined : parseOwner(request.owner);
  if (owner !== undefined && to === undefined)
    throw new InvalidArgumentError('--owner is for copies into a container.');
  const { signal } = context;
  const result = await withStore(context, async (store) => {
    const container = resolveContainer(store, (to ?? from)?.target ?? '');
    const totalBytes =
      to === undefined ? await sizeInContainer(store, container, from?.path ?? '') : await sizeOf(request.source);
    const { startProgress } = await import('../output/start-progress.js');
    const progress = await startProgress(context, totalBytes);
    const options = {
      signal,
      onProgress: progress.update,
      ...(owner === undefined ? {} : { owner }),
      ...(request.methods === undefined ? {} : { methods: request.methods }),
    };
    try {
      if (to !== undefined) {
        const path = (await isDirectoryInContainer(store, container, to.path)) ? intoDirectory(to.path) : to.path;
        return await store.copyToContainer(container, resolve(request.source), path, options);
      }
      const path = (await isDirectory(request.destination))
        ? intoDirectory(resolve(request.destination))
        : keepSlash(request.destination);
      return await store.copyFromContainer(container, from?.path ?? '', path, options);
    } finally {
      progress.stop();
    }
  });
  await report(context, request, result);
}

async function report(context: CommandContext, { source, destination }: CpRequest, result: CopyResult): Promise<void> {
  const { method, bytes, entries, skipped } = result;
  const { output } = context.options;
  if (output === 'json' || output === 'yaml') {
    const item: CopyDocument = {
      ...{ source, destination, method, bytes, entries },
      skipped: skipped.map(({ method: other, reason }) => ({ method: other, reason })),
    };
    await writeDocument(context, { schemaVersion, kind: 'copy', item });
    return;
  }
  if (output === 'name') {
    context.stdout.write(`${method}\n`);
    return;
  }
  const what =
    entries === 1 ? `${basename(source.replace(/^[^:]*:(?=\/)/, '')) || '/'}` : `${entries} files and directories`;
  context.stdout.write(`Copied ${what}, ${formatBytes(bytes)}, by way of ${method}.\n`);
  if (output === 'wide')
    for (const { method: other, reason } of skipped) context.stdout.write(`Not ${other}: ${reason}\n`);
}

function parseOwner(text: string): { uid: number; gid: number } {
  const [, uid, gid] = /^(\d{1,10}):(\d{1,10})$/.exec(text) ?? [];
  if (uid === undefined || gid === undefined) throw new InvalidArgumentError(`'${text}' is no owner: give UID:GID.`);
  return { uid: Number(uid), gid: Number(gid) };
}

function intoDirectory(path: string): string {
  return path.endsWith('/') ? path : `${path}/`;
}

/** Absolute; a slash at the end, which asks for a directory, stays. */
function keepSlash(path: string): string {
  return path.endsWith('/') ? intoDirectory(resolve(path)) : resolve(path);
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

/** False also where the container cannot be looked into from here: then the path is taken as it is written. */
async function isDirectoryInContainer(store: MetaStore, container: Container, path: string): Promise<boolean> {
  if (path === '/' || path.endsWith('/')) return true;
  try {
    return (await store.stat(container, posix.normalize(path))).type === 'directory';
  } catch (error) {
    if (isCrikitError(error)) return false;
    throw error;
  }
}

/** Undefined for what has no size that is cheap to know. */
async function sizeInContainer(store: MetaStore, container: Container, path: string): Promise<number | undefined> {
  const status = await store.stat(container, path).catch(() => undefined);
  return status?.type === 'file' ? status.sizeBytes : undefined;
}

async function sizeOf(path: string): Promise<number | undefined> {
  const status = await lstat(path).catch(() => undefined);
  if (status === undefined) return undefined;
  if (!status.isDirectory()) return status.isFile() ? status.size : undefined;
  const entries = await readdir(path, { withFileTypes: true, recursive: true }).catch(() => []);
  let total = 0;
  for (const entry of entries) {
    if (entry.isFile()) total += (await lstat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0;
  }
  return total;
}
