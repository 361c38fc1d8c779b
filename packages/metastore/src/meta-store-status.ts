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
  /** How old what is shown may be, in milliseconds: 0 while `live`; absent before the first sync. */
  readonly ageMs?: number;
  /** From the last event that changed something, by the engine's clock, to its being shown; absent before the first. */
  readonly lagMs?: number;
  /** When its containers were last compared in full, in milliseconds since 1970; absent before the first time. */
  readonly lastSyncMs?: number;
  /** Its epoch: how often it was connected; more than 1 when it had been away. */
  readonly connections: number;
  readonly containers: number;
  /** Containers whose details could not be read; they are tried again with growing pauses. */
  readonly failingContainers: number;
  /** What went wrong last; absent after a full sync. */
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** How far the source of pods can be relied on. */
export interface PodSourceStatus {
  readonly name: string;
  /** Who serves, or is being tried: `api-server`, `kubelet`, `containers`; `none` before there is one. */
  readonly backend: string;
  /**
   * `starting`: nothing is known yet. `live`: pods are followed; always so where they are made from containers. `stale`:
   * the source is away or cannot work here; the pods that it told of last still stand, and new ones are made from the
   * marks of their containers.
   */
  readonly state: 'starting' | 'live' | 'stale';
  /** Its epoch: how often it became live or changed its backend; more than 1 when it had been away. */
  readonly connections: number;
  /** Since when it is in this state, in milliseconds since 1970; absent for pods that are made from containers. */
  readonly sinceMs?: number;
  /** How old what it told may be, in milliseconds: 0 while `live`. */
  readonly ageMs?: number;
  /** When it last told of a change, in milliseconds since 1970; absent before. */
  readonly lastUpdateMs?: number;
  /** While `stale` why; while `live` why a better backend does not serve. */
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

/** Plain data, safe to stringify. */
export interface MetaStoreStatus {
  readonly state: 'new' | 'starting' | 'running' | 'closed';
  /** True when there is at least one engine, and each one and the source of pods are `live`. */
  readonly ready: boolean;
  readonly podSource: PodSourceStatus;
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
