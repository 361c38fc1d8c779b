import {
  type Container,
  type ContainerDetail,
  type ContainerEngine,
  type ContainerReference,
  type ContainerState,
  type ContainerSummary,
  type CrikitError,
  hostPath,
  type KubernetesMarks,
  shortContainerId,
} from '@crikit/core';
import type { PodClaim } from './pod-source.js';

/** A container as its engine tells of it, before it is joined with its pod. */
export interface ContainerFacts {
  /** Identity over all engines, see {@link containerKey}. */
  readonly key: string;
  /** Frozen, without what only the pod can tell. */
  readonly container: Container;
  readonly marks?: KubernetesMarks;
  readonly claim?: PodClaim;
  /** Schemes in front of ids by which Kubernetes means this container's engine. */
  readonly idSchemes: readonly string[];
  /** Why the engine's last answers are missing; the container is shown as it was known before. */
  readonly failure?: CrikitError;
}

type Writable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

/** Identity of a container over all engines of a store. */
export function containerKey(engineId: string, { scope, id }: ContainerReference): string {
  return `${engineId}|${scope}|${id}`;
}

/** Turns what an engine says into the store's shape. Paths come out below the host root, here and nowhere else. */
export function convertDetailToContainer(
  engine: Pick<ContainerEngine, 'id' | 'type'>,
  told: ContainerSummary | ContainerDetail,
  hostRoot: string,
): Container {
  const detail: Partial<ContainerDetail> = 'env' in told ? told : {};
  const { reference, name, labels, status, image } = told;
  const { hostname, runtime, networkMode, pidMode, logPath, mergedDir, startedAt, exitCode } = detail;
  const state: Writable<ContainerState> = { status, pid: detail.pid ?? 0 };
  if (exitCode !== undefined) state.exitCode = exitCode;
  if (startedAt !== undefined) state.startedAt = startedAt;
  // Filled in one by one: a node's first look makes hundreds of these.
  const container: Writable<Container> = {
    engineId: engine.id,
    engineType: engine.type,
    scope: reference.scope,
    id: reference.id,
    shortId: shortContainerId(reference.id),
    name,
    state: Object.freeze(state),
    labels: Object.freeze({ ...labels }),
    env: Object.freeze({ ...detail.env }),
    mounts: Object.freeze(
      (detail.mounts ?? []).map((mount) => Object.freeze({ ...mount, source: belowHostRoot(hostRoot, mount.source) })),
    ),
    withheld: Object.freeze({ ...detail.withheld }),
  };
  if (image !== undefined) container.image = image;
  if (hostname !== undefined) container.hostname = hostname;
  if (runtime !== undefined) container.runtime = runtime;
  if (networkMode !== undefined) container.networkMode = networkMode;
  if (pidMode !== undefined) container.pidMode = pidMode;
  if (logPath !== undefined) container.logPath = belowHostRoot(hostRoot, logPath);
  if (mergedDir !== undefined) container.mergedDir = belowHostRoot(hostRoot, mergedDir);
  return Object.freeze(container);
}

// Engines also name sources that are no host paths: a volume's name, `tmpfs`, nothing at all.
function belowHostRoot(hostRoot: string, path: string): string {
  return path.startsWith('/') && !path.includes('\0') ? hostPath(hostRoot, path) : path;
}
