/**
 * Keeps what all engines tell of their containers, and joins the pods anew that a change touches. Everything that did
 * not change keeps its identity.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Container, Pod } from '@crikit/core';
import type { ContainerFacts } from './container-facts.js';
import { type JoinRules, joinPod, k8sNameOf } from './join-pod.js';
import type { PodClaim } from './pod-source.js';
import type { Snapshot, SnapshotChange } from './snapshot.js';

export interface PodAssemblerOptions {
  readonly rules: JoinRules;
  /** Whether pods in phase Succeeded or Failed are shown. */
  readonly trackFinishedPods: boolean;
}

export interface PodAssembler {
  /** Takes up what engines say now (undefined: the container is gone) and tells what that changes. */
  apply(changes: ReadonlyMap<string, ContainerFacts | undefined>, shown: Snapshot): SnapshotChange;
}

interface KnownPod {
  claim: PodClaim;
  readonly members: Set<string>;
  /** Never shrinks while the pod has a container, so that the death of one changes nobody's role. */
  readonly containerNames: Set<string>;
}

export function createPodAssembler(options: PodAssemblerOptions): PodAssembler {
  const told = new Map<string, ContainerFacts>();
  const keysById = new Map<string, Set<string>>();
  /** Without the second views of containers that two engines show. */
  const facts = new Map<string, ContainerFacts>();
  const pods = new Map<string, KnownPod>();

  const takeUp = (key: string, next: ContainerFacts | undefined): string | undefined => {
    const previous = told.get(key);
    if (next === undefined) told.delete(key);
    else told.set(key, next);
    const id = (next ?? previous)?.container.id;
    if (id === undefined) return undefined;
    const keys = keysById.get(id) ?? new Set();
    if (next === undefined) keys.delete(key);
    else keys.add(key);
    if (keys.size === 0) keysById.delete(id);
    else keysById.set(id, keys);
    return id;
  };

  /** Moves a container to where it belongs now; adds the pods that this touches to `touched`. */
  const place = (key: string, next: ContainerFacts | undefined, touched: Set<string>): void => {
    const previous = facts.get(key);
    if (previous?.claim !== undefined && previous.claim.uid !== next?.claim?.uid) {
      pods.get(previous.claim.uid)?.members.delete(key);
    }
    if (previous?.claim !== undefined) touched.add(previous.claim.uid);
    if (next === undefined) {
      facts.delete(key);
      return;
    }
    facts.set(key, next);
    const { claim } = next;
    if (claim === undefined) return;
    touched.add(claim.uid);
    let pod = pods.get(claim.uid);
    if (pod === undefined) {
      pod = { claim, members: new Set(), containerNames: new Set() };
      pods.set(claim.uid, pod);
    }
    pod.members.add(key);
    const k8sName = k8sNameOf(next.marks);
    if (k8sName !== undefined) pod.containerNames.add(k8sName);
    if (next.marks?.kind === 'sandbox') pod.claim = claim;
  };

  const join = (uid: string): { pod: Pod | undefined; containers: ReadonlyMap<string, Container> } => {
    const known = pods.get(uid);
    if (known === undefined) return { pod: undefined, containers: new Map() };
    if (known.members.size === 0) {
      pods.delete(uid);
      return { pod: undefined, containers: new Map() };
    }
    const { claim } = known;
    const joined = joinPod(
      {
        uid,
        namespace: claim.namespace,
        name: claim.name,
        sandboxed: claim.sandboxed,
        members: [...known.members].flatMap((key) => facts.get(key) ?? []),
        knownContainerNames: [...known.containerNames],
      },
      options.rules,
    );
    const isFinished = joined.pod.phase === 'Succeeded' || joined.pod.phase === 'Failed';
    return { ...joined, pod: isFinished && !options.trackFinishedPods ? undefined : joined.pod };
  };

  return {
    apply: (changes, shown) => {
      const ids = new Set<string>();
      for (const [key, next] of changes) {
        const id = takeUp(key, next);
        if (id !== undefined) ids.add(id);
      }
      const touchedKeys = new Set(changes.keys());
      for (const id of ids) for (const key of keysById.get(id) ?? []) touchedKeys.add(key);

      const touchedPods = new Set<string>();
      const containerChanges = new Map<string, Container | undefined>();
      for (const key of touchedKeys) {
        const next = told.get(key);
        const visible = next !== undefined && !isSecondView(next, keysById, told) ? next : undefined;
        place(key, visible, touchedPods);
        note(containerChanges, shown.containersByKey, key, visible?.container);
      }
      const podChanges = new Map<string, Pod | undefined>();
      for (const uid of touchedPods) {
        const { pod, containers } = join(uid);
        const kept = new Map<Container, Container>();
        for (const [key, container] of containers) {
          kept.set(container, note(containerChanges, shown.containersByKey, key, container) ?? container);
        }
        note(podChanges, shown.podsByUid, uid, pod === undefined ? undefined : withContainers(pod, kept));
      }
      return { pods: podChanges, containers: containerChanges };
    },
  };
}

/**
 * Enters the new value where it differs from the one that is shown; gives the one to go on with, which is the shown one
 * where they are equal.
 */
function note<Value>(
  changes: Map<string, Value | undefined>,
  shown: ReadonlyMap<string, Value>,
  key: string,
  next: Value | undefined,
): Value | undefined {
  const previous = shown.get(key);
  if (isDeepStrictEqual(previous, next)) {
    changes.delete(key);
    return previous;
  }
  changes.set(key, next);
  return next;
}

/** The same pod with the containers that a reader has already. */
function withContainers(pod: Pod, kept: ReadonlyMap<Container, Container>): Pod {
  const keep = (container: Container): Container => kept.get(container) ?? container;
  const keepAll = (containers: readonly Container[]): readonly Container[] => Object.freeze(containers.map(keep));
  return Object.freeze({
    ...pod,
    all: keepAll(pod.all),
    biz: keepAll(pod.biz),
    sidecar: keepAll(pod.sidecar),
    initContainers: keepAll(pod.initContainers),
    ephemeralContainers: keepAll(pod.ephemeralContainers),
    exited: keepAll(pod.exited),
    ...(pod.sandbox === undefined ? {} : { sandbox: keep(pod.sandbox) }),
  });
}

/** dockerd keeps its containers in containerd's namespace `moby`: where both are read, Docker's view is the one. */
function isSecondView(
  { container }: ContainerFacts,
  keysById: ReadonlyMap<string, ReadonlySet<string>>,
  told: ReadonlyMap<string, ContainerFacts>,
): boolean {
  if (container.scope !== 'moby') return false;
  return [...(keysById.get(container.id) ?? [])].some((key) => told.get(key)?.container.engineType === 'docker');
}
