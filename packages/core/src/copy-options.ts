/** How a copy was served. More ways than `engine` come with host access. */
export type CopyMethod = 'engine';

export interface CopyOptions {
  readonly signal?: AbortSignal;
  /** Called while data moves, at most about ten times a second and once at the end. */
  readonly onProgress?: (progress: CopyProgress) => void;
  /** Owner of everything that is created, instead of the source's. Into a container only. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Most bytes that may come out of a container. Default: 16 GiB. */
  readonly maxBytes?: number;
  /** Most files, directories and links that may come out of a container. Default: 1,000,000. */
  readonly maxEntries?: number;
}

export interface CopyProgress {
  /** Bytes of file content so far. */
  readonly bytes: number;
  readonly entries: number;
}

export interface CopyResult {
  readonly method: CopyMethod;
  /** Bytes of file content. */
  readonly bytes: number;
  /** Files, directories and links. */
  readonly entries: number;
}
