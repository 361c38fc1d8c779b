import type { Pod } from '@crikit/core';
import { canonicalIp, podNameKey, type Snapshot } from './snapshot.js';

/**
 * Of several pods of one name (one was deleted and another made) the one that the source of pods has, then the one that
 * lives, else the one started last.
 */
export function findPodByName(snapshot: Snapshot, namespace: string, name: string): Pod | undefined {
  const only = snapshot.podsByName.get(namespace)?.get(name);
  if (only !== undefined) return only;
  const uids = snapshot.uidsByName.get(podNameKey(namespace, name));
  if (uids === undefined) return undefined;
  return uids
    .flatMap((uid) => snapshot.podsByUid.get(uid) ?? [])
    .sort((one, other) => rank(other) - rank(one) || (lastStart(one) < lastStart(other) ? 1 : -1))[0];
}

export function findPodBySandboxId(snapshot: Snapshot, sandboxId: string): Pod | undefined {
  const { uidsBySandboxId, podsByUid, keysByShortId, containersByKey } = snapshot;
  const uid = uidsBySandboxId.get(sandboxId)?.[0];
  if (uid !== undefined) return podsByUid.get(uid);
  for (const key of keysByShortId.get(sandboxId) ?? []) {
    const container = containersByKey.get(key);
    if (container?.role === 'sandbox' && container.podUid !== undefined) return podsByUid.get(container.podUid);
  }
  return undefined;
}

export function findPodsByIp(snapshot: Snapshot, asked: string, hostNetwork: boolean): readonly Pod[] {
  const ip = canonicalIp(asked);
  const uids = snapshot.uidsByIp.get(ip) ?? [];
  const all = hostNetwork ? [...uids, ...(snapshot.uidsByHostNetworkIp.get(ip) ?? [])] : uids;
  return all.flatMap((uid) => snapshot.podsByUid.get(uid) ?? []);
}

function rank(pod: Pod): number {
  const isInSource = pod.object !== undefined && !pod.diagnostics.some(({ code }) => code === 'not-in-source');
  const isStaying = isInSource && pod.object?.metadata?.deletionTimestamp === undefined;
  return (isInSource ? 8 : 0) + (isStaying ? 4 : 0) + (pod.sandbox !== undefined ? 2 : pod.all.length > 0 ? 1 : 0);
}

function lastStart(pod: Pod): string {
  return [...pod.all, ...pod.exited].reduce(
    (latest, { state }) => (state.startedAt !== undefined && state.startedAt > latest ? state.startedAt : latest),
    '',
  );
}
