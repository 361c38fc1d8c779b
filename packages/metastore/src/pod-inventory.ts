import { isDeepStrictEqual } from 'node:util';
import type { KubernetesPod } from '@crikit/core';
import { podIdentity } from './pod-identity.js';
import type { PodUpdate } from './pod-source.js';
import { projectPod } from './project-pod.js';

export interface PodInventoryOptions {
  /** Whether pods are kept whole, with all that the server told; else projected. */
  readonly keepWholeObjects: boolean;
  readonly onUpdate: (update: PodUpdate) => void;
}

/** A complete list that arrives in parts. Nothing of it shows before `commit`; one that is never committed is harmless. */
export interface PodListing {
  add(pods: readonly KubernetesPod[]): void;
  commit(): void;
}

export type PodChange = { readonly kind: 'put' | 'remove'; readonly pod: KubernetesPod };

/**
 * All pods of one source by identity, whichever backend tells of them; passes on the net difference alone. A pod whose
 * content did not change keeps its object.
 */
export interface PodInventory {
  startListing(): PodListing;
  change(changes: readonly PodChange[]): void;
}

export function createPodInventory({ keepWholeObjects, onUpdate }: PodInventoryOptions): PodInventory {
  const known = new Map<string, KubernetesPod>();
  let isFilled = false;

  const keep = (pod: KubernetesPod): { uid: string; pod: KubernetesPod } | undefined => {
    const uid = podIdentity(pod);
    if (uid === undefined) return undefined;
    const kept = keepWholeObjects ? pod : projectPod(pod);
    if (kept === undefined) return undefined;
    const previous = known.get(uid);
    return { uid, pod: previous !== undefined && isDeepStrictEqual(previous, kept) ? previous : kept };
  };

  const send = (put: readonly KubernetesPod[], removedUids: readonly string[]): void => {
    if (put.length > 0 || removedUids.length > 0) onUpdate({ kind: 'change', put, removedUids });
  };

  return {
    startListing: () => {
      const listed = new Map<string, KubernetesPod>();
      return {
        add: (pods) => {
          for (const raw of pods) {
            const kept = keep(raw);
            if (kept !== undefined) listed.set(kept.uid, kept.pod);
          }
        },
        commit: () => {
          const removedUids = [...known.keys()].filter((uid) => !listed.has(uid));
          const put: KubernetesPod[] = [];
          for (const [uid, pod] of listed) {
            if (known.get(uid) === pod) continue;
            known.set(uid, pod);
            put.push(pod);
          }
          for (const uid of removedUids) known.delete(uid);
          if (isFilled) send(put, removedUids);
          else onUpdate({ kind: 'replace', pods: [...known.values()] });
          isFilled = true;
        },
      };
    },
    change: (changes) => {
      const put = new Map<string, KubernetesPod>();
      const removed = new Set<string>();
      for (const { kind, pod: raw } of changes) {
        if (kind === 'remove') {
          const uid = podIdentity(raw);
          if (uid === undefined || !known.delete(uid)) continue;
          put.delete(uid);
          removed.add(uid);
          continue;
        }
        const kept = keep(raw);
        if (kept === undefined || known.get(kept.uid) === kept.pod) continue;
        known.set(kept.uid, kept.pod);
        put.set(kept.uid, kept.pod);
      }
      // One that came and went within the batch was never told of; removing it is harmless to who reads.
      send(
        [...put.values()],
        [...removed].filter((uid) => !put.has(uid)),
      );
    },
  };
}
