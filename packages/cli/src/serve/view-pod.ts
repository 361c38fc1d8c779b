import type { Container, KubernetesContainer, KubernetesPod, Pod } from '@crikit/core';
import { REDACTED } from '../redact-environment.js';
import { type ContainerView, viewContainer } from './view-container.js';

type ContainerLists = 'all' | 'biz' | 'sidecar' | 'initContainers' | 'ephemeralContainers' | 'exited';

/** A pod as the HTTP interface shows it: that of the store, with the ids of its containers in their place. */
export interface PodView
  extends Omit<Pod, ContainerLists | 'sandbox' | 'object'>,
    Readonly<Record<ContainerLists, readonly string[]>> {
  readonly sandbox?: string;
  /** When Kubernetes made the object, ISO 8601; absent without an object, and for static pods. */
  readonly createdAt?: string;
}

export interface PodDetailView extends PodView {
  readonly containers: readonly ContainerView[];
  /** The Kubernetes object, without the values of environment variables. */
  readonly object?: KubernetesPod;
}

export function viewPod(pod: Pod): PodView {
  const { object, all, biz, sidecar, sandbox, initContainers, ephemeralContainers, exited, ...rest } = pod;
  const createdAt = object?.metadata?.creationTimestamp;
  return {
    ...rest,
    annotations: withoutManifest(rest.annotations),
    ...(createdAt === undefined ? {} : { createdAt: new Date(createdAt).toISOString() }),
    all: idsOf(all),
    biz: idsOf(biz),
    sidecar: idsOf(sidecar),
    ...(sandbox === undefined ? {} : { sandbox: sandbox.id }),
    initContainers: idsOf(initContainers),
    ephemeralContainers: idsOf(ephemeralContainers),
    exited: idsOf(exited),
  };
}

export function viewPodDetail(pod: Pod, nowMs: number): PodDetailView {
  const { all, initContainers, ephemeralContainers, exited } = pod;
  const containers = new Set([...all, ...initContainers, ...ephemeralContainers, ...exited]);
  return {
    ...viewPod(pod),
    containers: [...containers].map((container) => viewContainer(container, nowMs)),
    ...(pod.object === undefined ? {} : { object: redactObject(pod.object) }),
  };
}

function idsOf(containers: readonly Container[]): readonly string[] {
  return containers.map(({ id }) => id);
}

const manifestAnnotation = 'kubectl.kubernetes.io/last-applied-configuration';

/** kubectl leaves the whole manifest there, values of environment variables and all. */
function withoutManifest(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (!Object.hasOwn(annotations, manifestAnnotation)) return annotations;
  return { ...annotations, [manifestAnnotation]: REDACTED };
}

function redactObject(object: KubernetesPod): KubernetesPod {
  const { metadata, spec } = object;
  return {
    ...object,
    ...(metadata?.annotations === undefined
      ? {}
      : { metadata: { ...metadata, annotations: withoutManifest(metadata.annotations) } }),
    ...(spec === undefined
      ? {}
      : {
          spec: {
            ...spec,
            ...(spec.containers === undefined ? {} : { containers: spec.containers.map(redactSpec) }),
            ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(redactSpec) }),
            ...(spec.ephemeralContainers === undefined
              ? {}
              : { ephemeralContainers: spec.ephemeralContainers.map(redactSpec) }),
          },
        }),
  };
}

function redactSpec(container: KubernetesContainer): KubernetesContainer {
  if (container.env === undefined) return container;
  const env = container.env.map(({ name, value }) => (value === undefined ? { name } : { name, value: REDACTED }));
  return { ...container, env };
}
