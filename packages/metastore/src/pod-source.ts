import type { ContainerSummary } from '@crikit/core';

/** The pod that a container says it belongs to. */
export interface PodClaim {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Whether a pod of this kind has a sandbox, so that its absence is worth a diagnostic. */
  readonly sandboxed: boolean;
}

/** Where a store learns of pods. A plain object; making one does no I/O. */
export interface PodSource {
  /** Shown in `store.status()`. */
  readonly name: string;
  /** The pod of a container by the container's own marks; undefined when no pod owns it. Must depend on the container alone. */
  podOfContainer(container: ContainerSummary): PodClaim | undefined;
}
