import type { Container, MountPoint, Pod } from '@crikit/core';
import { redactEnvironment } from '../redact-environment.js';

/** A container in the JSON of `ps` and `events`. What is not known is absent. */
export interface ContainerDocument {
  /** Type and endpoint of the engine. */
  readonly engine: string;
  readonly engineType: string;
  /** containerd's namespace; empty for engines without. */
  readonly scope: string;
  readonly id: string;
  readonly shortId: string;
  /** The engine's name of it. */
  readonly name: string;
  /** The name in the pod's spec. */
  readonly containerName?: string;
  readonly pod?: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly role?: string;
  readonly roleReason?: string;
  readonly status: string;
  /** Absent when it does not run. */
  readonly pid?: number;
  readonly exitCode?: number;
  /** ISO 8601. */
  readonly startedAt?: string;
  readonly image?: string;
  readonly runtime?: string;
}

/** A container in the JSON of `inspect`. */
export interface ContainerDetailDocument extends ContainerDocument {
  readonly sandboxId?: string;
  readonly hostname?: string;
  readonly networkMode?: string;
  readonly pidMode?: string;
  /** Paths of the host are below the host root. */
  readonly logPath?: string;
  readonly mergedDir?: string;
  readonly mounts: readonly MountPoint[];
  readonly labels: Readonly<Record<string, string>>;
  /** Each value is `***` without --show-env. */
  readonly env: Readonly<Record<string, string>>;
  /** What the engine cannot do for it, with the reason. */
  readonly withheld: Readonly<Record<string, string>>;
}

export function describeContainer(container: Container, pod: Pod | undefined): ContainerDocument {
  const { engineId, engineType, scope, id, shortId, name, state } = container;
  return {
    engine: engineId,
    ...{ engineType, scope, id, shortId, name },
    ...known({ containerName: container.k8sName }),
    ...(pod === undefined ? {} : { pod: { namespace: pod.namespace, name: pod.name, uid: pod.uid } }),
    ...known({ role: container.role, roleReason: container.roleReason }),
    status: state.status,
    ...(state.pid > 0 ? { pid: state.pid } : {}),
    ...known({ exitCode: state.exitCode, startedAt: state.startedAt }),
    ...known({ image: container.image, runtime: container.runtime }),
  };
}

export function describeContainerDetail(
  container: Container,
  pod: Pod | undefined,
  { showEnv }: { readonly showEnv: boolean },
): ContainerDetailDocument {
  const { sandboxId, hostname, networkMode, pidMode, logPath, mergedDir, mounts, labels, env, withheld } = container;
  return {
    ...describeContainer(container, pod),
    ...known({ sandboxId, hostname, networkMode, pidMode, logPath, mergedDir }),
    mounts,
    labels,
    env: showEnv ? env : redactEnvironment(env),
    withheld,
  };
}

/** What takes a container's place in a name: what TARGET takes. */
export function nameOfContainer(container: Container, pod: Pod | undefined): string {
  return pod !== undefined && container.k8sName !== undefined && pod.namespace !== ''
    ? `${pod.namespace}/${pod.name}/${container.k8sName}`
    : container.name;
}

type Known<Values> = { [Key in keyof Values]?: Exclude<Values[Key], undefined> };

/** Without what is undefined. */
export function known<Values extends object>(values: Values): Known<Values> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Known<Values>;
}
