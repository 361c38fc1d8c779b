/** Decides which pod a container is in: the engine's own marks, the pod's status, or labels, in this order of trust. */
import type { KubernetesMarks } from '@crikit/core';
import type { ContainerFacts } from './container-facts.js';
import type { PodClaim } from './pod-source.js';
import type { StatusId } from './status-ids.js';

export interface Placement {
  /** Absent: no pod owns it. */
  readonly claim?: PodClaim;
  /** What counts as its marks. */
  readonly marks?: KubernetesMarks;
  /** The pod that it claims and was not let into. */
  readonly refusedUid?: string;
  /** In words. */
  readonly reason: string;
}

export interface PlacementGrounds {
  /** What the status of a pod says about this container's id. */
  readonly status: StatusId | undefined;
  /** The pod that the marks claim, as the source tells or told of it; undefined when it never did. */
  readonly claimed: (PodClaim & { readonly idSchemes: ReadonlySet<string> }) | undefined;
  /** Whether the source would know of every pod there is. */
  readonly isSourceComplete: boolean;
}

export function placeContainer(facts: ContainerFacts, grounds: PlacementGrounds): Placement {
  const { marks, claim } = facts;
  const { status, claimed } = grounds;
  if (marks?.trust === 'engine' && claim !== undefined) {
    return { claim, marks, reason: "the engine's own marks say so" };
  }
  if (status !== undefined && status.uid !== marks?.podUid) return placeByStatus(status);
  if (claim === undefined) {
    return { reason: 'it carries no marks of a pod, and the status of no pod names it' };
  }
  if (marks === undefined) return { claim, reason: 'the pod source takes each container without marks for a pod' };
  if (status !== undefined) {
    return { claim, marks: { ...marks, trust: 'engine' }, reason: "its labels and the pod's status say so" };
  }
  const refuse = (why: string): Placement => ({
    refusedUid: claim.uid,
    reason: `its labels, which an image can forge, claim pod ${claim.namespace}/${claim.name} (${claim.uid}), but ${why}`,
  });
  if (claimed === undefined) {
    return grounds.isSourceComplete
      ? refuse('the pod source knows no such pod')
      : { claim, marks, reason: 'its labels say so, and no pod source tells otherwise' };
  }
  if (claimed.namespace !== claim.namespace || claimed.name !== claim.name) {
    return refuse(`the pod source calls the pod of that uid ${claimed.namespace}/${claimed.name}`);
  }
  if (claimed.idSchemes.size > 0 && !facts.idSchemes.some((scheme) => claimed.idSchemes.has(scheme))) {
    return refuse(`that pod's containers are ${[...claimed.idSchemes].join(', ')} containers`);
  }
  return { claim, marks, reason: 'its labels say so, and fit the pod that the source tells of' };
}

function placeByStatus({ uid, namespace, podName, containerName }: StatusId): Placement {
  return {
    claim: { uid, namespace, name: podName, sandboxed: true },
    marks: { kind: 'container', podUid: uid, namespace, podName, containerName, trust: 'engine' },
    reason: "the pod's status names its id",
  };
}
