/**
 * Keeps of a pod what crikit reads, in a form that is the same whether the API server or the kubelet told of it, so that
 * a change of source is no change of pods.
 */
import type { KubernetesContainer, KubernetesContainerStatus, KubernetesPod } from '@crikit/core';
import { podIdentity } from './pod-identity.js';

type Metadata = NonNullable<KubernetesPod['metadata']>;
type Spec = NonNullable<KubernetesPod['spec']>;
type Status = NonNullable<KubernetesPod['status']>;
type OwnerReference = NonNullable<Metadata['ownerReferences']>[number];

/** The same type with all members writable, while it is being made. */
type Draft<Value> = { -readonly [Key in keyof Value]: Value[Key] };

/**
 * The projection, frozen; its `metadata.uid` is the pod's identity, a static pod's hash. Left out, besides what
 * `KubernetesPod` does not have: `resourceVersion` (the kubelet's does not follow the status), the manifest that kubectl
 * leaves in an annotation, and the annotations in which the kubelet notes where it has a pod from, but for
 * `kubernetes.io/config.hash` and `config.source` of static pods, by which these can be told. Of a static pod also
 * `generation`, `creationTimestamp` and `ownerReferences`, which are the mirror's. Undefined when the object has no uid.
 */
export function projectPod(pod: KubernetesPod): KubernetesPod | undefined {
  const uid = podIdentity(pod);
  if (uid === undefined) return undefined;
  const { spec, status } = pod;
  const projected: Draft<KubernetesPod> = { metadata: projectMetadata(pod.metadata ?? {}, uid) };
  if (isRecord(spec)) projected.spec = projectSpec(spec);
  if (isRecord(status)) projected.status = projectStatus(status);
  return Object.freeze(projected);
}

function projectMetadata(metadata: Metadata, uid: string): Metadata {
  const { name, namespace, labels, annotations, generation, creationTimestamp, deletionTimestamp } = metadata;
  const projected: Draft<Metadata> = { uid };
  if (name !== undefined) projected.name = name;
  if (namespace !== undefined) projected.namespace = namespace;
  if (isRecord(labels)) projected.labels = Object.freeze(labels);
  if (isRecord(annotations)) {
    const kept = projectAnnotations(annotations);
    if (kept !== undefined) projected.annotations = kept;
  }
  if (deletionTimestamp !== undefined) projected.deletionTimestamp = deletionTimestamp;
  if (!isStatic(annotations)) {
    if (generation !== undefined) projected.generation = generation;
    if (creationTimestamp !== undefined) projected.creationTimestamp = creationTimestamp;
    const owners = projectList(metadata.ownerReferences, projectOwner);
    if (owners !== undefined) projected.ownerReferences = owners;
  }
  return Object.freeze(projected);
}

function isStatic(annotations: Metadata['annotations']): boolean {
  const source = annotations?.['kubernetes.io/config.source'];
  return source !== undefined && source !== 'api';
}

function projectAnnotations(annotations: Readonly<Record<string, string>>): Metadata['annotations'] {
  const kept: Record<string, string> = {};
  let isEmpty = true;
  for (const [key, value] of Object.entries(annotations)) {
    if (
      key === 'kubectl.kubernetes.io/last-applied-configuration' ||
      key === 'kubernetes.io/config.mirror' ||
      key === 'kubernetes.io/config.seen' ||
      (key === 'kubernetes.io/config.source' && value === 'api')
    ) {
      continue;
    }
    kept[key] = value;
    isEmpty = false;
  }
  return isEmpty ? undefined : Object.freeze(kept);
}

function projectOwner({ kind, name, uid, controller }: OwnerReference): OwnerReference {
  return Object.freeze(controller === undefined ? { kind, name, uid } : { kind, name, uid, controller });
}

function projectSpec(spec: Spec): Spec {
  const { nodeName, hostname, hostNetwork } = spec;
  const projected: Draft<Spec> = {};
  if (nodeName !== undefined) projected.nodeName = nodeName;
  if (hostname !== undefined) projected.hostname = hostname;
  if (hostNetwork !== undefined) projected.hostNetwork = hostNetwork;
  const containers = projectList(spec.containers, projectContainer);
  if (containers !== undefined) projected.containers = containers;
  const initContainers = projectList(spec.initContainers, projectContainer);
  if (initContainers !== undefined) projected.initContainers = initContainers;
  const ephemeralContainers = projectList(spec.ephemeralContainers, projectContainer);
  if (ephemeralContainers !== undefined) projected.ephemeralContainers = ephemeralContainers;
  return Object.freeze(projected);
}

function projectContainer({ name, image, restartPolicy, env }: KubernetesContainer): KubernetesContainer {
  const projected: Draft<KubernetesContainer> = { name };
  if (image !== undefined) projected.image = image;
  if (restartPolicy !== undefined) projected.restartPolicy = restartPolicy;
  const variables = projectList(env, ({ name: variable, value }) =>
    Object.freeze(value === undefined ? { name: variable } : { name: variable, value }),
  );
  if (variables !== undefined) projected.env = variables;
  return Object.freeze(projected);
}

function projectStatus(status: Status): Status {
  const { phase, podIP, hostIP } = status;
  const projected: Draft<Status> = {};
  if (phase !== undefined) projected.phase = phase;
  if (podIP !== undefined) projected.podIP = podIP;
  const podIPs = projectList(status.podIPs, ({ ip }) => Object.freeze(ip === undefined ? {} : { ip }));
  if (podIPs !== undefined) projected.podIPs = podIPs;
  if (hostIP !== undefined) projected.hostIP = hostIP;
  const containerStatuses = projectList(status.containerStatuses, projectContainerStatus);
  if (containerStatuses !== undefined) projected.containerStatuses = containerStatuses;
  const initContainerStatuses = projectList(status.initContainerStatuses, projectContainerStatus);
  if (initContainerStatuses !== undefined) projected.initContainerStatuses = initContainerStatuses;
  const ephemeralContainerStatuses = projectList(status.ephemeralContainerStatuses, projectContainerStatus);
  if (ephemeralContainerStatuses !== undefined) projected.ephemeralContainerStatuses = ephemeralContainerStatuses;
  return Object.freeze(projected);
}

function projectContainerStatus(status: KubernetesContainerStatus): KubernetesContainerStatus {
  const { name, containerID, ready, restartCount } = status;
  const projected: Draft<KubernetesContainerStatus> = { name };
  // Empty until there is a container, in some versions.
  if (containerID !== undefined && containerID !== '') projected.containerID = containerID;
  if (ready !== undefined) projected.ready = ready;
  if (restartCount !== undefined) projected.restartCount = restartCount;
  return Object.freeze(projected);
}

/** Null and the empty list mean the same as absence in Kubernetes, and not every server writes the same. */
function projectList<Value>(
  values: readonly Value[] | null | undefined,
  project: (value: Value) => Value,
): readonly Value[] | undefined {
  return Array.isArray(values) && values.length > 0 ? Object.freeze(values.map(project)) : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
