import type { KubernetesMarks } from '@crikit/core';

// The kubelet's names, and cri-dockerd's after it: k8s_<container>_<pod>_<namespace>_<uid>_<attempt>, with a random
// end where a name was taken. None of the parts may contain an underscore.
const kubeletName = /^k8s_([^_]+)_([^_]+)_([^_]+)_([^_]+)_\d+(?:_[^_]+)?$/;
const sandboxName = 'POD';

const label = {
  containerName: 'io.kubernetes.container.name',
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podUid: 'io.kubernetes.pod.uid',
  sandboxId: 'io.kubernetes.sandbox.id',
} as const;

export interface MarksReading {
  /** Whether labels count even when the name is not a kubelet's. */
  readonly trustLabels: boolean;
  /** The label that only a sandbox has, and its value. */
  readonly sandboxLabel: readonly [name: string, value: string];
  /** What the engine itself has noted, which comes before name and labels. Default: nothing is. */
  readonly kind?: KubernetesMarks['kind'] | undefined;
}

/**
 * The pod of a container. An image brings labels of its own, so labels alone prove nothing; names are given by who
 * creates the container. Labels count when the name is a kubelet's with the same uid, or when the user trusts them.
 */
export function readKubernetesMarks(
  name: string,
  labels: Readonly<Record<string, string>>,
  reading: MarksReading,
): KubernetesMarks | undefined {
  const podUid = labels[label.podUid];
  if (podUid === undefined || podUid === '') return undefined;
  const [, containerName, podName, namespace, uid] = kubeletName.exec(name) ?? [];
  if (containerName !== undefined && podName !== undefined && namespace !== undefined && uid === podUid) {
    return marks({ podUid, namespace, podName, containerName, trust: 'engine' }, labels, reading);
  }
  const labelled = { namespace: labels[label.podNamespace], podName: labels[label.podName] };
  if (!reading.trustLabels || labelled.namespace === undefined || labelled.podName === undefined) return undefined;
  return marks(
    {
      podUid,
      namespace: labelled.namespace,
      podName: labelled.podName,
      containerName: labels[label.containerName],
      trust: 'labels',
    },
    labels,
    reading,
  );
}

function marks(
  { containerName, ...pod }: Omit<KubernetesMarks, 'kind' | 'containerName'> & { containerName: string | undefined },
  labels: Readonly<Record<string, string>>,
  { sandboxLabel: [sandboxLabel, sandboxValue], kind }: MarksReading,
): KubernetesMarks {
  const looksLikeSandbox =
    containerName === sandboxName ||
    labels[label.containerName] === sandboxName ||
    labels[sandboxLabel] === sandboxValue;
  if (kind === 'sandbox' || (kind === undefined && looksLikeSandbox)) return { kind: 'sandbox', ...pod };
  const sandboxId = labels[label.sandboxId];
  return {
    kind: 'container',
    ...pod,
    ...(containerName === undefined ? {} : { containerName }),
    ...(sandboxId === undefined || sandboxId === '' ? {} : { sandboxId }),
  };
}
