import type { KubernetesPod } from '@crikit/core';
import { claimOfMarks } from './claim-of-marks.js';
import { PodSourceError } from './errors/pod-source-error.js';
import { podIdentity } from './pod-identity.js';
import type { PodSource, PodSourceContext } from './pod-source.js';

/** For tests: a source of pods that tells what the test says. */
export interface ScriptedPodSource {
  readonly source: PodSource;
  /** How often the store gave a hint. */
  readonly hints: number;
  readonly isOpen: boolean;
  /** The pods that there are, told or not. */
  readonly pods: ReadonlyMap<string, KubernetesPod>;
  put(...pods: readonly KubernetesPod[]): void;
  /** By identity. */
  remove(...uids: readonly string[]): void;
  /** What happens from now on is not told. */
  goAway(): void;
  /** Tells of all that happened meanwhile: as a whole list, or as the difference. The first time always the list. */
  comeBack(how?: 'replace' | 'change', backend?: string): void;
}

/** It begins away: nothing is told before `comeBack`. */
export function createScriptedPodSource(): ScriptedPodSource {
  const pods = new Map<string, KubernetesPod>();
  /** What the store was told. */
  let told = new Map<string, KubernetesPod>();
  let context: PodSourceContext | undefined;
  let isBack = false;
  let backend = 'api-server';
  let sinceMs = 0;
  let hints = 0;
  let tellReady = (): void => {};
  let hasTold = false;

  const tell = (how: 'replace' | 'change'): void => {
    if (context === undefined || !isBack) return;
    const put = [...pods].filter(([uid, pod]) => told.get(uid) !== pod).map(([, pod]) => pod);
    const removedUids = [...told.keys()].filter((uid) => !pods.has(uid));
    told = new Map(pods);
    if (how === 'replace' || !hasTold) context.onUpdate({ kind: 'replace', pods: [...pods.values()] });
    else if (put.length > 0 || removedUids.length > 0) context.onUpdate({ kind: 'change', put, removedUids });
    hasTold = true;
    tellReady();
  };
  const report = (): void => {
    sinceMs += 1;
    if (isBack) context?.onState({ state: 'live', backend, sinceMs });
    else {
      const error = new PodSourceError('UNAVAILABLE', 'The script says that the source is away.');
      context?.onState({ state: 'stale', backend, sinceMs, error });
    }
  };

  return {
    source: {
      name: 'scripted',
      podOfContainer: claimOfMarks,
      open: (given) => {
        const ready = new Promise<void>((resolve) => {
          tellReady = resolve;
        });
        queueMicrotask(() => {
          context = given;
          tell('replace');
          report();
        });
        return {
          ready,
          hint: () => {
            hints += 1;
          },
          [Symbol.asyncDispose]: async () => {
            context = undefined;
          },
        };
      },
    },
    get hints() {
      return hints;
    },
    get isOpen() {
      return context !== undefined;
    },
    pods,
    put: (...added) => {
      for (const pod of added) pods.set(podIdentity(pod) ?? '', pod);
      tell('change');
    },
    remove: (...uids) => {
      for (const uid of uids) pods.delete(uid);
      tell('change');
    },
    goAway: () => {
      if (!isBack) return;
      isBack = false;
      report();
    },
    comeBack: (how = 'change', next = backend) => {
      if (isBack && next === backend) return;
      isBack = true;
      backend = next;
      tell(how);
      report();
    },
  };
}
