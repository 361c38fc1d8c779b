/**
 * Keeps what all engines tell of their containers and what the source tells of pods, and joins the pods anew that a
 * change touches. Everything that did not change keeps its identity.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Container, KubernetesPod, Pod } from '@crikit/core';
import type { ContainerFacts } from './container-facts.js';
import { type JoinRules, joinPod, k8sNameOf } from './join-pod.js';
import { type Placement, placeContainer } from './place-container.js';
import { podIdentity } from './pod-identity.js';
import type { PodClaim, PodUpdate } from './pod-source.js';
import type { Snapshot, SnapshotChange } from './snapshot.js';
import { createStatusIds } from './status-ids.js';

export interface PodAssemblerOptions {
  readonly rules: JoinRules;
  /** Whether pods in phase Succeeded or Failed are shown. */
  readonly trackFinishedPods: boolean;
  /** Only pods of this node are taken from the source. Absent: all that it tells of. */
  readonly nodeName?: string | undefined;
}

/** What there is to take up; each part may be absent. */
export interface AssemblerInput {
  /** What engines say now; undefined for a container that is gone. */
  readonly facts?: ReadonlyMap<string, ContainerFacts | undefined>;
  /** What the source of pods says, in order. */
  readonly updates?: readonly PodUpdate[];
  /** Whether the source follows its pods, so that it would know of every pod there is. */
  readonly isSourceLive?: boolean;
}

export interface PodAssembler {
  /** Takes it up and tells what that changes. */
  apply(input: AssemblerInput, shown: Snapshot): SnapshotChange;
  /** Why a container is in its pod, or in none; undefined for an unknown one. */
  placementOf(key: string): Placement | undefined;
  /** Whether the pod is known although it is not shown, since it has finished. */
  isHidden(uid: string): boolean;
}

interface KnownPod {
  claim: PodClaim;
  /** The last that the source told, also when it has forgotten the pod since. */
  object?: KubernetesPod;
  /** Whether the source has the pod now. */
  isInSource: boolean;
  readonly members: Set<string>;
  /** Never shrinks while the pod is known, so that the death of a container changes nobody's role. */
  readonly containerNames: Set<string>;
}

export function createPodAssembler(options: PodAssemblerOptions): PodAssembler {
  const told = new Map<string, ContainerFacts>();
  const keysById = new Map<string, Set<string>>();
  /** Where each container is now, without the second views of containers that two engines show. */
  const placed = new Map<string, { readonly facts: ContainerFacts; readonly placement: Placement }>();
  /** Keys by the pod that their marks claim, whether or not they were let in. */
  const claimants = new Map<string, Set<string>>();
  const pods = new Map<string, KnownPod>();
  const statusIds = createStatusIds();
  const hidden = new Set<string>();
  let hasSourceTold = false;
  let isSourceLive = false;

  const takeFacts = (key: string, next: ContainerFacts | undefined): readonly string[] => {
    const previous = told.get(key);
    if (next === undefined) told.delete(key);
    else told.set(key, next);
    const previousUid = previous?.claim?.uid;
    const uid = next?.claim?.uid;
    if (previousUid !== undefined && previousUid !== uid) removeFrom(claimants, previousUid, key);
    if (uid !== undefined) addTo(claimants, uid, key);
    const id = (next ?? previous)?.container.id;
    if (id === undefined) return [key];
    if (next === undefined) removeFrom(keysById, id, key);
    else addTo(keysById, id, key);
    // What another engine shows of it may be the second view of it from now on, or no longer.
    return [key, ...(keysById.get(id) ?? [])];
  };

  const isOfThisNode = ({ spec }: KubernetesPod): boolean =>
    options.nodeName === undefined || spec?.nodeName === options.nodeName;

  /** Adds to `pods` those that this touches, and to `keys` the containers whose place it may change. */
  const takeUpdate = (update: PodUpdate, touched: { pods: Set<string>; keys: Set<string> }): void => {
    hasSourceTold = true;
    const forget = (uid: string): void => {
      const pod = pods.get(uid);
      if (pod === undefined || !pod.isInSource) return;
      pod.isInSource = false;
      statusIds.demote(uid);
      touch(uid);
    };
    const touch = (uid: string): void => {
      touched.pods.add(uid);
      for (const key of claimants.get(uid) ?? []) touched.keys.add(key);
      for (const id of statusIds.idsOf(uid)) for (const key of keysById.get(id) ?? []) touched.keys.add(key);
    };
    const put = (uid: string, object: KubernetesPod): void => {
      const claim = {
        uid,
        namespace: object.metadata?.namespace ?? '',
        name: object.metadata?.name ?? '',
        sandboxed: true,
      };
      const pod = pods.get(uid);
      if (pod?.isInSource === true && pod.object === object) return;
      if (pod === undefined) {
        pods.set(uid, { claim, object, isInSource: true, members: new Set(), containerNames: new Set() });
      } else {
        pod.claim = claim;
        pod.object = object;
        pod.isInSource = true;
      }
      touch(uid);
      statusIds.set(uid, object);
      touch(uid);
    };
    const putAll = (objects: readonly KubernetesPod[]): Set<string> => {
      const uids = new Set<string>();
      for (const object of objects) {
        const uid = podIdentity(object);
        if (uid === undefined || !isOfThisNode(object)) continue;
        uids.add(uid);
        put(uid, object);
      }
      return uids;
    };
    if (update.kind === 'change') {
      for (const uid of update.removedUids) forget(uid);
      putAll(update.put);
      return;
    }
    const listed = putAll(update.pods);
    for (const uid of pods.keys()) if (!listed.has(uid)) forget(uid);
    // Who was let in because nobody knew better is looked at again.
    for (const [key, { marks }] of told) if (marks?.trust === 'labels') touched.keys.add(key);
  };

  /** Moves a container to where it belongs now; adds the pods that this touches to `touched`. */
  const place = (key: string, next: ContainerFacts | undefined, touched: Set<string>): void => {
    const previous = placed.get(key)?.placement;
    const placement = next === undefined ? undefined : decide(next);
    for (const uid of [previous?.claim?.uid, previous?.refusedUid]) if (uid !== undefined) touched.add(uid);
    if (previous?.claim !== undefined && previous.claim.uid !== placement?.claim?.uid) {
      pods.get(previous.claim.uid)?.members.delete(key);
    }
    if (next === undefined || placement === undefined) {
      placed.delete(key);
      return;
    }
    placed.set(key, { facts: next, placement });
    if (placement.refusedUid !== undefined) touched.add(placement.refusedUid);
    const { claim, marks } = placement;
    if (claim === undefined) return;
    touched.add(claim.uid);
    let pod = pods.get(claim.uid);
    if (pod === undefined) {
      pod = { claim, isInSource: false, members: new Set(), containerNames: new Set() };
      pods.set(claim.uid, pod);
    }
    pod.members.add(key);
    const k8sName = k8sNameOf(marks);
    if (k8sName !== undefined) pod.containerNames.add(k8sName);
    if (marks?.kind === 'sandbox' && pod.object === undefined) pod.claim = claim;
  };

  const decide = (facts: ContainerFacts): Placement => {
    const uid = facts.claim?.uid;
    const known = uid === undefined ? undefined : pods.get(uid);
    return placeContainer(facts, {
      status: statusIds.find(facts.container.id, facts.idSchemes),
      claimed:
        known?.object === undefined ? undefined : { ...known.claim, idSchemes: statusIds.schemesOf(known.claim.uid) },
      isSourceComplete: hasSourceTold && isSourceLive,
    });
  };

  const memberOf = (key: string): readonly ContainerFacts[] => {
    const entry = placed.get(key);
    if (entry === undefined) return [];
    const { facts, placement } = entry;
    return [placement.marks === undefined ? facts : { ...facts, marks: placement.marks }];
  };

  const join = (uid: string): { pod: Pod | undefined; containers: ReadonlyMap<string, Container> } => {
    hidden.delete(uid);
    const known = pods.get(uid);
    if (known === undefined) return { pod: undefined, containers: new Map() };
    if (known.members.size === 0 && !known.isInSource) {
      pods.delete(uid);
      statusIds.set(uid, undefined);
      return { pod: undefined, containers: new Map() };
    }
    const { claim, object } = known;
    // Sets keep the order in which things were met; what a pod shows is to depend on what is so, not on its past.
    const members = [...known.members].sort();
    const refused = [...(claimants.get(uid) ?? [])]
      .sort()
      .filter((key) => placed.get(key)?.placement.refusedUid === uid);
    const joined = joinPod(
      {
        uid,
        namespace: claim.namespace,
        name: claim.name,
        sandboxed: claim.sandboxed,
        members: members.flatMap(memberOf),
        refused: refused.flatMap(memberOf),
        knownContainerNames: [...known.containerNames],
        ...(object === undefined ? {} : { object }),
        inSource: !hasSourceTold ? 'unasked' : known.isInSource ? 'yes' : 'no',
      },
      options.rules,
    );
    const isFinished = joined.pod.phase === 'Succeeded' || joined.pod.phase === 'Failed';
    if (!isFinished || options.trackFinishedPods) return joined;
    hidden.add(uid);
    return { ...joined, pod: undefined };
  };

  return {
    placementOf: (key) => placed.get(key)?.placement,
    isHidden: (uid) => hidden.has(uid),
    apply: ({ facts = new Map(), updates = [], isSourceLive: live = isSourceLive }, shown) => {
      const touched = { pods: new Set<string>(), keys: new Set<string>() };
      const couldTell = hasSourceTold;
      const wasComplete = hasSourceTold && isSourceLive;
      isSourceLive = live;
      for (const [key, next] of facts) for (const other of takeFacts(key, next)) touched.keys.add(other);
      for (const update of updates) takeUpdate(update, touched);
      if (wasComplete !== (hasSourceTold && isSourceLive)) {
        for (const [key, { marks }] of told) if (marks?.trust === 'labels') touched.keys.add(key);
      }
      // Whether a pod is missing in the source is part of what a reader sees.
      if (couldTell !== hasSourceTold) for (const uid of pods.keys()) touched.pods.add(uid);

      const containerChanges = new Map<string, Container | undefined>();
      for (const key of touched.keys) {
        const next = told.get(key);
        const visible = next !== undefined && !isSecondView(next, keysById, told) ? next : undefined;
        place(key, visible, touched.pods);
        note(containerChanges, shown.containersByKey, key, visible?.container);
      }
      const podChanges = new Map<string, Pod | undefined>();
      for (const uid of touched.pods) {
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

function addTo(index: Map<string, Set<string>>, word: string, key: string): void {
  const keys = index.get(word);
  if (keys === undefined) index.set(word, new Set([key]));
  else keys.add(key);
}

function removeFrom(index: Map<string, Set<string>>, word: string, key: string): void {
  const keys = index.get(word);
  keys?.delete(key);
  if (keys?.size === 0) index.delete(word);
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
