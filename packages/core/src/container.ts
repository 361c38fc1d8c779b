import type { TzInfo } from './tz-info.js';

/** A container's condition, in the same words for every engine. */
export type ContainerStatus = 'created' | 'running' | 'paused' | 'restarting' | 'exited' | 'dead' | 'unknown';

export interface ContainerState {
  readonly status: ContainerStatus;
  /** Pid of the container's first process as the engine's host sees it; 0 when there is none. */
  readonly pid: number;
  /** Absent while it runs, and when the engine does not remember it. */
  readonly exitCode?: number;
  /** ISO 8601; absent before the first start. */
  readonly startedAt?: string;
}

export interface MountPoint {
  /** The path on the host; in a store's containers already below the host root. */
  readonly source: string;
  /** The path in the container. */
  readonly destination: string;
  readonly readWrite: boolean;
}

/**
 * `biz` is the business (main) container of a pod, `sidecar` a helper beside it, `sandbox` the pod's pause container,
 * `init` an init container that runs to its end, `ephemeral` a debug container that somebody attached.
 */
export type ContainerRole = 'biz' | 'sidecar' | 'sandbox' | 'init' | 'ephemeral';

/** Values of `Container.runtime` that the seed API names. */
export const RUNTIME_RUNC = 'runc';
export const RUNTIME_RUND = 'rund';

/** Identity of a container inside its engine. */
export interface ContainerReference {
  /** The engine's name space of ids: containerd's namespace; empty for engines that have just one. */
  readonly scope: string;
  /** The full id. */
  readonly id: string;
}

/** Whether the container's root has the release file of Alpine; `unknown` where the root cannot be reached. */
export type AlpineStatus = 'unknown' | 'yes' | 'no';

/**
 * How far the helper file of a store that provisions one has come. `init`: its turn has not come. `in-progress`: it is
 * being copied. `ok`: it is there, with the right content. `skipped`: it is not to be, or can never be, copied there.
 * `retryable-error`: copying failed and is tried again.
 */
export type HelperStatus = 'init' | 'in-progress' | 'ok' | 'skipped' | 'retryable-error';

/**
 * What a store finds out about a running biz container by looking into it; each is absent until it is known, and stays
 * as last known when the container ends. A third party adds its own by declaration merging, with keys
 * `package-name:value`, and an enricher of that name; values must be plain data.
 */
export interface ContainerEnrichments {
  /** There at once where the engine tells it. */
  readonly hostname?: string;
  /** The time zone in which its processes live. */
  readonly tz?: TzInfo;
  readonly alpineStatus?: AlpineStatus;
  /** Name of the first process of its pid namespace, at most 15 bytes. */
  readonly pid1Name?: string;
  /** Processes that have ended and that nobody has reaped. */
  readonly zombieCount?: number;
  /** Whether that first process reaps what is orphaned in its pid namespace. */
  readonly pid1CanRecycleZombieProcesses?: boolean;
  readonly helperStatus?: HelperStatus;
}

/** One container as a store shows it: plain data, frozen, safe to stringify and to clone. */
export interface Container extends ContainerReference, ContainerEnrichments {
  /** Id of the engine that it was read from (type and endpoint). */
  readonly engineId: string;
  readonly engineType: string;
  /** The first 12 characters of the id. */
  readonly shortId: string;
  readonly name: string;
  /** Name in the pod's spec; absent for a container that no kubelet made. */
  readonly k8sName?: string;
  /** The pod's uid (`store.getPodOf(container)` gives the pod); absent when no pod owns it. */
  readonly podUid?: string;
  readonly role?: ContainerRole;
  /** The rule that gave the role, in words. */
  readonly roleReason?: string;
  readonly sandboxId?: string;
  readonly state: ContainerState;
  readonly labels: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly MountPoint[];
  /** The root file system as one directory on the host, below the host root; absent where the engine has none. */
  readonly mergedDir?: string;
  /** The low-level runtime: `runc`, `kata`, … */
  readonly runtime?: string;
  readonly networkMode?: string;
  /** `host` when the container shares the node's pid namespace. */
  readonly pidMode?: string;
  /** The container's log file on the host, below the host root. */
  readonly logPath?: string;
  readonly image?: string;
  /**
   * ISO 8601; only in what a look-up gives for a container that the engine no longer has: when the store saw that it was
   * gone.
   */
  readonly deletedAt?: string;
  /** What the engine cannot do for this container, with the reason (see `supports`). */
  readonly withheld: Readonly<Record<string, string>>;
}

/** True when the engine calls it running; a container that is just being started may have no pid yet. */
export function isStateRunning(state: ContainerState): boolean {
  return state.status === 'running';
}

/** True when it runs and its first process is known. */
export function isRunning(container: { readonly state: ContainerState }): boolean {
  return isStateRunning(container.state) && container.state.pid > 0;
}

export function isBiz(container: { readonly role?: ContainerRole }): boolean {
  return container.role === 'biz';
}

export function isSidecar(container: { readonly role?: ContainerRole }): boolean {
  return container.role === 'sidecar';
}

export function isSandbox(container: { readonly role?: ContainerRole }): boolean {
  return container.role === 'sandbox';
}
