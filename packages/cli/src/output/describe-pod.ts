import type { Pod, PodDiagnostic } from '@crikit/core';
import {
  type ContainerDetailDocument,
  type ContainerDocument,
  describeContainer,
  describeContainerDetail,
  known,
} from './describe-container.js';

/** A pod in the JSON of `pods`. What is not known is absent. */
export interface PodDocument {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly phase: string;
  readonly app?: string;
  readonly hostname: string;
  readonly ip?: string;
  readonly hostIP?: string;
  readonly owner?: { readonly kind: string; readonly name: string };
  /** When its running sandbox was started, else its first container. ISO 8601. */
  readonly startedAt?: string;
  readonly diagnostics: readonly PodDiagnostic[];
  /** All of them, sandboxes and those that have ended included. */
  readonly containers: readonly ContainerDocument[];
}

/** A pod in the JSON of `inspect`. */
export interface PodDetailDocument extends Omit<PodDocument, 'containers'> {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly containers: readonly ContainerDetailDocument[];
}

export function describePod(pod: Pod): PodDocument {
  return {
    ...describeBasics(pod),
    containers: containersOf(pod).map((container) => describeContainer(container, pod)),
  };
}

export function describePodDetail(pod: Pod, options: { readonly showEnv: boolean }): PodDetailDocument {
  return {
    ...describeBasics(pod),
    labels: pod.labels,
    annotations: pod.annotations,
    containers: containersOf(pod).map((container) => describeContainerDetail(container, pod, options)),
  };
}

function describeBasics(pod: Pod): Omit<PodDocument, 'containers'> {
  const { namespace, name, uid, phase, hostname, diagnostics, owner } = pod;
  return {
    ...{ namespace, name, uid, phase, hostname, diagnostics },
    ...known({ app: pod.app, ip: pod.ip, hostIP: pod.hostIP, startedAt: podStart(pod) }),
    ...(owner === undefined ? {} : { owner: { kind: owner.kind, name: owner.name } }),
  };
}

export function podStart(pod: Pod): string | undefined {
  return (
    pod.sandbox?.state.startedAt ??
    [...pod.all, ...pod.exited]
      .flatMap(({ state }) => state.startedAt ?? [])
      .sort()
      .at(0)
  );
}

/** Each container once, those that run first. */
export function containersOf(pod: Pod): readonly Pod['all'][number][] {
  return [...new Set([...pod.all, ...pod.initContainers, ...pod.ephemeralContainers, ...pod.exited])];
}
