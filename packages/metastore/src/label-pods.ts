import { claimOfMarks } from './claim-of-marks.js';
import type { PodSource } from './pod-source.js';

export interface LabelPodsOptions {
  /**
   * What to do with containers that carry no marks of a pod. `none`: no pod owns them. `pod-per-container`: each is
   * a pod of its own, with the container's id as uid, its name as name and the empty namespace. Default: `none`.
   */
  readonly unlabelled?: 'none' | 'pod-per-container';
}

/**
 * Makes pods from the containers alone, for machines without Kubernetes or where its API is out of reach: containers
 * with the same pod uid in their marks are a pod. The engine packages decide when labels may count as marks. Such a pod
 * has no `object`, and its phase follows its containers.
 */
export function labelPods(options: LabelPodsOptions = {}): PodSource {
  const podPerContainer = options.unlabelled === 'pod-per-container';
  return {
    name: 'labels',
    podOfContainer: (container) => {
      const claim = claimOfMarks(container);
      if (claim !== undefined || !podPerContainer) return claim;
      return { uid: container.reference.id, namespace: '', name: container.name, sandboxed: false };
    },
  };
}
