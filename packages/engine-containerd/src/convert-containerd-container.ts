import { basename, posix } from 'node:path';
import type { ContainerDetail, ContainerStatus, ContainerSummary, KubernetesMarks, MountPoint } from '@crikit/core';
import type { RememberedContainer } from './container-memory.js';
import type { ContainerRecord, OciMount } from './container-records.js';
import { isAlive, type TaskLook, taskStatus } from './list-tasks.js';

/** Everything that is known of one container at one moment. */
export interface KnownContainer {
  readonly record: ContainerRecord;
  readonly task: TaskLook;
  readonly memory: RememberedContainer;
}

export function convertContainerdSummary({ record, task, memory }: KnownContainer): ContainerSummary {
  const kubernetes = readKubernetesMarks(record);
  return {
    reference: { scope: record.namespace, id: record.id },
    // Plain containers have no name but their id.
    name: record.cri?.name ?? record.id,
    labels: record.labels,
    status: convertContainerdStatus(task, memory),
    ...(record.image === '' ? {} : { image: record.image }),
    ...(kubernetes === undefined ? {} : { kubernetes }),
    revision: revisionOf(record, task, memory),
  };
}

/**
 * `sandbox` is the record of the container's pod sandbox, where it has one that is known. `stateDirectory` is the
 * daemon's, where it is known.
 */
export function convertContainerdDetail(
  known: KnownContainer,
  sandbox: ContainerRecord | undefined,
  stateDirectory: string | undefined,
): ContainerDetail {
  const { record, task, memory } = known;
  const { spec, cri } = record;
  const alive = typeof task === 'object' && isAlive(task);
  const runtime = shortRuntimeName(record);
  const exitCode = exitCodeOf(task, memory);
  const mergedDir =
    alive && isRuncShim(record) && record.sandboxer === undefined ? rootDirectory(record, stateDirectory) : undefined;
  return {
    ...convertContainerdSummary(known),
    env: environmentMap(spec.process?.env ?? []),
    // A pod's containers share the hostname of their sandbox.
    ...text('hostname', spec.hostname ?? sandbox?.spec.hostname ?? sandbox?.cri?.hostname),
    ...text('runtime', runtime),
    ...text('networkMode', networkMode(sandbox ?? record)),
    ...text('pidMode', pidMode(record)),
    ...text('logPath', cri?.logPath),
    ...text('mergedDir', mergedDir),
    mounts: spec.mounts.flatMap(convertMount),
    ...(alive && task.pid > 0 ? { pid: task.pid } : {}),
    ...text('startedAt', memory.startedAt),
    ...(exitCode === undefined ? {} : { exitCode }),
    withheld: {},
  };
}

const kindLabel = 'io.cri-containerd.kind';

/** The pod of a container: the CRI's own record of it, else what the CRI wrote in its spec, else its labels. */
export function readKubernetesMarks(record: ContainerRecord): KubernetesMarks | undefined {
  const { cri, labels } = record;
  if (cri === undefined && labels[kindLabel] === undefined) return undefined;
  const { annotations } = record.spec;
  const kind = cri?.kind ?? annotations['io.kubernetes.cri.container-type'] ?? labels[kindLabel];
  const trusted = {
    podUid: cri?.podUid ?? annotations['io.kubernetes.cri.sandbox-uid'],
    namespace: cri?.podNamespace ?? annotations['io.kubernetes.cri.sandbox-namespace'],
    podName: cri?.podName ?? annotations['io.kubernetes.cri.sandbox-name'],
  };
  const sandboxId = cri?.sandboxId ?? annotations['io.kubernetes.cri.sandbox-id'];
  const containerName = cri?.containerName ?? annotations['io.kubernetes.cri.container-name'];
  const pod = wholePod(trusted);
  if (pod !== undefined)
    return { kind: kindOf(kind), ...pod, ...marksOf(kind, containerName, sandboxId), trust: 'engine' };
  const labelled = wholePod({
    podUid: labels['io.kubernetes.pod.uid'],
    namespace: labels['io.kubernetes.pod.namespace'],
    podName: labels['io.kubernetes.pod.name'],
  });
  if (labelled === undefined) return undefined;
  const name = containerName ?? labels['io.kubernetes.container.name'];
  return { kind: kindOf(kind), ...labelled, ...marksOf(kind, name, sandboxId), trust: 'labels' };
}

function kindOf(word: string | undefined): KubernetesMarks['kind'] {
  return word === 'sandbox' ? 'sandbox' : 'container';
}

function marksOf(
  kind: string | undefined,
  containerName: string | undefined,
  sandboxId: string | undefined,
): Pick<KubernetesMarks, 'containerName' | 'sandboxId'> {
  if (kindOf(kind) === 'sandbox') return {};
  return { ...text('containerName', containerName), ...text('sandboxId', sandboxId) };
}

function wholePod(
  pod: Readonly<Record<'podUid' | 'namespace' | 'podName', string | undefined>>,
): Pick<KubernetesMarks, 'podUid' | 'namespace' | 'podName'> | undefined {
  const { podUid, namespace, podName } = pod;
  if (podUid === undefined || namespace === undefined || podName === undefined) return undefined;
  return podUid === '' || podName === '' ? undefined : { podUid, namespace, podName };
}

/** A container without a task is `exited` when its end was seen, `created` when its creation was, else `unknown`. */
export function convertContainerdStatus(task: TaskLook, memory: RememberedContainer): ContainerStatus {
  if (task === 'silent') return 'unknown';
  if (task === 'none') {
    if (memory.exited !== undefined) return 'exited';
    return memory.created === true ? 'created' : 'unknown';
  }
  return statuses.get(task.status) ?? 'unknown';
}

const statuses: ReadonlyMap<number, ContainerStatus> = new Map([
  [taskStatus.created, 'created'],
  [taskStatus.running, 'running'],
  [taskStatus.stopped, 'exited'],
  [taskStatus.paused, 'paused'],
  [taskStatus.pausing, 'paused'],
]);

function exitCodeOf(task: TaskLook, memory: RememberedContainer): number | undefined {
  if (task === 'none') return memory.exited?.exitCode;
  if (task === 'silent' || task.status !== taskStatus.stopped) return undefined;
  return task.exitStatus;
}

function revisionOf(record: ContainerRecord, task: TaskLook, memory: RememberedContainer): string {
  const state =
    task === 'none'
      ? `${convertContainerdStatus(task, memory)}-${memory.exited?.exitCode ?? ''}`
      : task === 'silent'
        ? task
        : `${task.status}-${task.pid}-${task.exitStatus}`;
  return `${record.version}-${state}-${memory.startedAt ?? ''}`;
}

/** True where the containers of a shim are processes of the node itself, with a directory as their root. */
function isRuncShim(record: ContainerRecord): boolean {
  return /^io\.containerd\.(runc|runtime)\./.test(record.runtimeName);
}

// What else runs under containerd's own shim is runc, or a wrapper that calls it.
const otherRuntimes = /^(crun|youki|runsc|rund|runv|kata.*)$/;

/** `io.containerd.kata.v2` → `kata`; under containerd's own shim the low-level runtime that it was told to use. */
export function shortRuntimeName({ runtimeName, runtimeBinary }: ContainerRecord): string {
  const shim = /^io\.containerd\.([^.]+)\.v\d+(\.linux)?$/.exec(runtimeName)?.[1];
  if (shim === 'runc' || shim === 'runtime') {
    const binary = basename(runtimeBinary ?? 'runc');
    return otherRuntimes.test(binary) ? binary : 'runc';
  }
  if (shim !== undefined) return shim;
  // A path to a shim's program, as in /usr/local/bin/containerd-shim-rund-v2.
  return /^containerd-shim-(.+)-v\d+$/.exec(basename(runtimeName))?.[1] ?? runtimeName;
}

function rootDirectory(record: ContainerRecord, stateDirectory: string | undefined): string | undefined {
  const path = record.spec.root?.path;
  if (path === undefined || path === '') return undefined;
  if (posix.isAbsolute(path)) return posix.normalize(path);
  if (stateDirectory === undefined) return undefined;
  return posix.join(stateDirectory, 'io.containerd.runtime.v2.task', record.namespace, record.id, path);
}

/** Where the daemon keeps its run-time state, if this container's spec shows it. */
export function findStateDirectory(record: ContainerRecord): string | undefined {
  for (const { destination, source } of record.spec.mounts) {
    if (destination !== '/dev/shm' || source === undefined) continue;
    const found = /^(\/.+)\/io\.containerd\.grpc\.v1\.cri\/sandboxes\/[^/]+\/shm$/.exec(source)?.[1];
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A network namespace's path; `host` when there is none of its own; undefined when it is private and has no name. */
function networkMode({ cri, spec }: ContainerRecord): string | undefined {
  if (cri?.netnsPath !== undefined) return cri.netnsPath;
  if (spec.namespaces === undefined) return undefined;
  const own = spec.namespaces.find(({ type }) => type === 'network');
  return own === undefined ? 'host' : own.path;
}

function pidMode({ cri, spec }: ContainerRecord): string | undefined {
  if (spec.namespaces === undefined) return undefined;
  const own = spec.namespaces.find(({ type }) => type === 'pid');
  if (own === undefined) return 'host';
  if (own.path === undefined || own.path === '') return undefined;
  return cri?.sandboxId === undefined ? own.path : `container:${cri.sandboxId}`;
}

function convertMount({ destination, type, source, options = [] }: OciMount): MountPoint[] {
  if (type !== 'bind' && !options.includes('bind') && !options.includes('rbind')) return [];
  if (source === undefined || !posix.isAbsolute(source) || destination === undefined) return [];
  return [{ source, destination, readWrite: !options.includes('ro') }];
}

function environmentMap(lines: readonly unknown[]): Record<string, string> {
  return Object.fromEntries(
    lines
      .filter((line) => typeof line === 'string')
      .map((line) => {
        const equals = line.indexOf('=');
        return equals === -1 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
      }),
  );
}

function text<Name extends string>(name: Name, value: unknown): { readonly [key in Name]?: string } {
  return typeof value === 'string' && value !== '' ? ({ [name]: value } as { [key in Name]: string }) : {};
}
