import type { ContainerSummary } from '@crikit/core';
import type { PodClaim } from './pod-source.js';

/** The pod that the marks of a container name; undefined without marks. The uid of a static pod's is its config hash. */
export function claimOfMarks({ kubernetes }: ContainerSummary): PodClaim | undefined {
  if (kubernetes === undefined) return undefined;
  return { uid: kubernetes.podUid, namespace: kubernetes.namespace, name: kubernetes.podName, sandboxed: true };
}
