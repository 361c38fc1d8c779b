import type { ContainerSummary, CrikitError, KubernetesNode, KubernetesPod, Logger } from '@crikit/core';
import type { Clock } from './clock.js';

/** The pod that a container says it belongs to. */
export interface PodClaim {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Whether a pod of this kind has a sandbox, so that its absence is worth a diagnostic. */
  readonly sandboxed: boolean;
}

/** Where a store learns of pods. A plain object; making one does no I/O, and one may serve several stores. */
export interface PodSource {
  /** Shown in `store.status()`. */
  readonly name: string;
  /** The pod of a container by the container's own marks; undefined when no pod owns it. Must depend on the container alone. */
  podOfContainer(container: ContainerSummary): PodClaim | undefined;
  /**
   * Starts to follow the pods of this node. Returns at once and never throws: what goes wrong is told by `onState`, and
   * by `ready` when no waiting can mend it. Absent: all that the source knows comes from containers.
   */
  open?(context: PodSourceContext): PodSourceSession;
  /**
   * Starts to follow the Node object of this node, for `store.localAgentMeta()`. Returns at once, never throws and tries
   * for ever. Disposing of what it gives ends that. Absent, or when it gives undefined: there is no Node object to be had.
   */
  openNode?(context: NodeContext): AsyncDisposable | undefined;
}

/** What a store gives to a source that follows the node. */
export interface NodeContext extends Pick<PodSourceContext, 'environment' | 'hostRoot' | 'logger' | 'clock'> {
  /** Takes the Node object each time that it changes; undefined when it is gone. Must not throw. */
  onNode(node: KubernetesNode | undefined): void;
}

/** What a store gives to a source that it opens. */
export interface PodSourceContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where the node's root is mounted for this process. */
  readonly hostRoot: string;
  readonly logger: Logger;
  /** The store's time; all waiting goes by it. */
  readonly clock: Clock;
  /**
   * Takes what changed. Called in order, never before `open` has returned, never after the session is disposed of.
   * Must not throw.
   */
  onUpdate(update: PodUpdate): void;
  /** Takes how far the source can be relied on, each time that this changes. Must not throw. */
  onState(state: PodSourceState): void;
}

/**
 * - `replace`: these are all the pods there are.
 * - `change`: first the pods with `removedUids` go, then those in `put` come or take the place of their former selves.
 *   A pod that was deleted and made again under its name is thus a removal and an addition.
 *
 * The uid of a pod is always `podIdentity(pod)`, never plainly `metadata.uid`. An update that changes nothing may be
 * sent, but costs.
 */
export type PodUpdate =
  | { readonly kind: 'replace'; readonly pods: readonly KubernetesPod[] }
  | { readonly kind: 'change'; readonly put: readonly KubernetesPod[]; readonly removedUids: readonly string[] };

export interface PodSourceState {
  /** `live`: changes are followed. `stale`: they are not; what was told last still stands. */
  readonly state: 'live' | 'stale';
  /** Who serves, or is being tried: `api-server`, `kubelet`, `containers`; a third party's own word. */
  readonly backend: string;
  /** In milliseconds since 1970. */
  readonly sinceMs: number;
  /** While `stale`: what is wrong. While `live`: why a better backend does not serve; absent when the best one does. */
  readonly error?: CrikitError;
}

/** A source at work. Disposing of it leaves no timer, socket or file behind, and resolves when that is so. */
export interface PodSourceSession extends AsyncDisposable {
  /**
   * Resolves when the first `replace` was sent, or when it is clear that there will be none: the pods are then those
   * that containers name. Pending while the source is out of reach (`onState` says why). Rejects
   * with a typed error when it can never work here, with `CLOSED` when it is disposed of before. A rejection that
   * nobody awaits does no harm.
   */
  readonly ready: Promise<void>;
  /** An engine saw something happen: a source that polls looks soon, and more often for a while. */
  hint?(): void;
}
