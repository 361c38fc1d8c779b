import type { Container } from './container.js';
import { MultiBizError } from './errors/multi-biz-error.js';
import { NoBizError } from './errors/no-biz-error.js';
import { NoSuchContainerError } from './errors/no-such-container-error.js';
import type { KubernetesPod } from './kubernetes-pod.js';
import type { PodOwner } from './pod-owner.js';

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';

/** Something about a pod that a reader should know: nothing was dropped or guessed because of it. */
export interface PodDiagnostic {
  /**
   * Stable: `no-running-sandbox`, `several-running-sandboxes`, `no-containers`, `not-in-source`, `untrusted-marks`,
   * `details-failed`, `sidecar-function-failed`.
   */
  readonly code: string;
  readonly message: string;
}

/** One pod as a store shows it: plain data, frozen, safe to stringify and to clone. */
export interface Pod {
  /** The uid that the pod's containers carry. For a static pod this is its config hash, whichever source told of it. */
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /**
   * The Kubernetes object; absent for a pod that was made from container labels. When the source of pods has forgotten
   * the pod while it still has containers: the last that was known (see `diagnostics`: `not-in-source`).
   */
  readonly object?: KubernetesPod;
  /** From the object; for a pod made from labels it follows its containers. */
  readonly phase: PodPhase;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** The live sandbox and its running containers. */
  readonly all: readonly Container[];
  readonly biz: readonly Container[];
  readonly sidecar: readonly Container[];
  /** The running sandbox; absent when there is none, or more than one (see `diagnostics`). */
  readonly sandbox?: Container;
  readonly initContainers: readonly Container[];
  readonly ephemeralContainers: readonly Container[];
  /** Containers that do not run, because they ended or were not started yet, and those of older sandboxes. */
  readonly exited: readonly Container[];
  /** By the store's rules, else the spec's hostname, else the pod's name. */
  readonly hostname: string;
  /** By the store's rules, else the labels `app.kubernetes.io/name` and `app`; absent when nothing names one. */
  readonly app?: string;
  readonly ip?: string;
  readonly hostIP?: string;
  /** The workload; absent without an object, and for a pod that nothing controls. */
  readonly owner?: PodOwner;
  /**
   * ISO 8601; only in what a look-up gives for a pod that is not shown any more: when the store saw that it was deleted,
   * or dropped it because it had finished.
   */
  readonly deletedAt?: string;
  readonly diagnostics: readonly PodDiagnostic[];
}

export function isPodRunning(pod: { readonly phase: PodPhase }): boolean {
  return pod.phase === 'Running';
}

/** The pod's container of that name in its spec, running ones first; undefined when it has none. */
export function findContainer(pod: Pod, k8sName: string): Container | undefined {
  return listContainers(pod).find((container) => container.k8sName === k8sName);
}

/** Like {@link findContainer}; throws `NoSuchContainerError` that names the containers there are. */
export function findContainerOrThrow(pod: Pod, k8sName: string): Container {
  const found = findContainer(pod, k8sName);
  if (found !== undefined) return found;
  const names = [...new Set(listContainers(pod).flatMap((container) => container.k8sName ?? []))];
  throw new NoSuchContainerError(
    `Pod ${pod.namespace}/${pod.name} has no container '${k8sName}'; it has ${names.join(', ') || 'none'}.`,
    { applied: 'no' },
  );
}

/** The pod's one biz container; undefined when there is none or more than one. */
export function mainBiz(pod: Pod): Container | undefined {
  return pod.biz.length === 1 ? pod.biz[0] : undefined;
}

/** The pod's one biz container; throws `NoBizError` or `MultiBizError`. */
export function mainBizOrThrow(pod: Pod): Container {
  const [first, ...others] = pod.biz;
  if (first === undefined) throw new NoBizError(pod);
  if (others.length > 0) throw new MultiBizError(pod, pod.biz);
  return first;
}

function listContainers(pod: Pod): readonly Container[] {
  return [...pod.all, ...pod.initContainers, ...pod.ephemeralContainers, ...pod.exited];
}
