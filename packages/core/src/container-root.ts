import type { Readable } from 'node:stream';

export type FileType = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device';

/** Absolute, in the container. Bytes for names that are not UTF-8. */
export type ContainerPath = string | Uint8Array;

export interface FileStatus {
  readonly type: FileType;
  readonly sizeBytes: number;
  /** Permission bits, set-id and sticky bits included. */
  readonly mode: number;
  /** As the container numbers its users. */
  readonly uid: number;
  readonly gid: number;
  readonly modifiedMs: number;
}

export interface DirectoryEntry {
  /** For names that are not UTF-8 a replacement that names no file; use `rawName` then. */
  readonly name: string;
  readonly rawName: Buffer;
  readonly type: FileType;
}

export interface StatOptions {
  /** Default: true, a link at the end is followed; false gives the status of the link. */
  readonly followSymlinks?: boolean;
}

export interface ReadFileOptions {
  /** Rejects with `TOO_LARGE` when the file has more. Default: 16 MiB. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal;
}

export interface ReadDirOptions {
  /** Rejects with `TOO_LARGE` when the directory has more. Default: 100,000. */
  readonly maxEntries?: number;
  readonly signal?: AbortSignal;
}

export interface WriteFileOptions {
  /** Permission bits of a new file. Default: those of the file that is replaced without its set-id bits, else 0o644. */
  readonly mode?: number;
  /** As the container numbers its users. Default: those of the file that is replaced, else 0:0. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Makes missing parent directories, mode 0o755, same owner as the file. Default: false. */
  readonly makeParents?: boolean;
  readonly signal?: AbortSignal;
}

export interface MakeDirectoriesOptions {
  /** Default: 0o755. */
  readonly mode?: number;
  /** As the container numbers its users. Default: 0:0. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

export interface RemoveOptions {
  /** Default: false, a directory is refused. */
  readonly recursive?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * The file system of one container as its processes see it, accessed from the host. Every call walks the path with
 * file descriptors and follows links inside the container's root only, so that nothing the container does, at whatever
 * moment, makes it touch a file outside. Symlinks of procfs, and those that lead into /proc, are not followed
 * (`UNSUPPORTED`). File systems that may hang (FUSE, NFS, 9p and everything that is not known to be local) are refused
 * with `UNSUPPORTED` before they are touched.
 *
 * What is missing rejects with `PATH_NOT_FOUND`, what this process may not do, and read-only mounts, with `PERMISSION`,
 * a container that has ended with `NOT_RUNNING`, use after `close` with `CLOSED`, a path that is not absolute or leads
 * through more than 40 links with `INVALID_ARGUMENT`, an aborted call with `ABORTED`, other failures of the system (disk
 * full, too many open files) with `COPY_FAILED`.
 */
export interface ContainerRoot extends AsyncDisposable {
  stat(path: ContainerPath, options?: StatOptions): Promise<FileStatus>;
  /** The target as it is written in the link. `INVALID_ARGUMENT` for what is no link. */
  readLink(path: ContainerPath): Promise<string>;
  /** Regular files only, anything else is `UNSUPPORTED`: FIFOs and devices are never opened. */
  readFile(path: ContainerPath, options?: ReadFileOptions): Promise<Buffer>;
  /** Regular files only; back-pressure as usual. The stream outlives `close`; destroy it when it is not read to its end. */
  openReadStream(path: ContainerPath, options?: { readonly signal?: AbortSignal }): Promise<Readable>;
  /** In no particular order. */
  readDir(path: ContainerPath, options?: ReadDirOptions): Promise<readonly DirectoryEntry[]>;
  /**
   * Atomic: readers see the old content or the new one. A link at the end is followed. Regular files only; a file that
   * is itself a mount (`/etc/hosts` mostly) cannot be replaced and is `UNSUPPORTED`. After a failure nothing is left.
   */
  writeFile(path: ContainerPath, data: string | Uint8Array | Readable, options?: WriteFileOptions): Promise<void>;
  /** Like `mkdir -p`; directories that exist stay as they are. `ALREADY_EXISTS` when the path is something else. */
  makeDirectories(path: ContainerPath, options?: MakeDirectoriesOptions): Promise<void>;
  /**
   * A file, a link (not its target), or, with `recursive`, a directory with all that is in it. Missing: no error. Mount
   * points, also inside of a directory, are `UNSUPPORTED`.
   */
  remove(path: ContainerPath, options?: RemoveOptions): Promise<void>;
  /** Calls under way go on to their end. */
  close(): Promise<void>;
}
