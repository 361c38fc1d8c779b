import { posix } from 'node:path';
import { Readable } from 'node:stream';
import { PathNotFoundError } from '@crikit/core';
import { packTar, type TarHeader, unpackTar } from 'modern-tar';

/** The files of a container, by absolute path; `/` is always there. */
export type InMemoryFiles = Map<string, InMemoryFile>;

interface InMemoryFile {
  readonly header: Omit<TarHeader, 'name' | 'size'>;
  readonly data: Uint8Array<ArrayBuffer>;
}

const noData = new Uint8Array();

/** Files by path, as a test gives them; the directories above are made. */
export function makeInMemoryFiles(given: Readonly<Record<string, string | Uint8Array>> = {}): InMemoryFiles {
  const files: InMemoryFiles = new Map([['/', makeDirectory()]]);
  for (const [path, content] of Object.entries(given)) {
    const data = typeof content === 'string' ? Buffer.from(content) : content;
    put(files, posix.normalize(path), {
      header: { type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) },
      data: new Uint8Array(data),
    });
  }
  return files;
}

/** The file or directory at `path`; its first entry is named after the path's last component. */
export async function packInMemoryFiles(files: InMemoryFiles, path: string): Promise<Readable> {
  const top = withoutTrailingSlash(posix.normalize(path));
  if (!files.has(top)) throw new PathNotFoundError(`There is no '${path}' in the container.`, { applied: 'no' });
  const below = [...files].filter(([name]) => name.startsWith(top === '/' ? '/' : `${top}/`) && name !== top);
  const entries = [[top, files.get(top)] as const, ...below].flatMap(([name, file]) => {
    if (file === undefined) return [];
    const relative = posix.join(posix.basename(top) || '.', posix.relative(top, name));
    const isDirectory = file.header.type === 'directory';
    return [
      {
        header: { ...file.header, name: isDirectory ? `${relative}/` : relative, size: file.data.length },
        body: file.data,
      },
    ];
  });
  return Readable.from([Buffer.from(await packTar(entries))]);
}

/** Unpacks in an existing directory; nothing is changed when the archive is broken. */
export async function unpackInMemoryFiles(files: InMemoryFiles, directory: string, tar: Readable): Promise<void> {
  const top = withoutTrailingSlash(posix.normalize(directory));
  if (files.get(top)?.header.type !== 'directory') {
    tar.resume();
    throw new PathNotFoundError(`There is no directory '${directory}' in the container.`, { applied: 'no' });
  }
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  for (const { header, data } of await unpackTar(new Uint8Array(Buffer.concat(chunks)), { strict: true })) {
    const { name, size: _size, ...rest } = header;
    // Rooted before it is cleaned, so that no `..` leads out of the directory.
    const path = withoutTrailingSlash(posix.join(top, posix.normalize(`/${name}`)));
    put(files, path, { header: rest, data: new Uint8Array(data ?? noData) });
  }
}

function put(files: InMemoryFiles, path: string, file: InMemoryFile): void {
  for (let parent = posix.dirname(path); !files.has(parent); parent = posix.dirname(parent)) {
    files.set(parent, makeDirectory());
  }
  files.set(path, file);
}

function makeDirectory(): InMemoryFile {
  return { header: { type: 'directory', mode: 0o755, uid: 0, gid: 0, mtime: new Date(0) }, data: noData };
}

function withoutTrailingSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
