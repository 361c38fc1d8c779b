import type { EngineReport, ErrorCode } from '@crikit/core';

/** How far one engine's part of the store can be relied on. */
export interface EngineStatus {
  /** Type and endpoint. */
  readonly id: string;
  readonly type: string;
  /** The engine's own version; absent when it does not tell. */
  readonly version?: string;
  /**
   * `syncing`: the first list is under way. `live`: changes are followed. `stale`: the engine cannot be heard, or is
   * back and being compared; what the store shows of it is the last that is known.
   */
  readonly state: 'syncing' | 'live' | 'stale';
  /** While `stale`: since when, in milliseconds since 1970. */
  readonly staleSinceMs?: number;
  /** When its containers were last compared in full, in milliseconds since 1970; absent before the first time. */
  readonly lastSyncMs?: number;
  /** How often it was connected: more than 1 when it had been away. */
  readonly connections: number;
  readonly containers: number;
  /** Containers whose details could not be read; they are tried again with growing pauses. */
  readonly failingContainers: number;
  /** What went wrong last; absent after a full sync. */
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** Plain data, safe to stringify. */
export interface MetaStoreStatus {
  readonly state: 'new' | 'starting' | 'running' | 'closed';
  /** True when there is at least one engine and each one is `live`. */
  readonly ready: boolean;
  /** Name of the pod source. */
  readonly podSource: string;
  readonly engines: readonly EngineStatus[];
  /** What became of each engine that was looked for, those included that are not here. */
  readonly reports: readonly EngineReport[];
  /** Counts the changes that readers could see. */
  readonly sequence: number;
  /** When the snapshot that is shown was made, in milliseconds since 1970; absent before the first. */
  readonly snapshotMs?: number;
  readonly pods: number;
  readonly containers: number;
}
