import type { KubernetesPod } from './kubernetes-pod.js';

/** The workload that a pod belongs to. */
export interface PodOwner {
  /** `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob`, `Job`, … or a custom resource's kind. */
  readonly kind: string;
  readonly name: string;
  /** What controls the pod directly: for a Deployment its ReplicaSet, for a CronJob its Job, else the same as above. */
  readonly controller: { readonly kind: string; readonly name: string; readonly uid: string };
}

/**
 * The owner by the pod's own object, without asking anybody. A ReplicaSet's Deployment and a Job's CronJob are known by
 * the names that their controllers give; what is not named so is taken for what it says. Undefined for a pod without a
 * controller, a static pod among them (its mirror belongs to the node).
 */
export function resolvePodOwner(pod: Pick<KubernetesPod, 'metadata'>): PodOwner | undefined {
  const reference = pod.metadata?.ownerReferences?.find((owner) => owner.controller === true);
  if (reference === undefined || reference.kind === 'Node') return undefined;
  const { kind, name, uid } = reference;
  const controller = Object.freeze({ kind, name, uid });
  if (kind === 'ReplicaSet') {
    const deployment = deploymentOf(name, pod.metadata?.labels?.['pod-template-hash']);
    if (deployment !== undefined) return Object.freeze({ kind: 'Deployment', name: deployment, controller });
  }
  if (kind === 'Job') {
    const cronJob = cronJobOf(name);
    if (cronJob !== undefined) return Object.freeze({ kind: 'CronJob', name: cronJob, controller });
  }
  return Object.freeze({ kind, name, controller });
}

/** A Deployment names its ReplicaSets `<deployment>-<hash>` and labels their pods with the hash; nobody else does. */
function deploymentOf(replicaSet: string, templateHash: string | undefined): string | undefined {
  if (!templateHash || !replicaSet.endsWith(`-${templateHash}`)) return undefined;
  return replicaSet.slice(0, -templateHash.length - 1) || undefined;
}

/**
 * A CronJob names its Jobs `<cronjob>-<scheduled time>`: in minutes since 1970, before Kubernetes 1.21 in seconds. Only
 * times from 2015 to 2035 count, so that a date such as 20260131 is none.
 */
function cronJobOf(job: string): string | undefined {
  const [, cronJob, digits] = /^(.+)-(\d{8}|\d{10})$/.exec(job) ?? [];
  if (cronJob === undefined || digits === undefined) return undefined;
  const minutes = digits.length === 10 ? Number(digits) / 60 : Number(digits);
  return minutes >= 23_667_840 && minutes < 34_187_040 ? cronJob : undefined;
}
