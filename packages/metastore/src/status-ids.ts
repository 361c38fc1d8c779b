/** Which pod's status names which container, so that a container without marks finds its pod. */
import type { KubernetesContainerStatus, KubernetesPod } from '@crikit/core';

export interface StatusId {
  readonly scheme: string;
  readonly uid: string;
  readonly namespace: string;
  readonly podName: string;
  /** The container's name in the pod's spec. */
  readonly containerName: string;
}

export interface StatusIds {
  /** Replaces what the status of one pod says; undefined: nothing any more. */
  set(uid: string, pod: KubernetesPod | undefined): void;
  /** From now on what this pod says counts only where no other pod says otherwise: the source has forgotten it. */
  demote(uid: string): void;
  /** Bare ids, without schemes. */
  idsOf(uid: string): readonly string[];
  schemesOf(uid: string): ReadonlySet<string>;
  find(id: string, schemes: readonly string[]): StatusId | undefined;
}

const noSchemes: ReadonlySet<string> = new Set();

export function createStatusIds(): StatusIds {
  /** More than one pod only where statuses contradict each other; the last word counts. */
  const byId = new Map<string, readonly StatusId[]>();
  const byPod = new Map<string, { readonly ids: readonly string[]; readonly schemes: ReadonlySet<string> }>();
  return {
    set: (uid, pod) => {
      for (const id of byPod.get(uid)?.ids ?? []) {
        const others = (byId.get(id) ?? []).filter((one) => one.uid !== uid);
        if (others.length === 0) byId.delete(id);
        else byId.set(id, others);
      }
      byPod.delete(uid);
      if (pod === undefined) return;
      const ids: string[] = [];
      const schemes = new Set<string>();
      for (const { name, containerID = '' } of statusesOf(pod)) {
        const [, scheme, id] = /^([^:/]+):\/\/(.+)$/.exec(containerID) ?? [];
        if (scheme === undefined || id === undefined) continue;
        ids.push(id);
        schemes.add(scheme);
        const statusId = {
          scheme,
          uid,
          namespace: pod.metadata?.namespace ?? '',
          podName: pod.metadata?.name ?? '',
          containerName: name,
        };
        byId.set(id, [...(byId.get(id) ?? []), statusId]);
      }
      if (ids.length > 0) byPod.set(uid, { ids, schemes });
    },
    demote: (uid) => {
      for (const id of byPod.get(uid)?.ids ?? []) {
        const all = byId.get(id) ?? [];
        byId.set(id, [...all.filter((one) => one.uid === uid), ...all.filter((one) => one.uid !== uid)]);
      }
    },
    idsOf: (uid) => byPod.get(uid)?.ids ?? [],
    schemesOf: (uid) => byPod.get(uid)?.schemes ?? noSchemes,
    find: (id, schemes) => byId.get(id)?.findLast(({ scheme }) => schemes.includes(scheme)),
  };
}

function statusesOf({ status }: KubernetesPod): readonly KubernetesContainerStatus[] {
  return [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []),
    ...(status?.ephemeralContainerStatuses ?? []),
  ];
}
