/**
 * One consistent state of pods and containers with its indexes. Never changed once made: a change makes the next one,
 * which shares with it whatever stayed the same.
 */
import type { Container, Pod } from '@crikit/core';

export interface Snapshot {
  /** Counts the snapshots of a store; 0 is the empty one. */
  readonly sequence: number;
  /** When it was made, in milliseconds since 1970. */
  readonly timeMs: number;
  readonly pods: readonly Pod[];
  /** Those that no pod owns included. */
  readonly containers: readonly Container[];
  readonly podsByUid: ReadonlyMap<string, Pod>;
  readonly containersByKey: ReadonlyMap<string, Container>;
  /** Uids by `namespace/name`. */
  readonly uidsByName: Index;
  /** Uids by the ids of sandboxes, present and former ones. */
  readonly uidsBySandboxId: Index;
  /** Uids of pods that have not finished, by their own addresses. */
  readonly uidsByIp: Index;
  /** The same for pods on the node's network, by the node's addresses. */
  readonly uidsByHostNetworkIp: Index;
  /** Keys by full id, by the first 12 characters, by the engine's and the spec's name. */
  readonly keysById: Index;
  readonly keysByShortId: Index;
  readonly keysByName: Index;
  /** The short ways of the two commonest look-ups, where just one fits: by full id, by namespace and name. */
  readonly containersById: ReadonlyMap<string, Container>;
  readonly podsByName: ReadonlyMap<string, ReadonlyMap<string, Pod>>;
}

type Index = ReadonlyMap<string, readonly string[]>;

/** What differs from the snapshot before; undefined for what is gone. */
export interface SnapshotChange {
  readonly pods: ReadonlyMap<string, Pod | undefined>;
  readonly containers: ReadonlyMap<string, Container | undefined>;
}

export const emptySnapshot: Snapshot = Object.freeze({
  sequence: 0,
  timeMs: 0,
  pods: Object.freeze([]),
  containers: Object.freeze([]),
  podsByUid: new Map(),
  containersByKey: new Map(),
  uidsByName: new Map(),
  uidsBySandboxId: new Map(),
  uidsByIp: new Map(),
  uidsByHostNetworkIp: new Map(),
  keysById: new Map(),
  keysByShortId: new Map(),
  keysByName: new Map(),
  containersById: new Map(),
  podsByName: new Map(),
});

export function nextSnapshot(previous: Snapshot, { pods, containers }: SnapshotChange, timeMs: number): Snapshot {
  const podsByUid = withChanges(previous.podsByUid, pods);
  const containersByKey = withChanges(previous.containersByKey, containers);
  const reindexPods = (index: Index, wordsOf: (pod: Pod) => readonly string[]): Index =>
    reindex(index, previous.podsByUid, pods, wordsOf);
  const reindexContainers = (index: Index, wordsOf: (container: Container) => readonly string[]): Index =>
    reindex(index, previous.containersByKey, containers, wordsOf);
  const keysById = reindexContainers(previous.keysById, ({ id }) => [id]);
  const uidsByName = reindexPods(previous.uidsByName, (pod) => [podNameKey(pod.namespace, pod.name)]);
  return Object.freeze({
    sequence: previous.sequence + 1,
    timeMs,
    pods: podsByUid === previous.podsByUid ? previous.pods : Object.freeze([...podsByUid.values()]),
    containers:
      containersByKey === previous.containersByKey ? previous.containers : Object.freeze([...containersByKey.values()]),
    podsByUid,
    containersByKey,
    uidsByName,
    uidsBySandboxId: reindexPods(previous.uidsBySandboxId, sandboxIdsOf),
    uidsByIp: reindexPods(previous.uidsByIp, (pod) => (isOnHostNetwork(pod) ? [] : ipsOf(pod))),
    uidsByHostNetworkIp: reindexPods(previous.uidsByHostNetworkIp, (pod) => (isOnHostNetwork(pod) ? ipsOf(pod) : [])),
    keysById,
    keysByShortId: reindexContainers(previous.keysByShortId, ({ shortId }) => [shortId]),
    keysByName: reindexContainers(previous.keysByName, ({ name, k8sName }) =>
      k8sName === undefined || k8sName === name ? [name] : [name, k8sName],
    ),
    containersById: shortenById(previous, containers, containersByKey, keysById),
    podsByName: shortenByName(previous, pods, podsByUid, uidsByName),
  });
}

function shortenById(
  previous: Snapshot,
  changes: SnapshotChange['containers'],
  containersByKey: Snapshot['containersByKey'],
  keysById: Index,
): Snapshot['containersById'] {
  if (changes.size === 0) return previous.containersById;
  const next = new Map(previous.containersById);
  for (const [key, container] of changes) {
    const id = (container ?? previous.containersByKey.get(key))?.id;
    if (id === undefined) continue;
    const only = theOnly(keysById.get(id), containersByKey);
    if (only === undefined) next.delete(id);
    else next.set(id, only);
  }
  return next;
}

function shortenByName(
  previous: Snapshot,
  changes: SnapshotChange['pods'],
  podsByUid: Snapshot['podsByUid'],
  uidsByName: Index,
): Snapshot['podsByName'] {
  if (changes.size === 0) return previous.podsByName;
  const next = new Map<string, ReadonlyMap<string, Pod>>(previous.podsByName);
  const copied = new Map<string, Map<string, Pod>>();
  const shorten = ({ namespace, name }: Pod): void => {
    const names = copied.get(namespace) ?? new Map(next.get(namespace));
    copied.set(namespace, names);
    const only = theOnly(uidsByName.get(podNameKey(namespace, name)), podsByUid);
    if (only === undefined) names.delete(name);
    else names.set(name, only);
    if (names.size === 0) next.delete(namespace);
    else next.set(namespace, names);
  };
  for (const [uid, pod] of changes) {
    const old = previous.podsByUid.get(uid);
    if (old !== undefined) shorten(old);
    if (pod !== undefined) shorten(pod);
  }
  return next;
}

function theOnly<Value>(keys: readonly string[] | undefined, values: ReadonlyMap<string, Value>): Value | undefined {
  return keys?.length === 1 ? values.get(keys[0] as string) : undefined;
}

export function podNameKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function sandboxIdsOf(pod: Pod): readonly string[] {
  const ids = new Set<string>();
  for (const container of [...pod.all, ...pod.exited]) {
    if (container.role === 'sandbox') ids.add(container.id);
    else if (container.sandboxId !== undefined) ids.add(container.sandboxId);
  }
  return [...ids];
}

function isOnHostNetwork({ object }: Pod): boolean {
  return object?.spec?.hostNetwork === true;
}

/** The addresses of a pod that has finished may be another's by now. */
function ipsOf({ phase, ip, object }: Pod): readonly string[] {
  if (phase === 'Succeeded' || phase === 'Failed') return [];
  const ips = new Set((object?.status?.podIPs ?? []).flatMap((each) => each.ip ?? []));
  if (ip !== undefined) ips.add(ip);
  return [...ips].map(canonicalIp);
}

/** One spelling for each address; an IPv4 address may come as sockets show it, `::ffff:10.0.0.7`. */
export function canonicalIp(ip: string): string {
  return ip.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '');
}

function withChanges<Value>(
  previous: ReadonlyMap<string, Value>,
  changes: ReadonlyMap<string, Value | undefined>,
): ReadonlyMap<string, Value> {
  if (changes.size === 0) return previous;
  const next = new Map(previous);
  for (const [key, value] of changes) {
    if (value === undefined) next.delete(key);
    else next.set(key, value);
  }
  return next;
}

function reindex<Value>(
  index: Index,
  previous: ReadonlyMap<string, Value>,
  changes: ReadonlyMap<string, Value | undefined>,
  wordsOf: (value: Value) => readonly string[],
): Index {
  let next: Map<string, readonly string[]> | undefined;
  for (const [key, value] of changes) {
    const old = previous.get(key);
    const before = old === undefined ? [] : wordsOf(old);
    const after = value === undefined ? [] : wordsOf(value);
    for (const word of before) {
      if (after.includes(word)) continue;
      next ??= new Map(index);
      const left = (next.get(word) ?? []).filter((other) => other !== key);
      if (left.length === 0) next.delete(word);
      else next.set(word, left);
    }
    for (const word of after) {
      if (before.includes(word)) continue;
      next ??= new Map(index);
      next.set(word, [...(next.get(word) ?? []), key]);
    }
  }
  return next ?? index;
}
