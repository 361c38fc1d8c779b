import type { Readable } from 'node:stream';

export type FileType = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device';

export interface FileStatus {
  readonly type: FileType;
  readonly sizeBytes: number;
  /** Permission bits, set-id and sticky bits included. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modifiedMs: number;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly type: FileType;
}

export interface ReadFileOptions {
  /** Rejects with `TOO_LARGE` when the file has more. Default: 16 MiB. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

export interface WriteFileOptions {
  /** Permission bits of a new file. Default: those of the file that is replaced, else 0o644. */
  readonly mode?: number;
  /** Default: those of the file that is replaced, else 0:0. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Makes missing parent directories, mode 0o755. Default: false. */
  readonly makeParents?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * The file system of one container as its processes see it, accessed from the host. Every call walks the path with
 * file descriptors and follows links inside the container's root only, so that nothing the container does, at whatever
 * moment, makes it touch a file outside. Paths are absolute, in the container. What is missing rejects with
 * `PATH_NOT_FOUND`; file systems that may hang (FUSE, NFS, 9p) are refused with `UNSUPPORTED`.
 */
export interface ContainerRoot extends AsyncDisposable {
  /** Default: a link at the end is followed; `followSymlinks: false` gives the status of the link. */
  stat(path: string, options?: { readonly followSymlinks?: boolean }): Promise<FileStatus>;
  /** The target as it is written in the link. */
  readLink(path: string): Promise<string>;
  /** Regular files only. */
  readFile(path: string, options?: ReadFileOptions): Promise<Buffer>;
  /** Regular files only; back-pressure as usual. */
  openReadStream(path: string, options?: { readonly signal?: AbortSignal }): Promise<Readable>;
  readDir(path: string): Promise<readonly DirectoryEntry[]>;
  /** Atomic: readers see the old content or the new one. Regular files only. */
  writeFile(path: string, data: string | Uint8Array | Readable, options?: WriteFileOptions): Promise<void>;
  /** Like `mkdir -p`. */
  makeDirectories(path: string, options?: Pick<WriteFileOptions, 'mode' | 'owner'>): Promise<void>;
  /** A file, a link (not its target), or, with `recursive`, a directory with all that is in it. Missing: no error. */
  remove(path: string, options?: { readonly recursive?: boolean; readonly signal?: AbortSignal }): Promise<void>;
  close(): Promise<void>;
}
