import type { CrikitError } from './errors/crikit-error.js';

/**
 * How a copy was served, in the order in which the ways are tried:
 * - `host`: through the container's root on this host, by descriptors;
 * - `engine`: the engine's own archive streams;
 * - `mount`: a writable volume of the container, whose directory on this host serves as a transfer station;
 * - `tar`: the container's `tar`, by exec;
 * - `chunk`: base64 in the arguments of the container's `sh`.
 */
export type CopyMethod = 'host' | 'engine' | 'mount' | 'tar' | 'chunk';

export const COPY_METHODS: readonly CopyMethod[] = ['host', 'engine', 'mount', 'tar', 'chunk'];

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
  /** Only these ways are tried, in the usual order. Default: all. */
  readonly methods?: readonly CopyMethod[];
}

export interface CopyProgress {
  /** Bytes of file content so far. When one way fails in the middle, the next begins at 0. */
  readonly bytes: number;
  readonly entries: number;
}

/** Why a way to copy did not serve: it does not apply to this container, or it failed. */
export interface CopyAttempt {
  readonly method: CopyMethod;
  readonly reason: string;
  readonly error: CrikitError;
}

export interface CopyResult {
  readonly method: CopyMethod;
  /** Bytes of file content. */
  readonly bytes: number;
  /** Files, directories and links. */
  readonly entries: number;
  /** The ways that come before `method` and did not serve, with the reason. */
  readonly skipped: readonly Omit<CopyAttempt, 'error'>[];
}

/** What one way to copy gives. */
export type CopyOutcome = Omit<CopyResult, 'skipped'>;
