import {
  type ContainerDetail,
  type ContainerStatus,
  type ContainerSummary,
  isRuncLikeRuntime,
  type KubernetesMarks,
  type MountPoint,
} from '@crikit/core';
import type { DaemonInspect, DaemonListItem } from './daemon-replies.js';

/** How a daemon's dialect reads what is not alike everywhere. */
export interface ListItemReading {
  readonly status: ContainerStatus;
  readonly kubernetes: KubernetesMarks | undefined;
}

export interface InspectReading extends ListItemReading {
  readonly withheld: ContainerDetail['withheld'];
}

type Writable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

/** `revision` is left to the caller, who remembers what was inspected before. */
export function convertListItem(
  item: DaemonListItem,
  read: (name: string, item: DaemonListItem) => ListItemReading,
): ContainerSummary {
  const name = ownName(item.Names);
  const { status, kubernetes } = read(name, item);
  return {
    reference: { scope: '', id: item.Id },
    name,
    labels: item.Labels,
    status,
    ...(item.Image === undefined ? {} : { image: item.Image }),
    ...(kubernetes === undefined ? {} : { kubernetes }),
  };
}

export function convertInspect(
  inspect: DaemonInspect,
  read: (name: string, inspect: DaemonInspect) => InspectReading,
  revision?: string,
): ContainerDetail {
  const { State: state, Config: config = {}, HostConfig: hostConfig = {} } = inspect;
  const name = withoutSlash(inspect.Name ?? '');
  const { status, kubernetes, withheld } = read(name, inspect);
  const runtime = shortRuntimeName(hostConfig.Runtime);
  const pid = state.Pid !== undefined && state.Pid > 0 ? state.Pid : undefined;
  const mergedDir = inspect.GraphDriver?.Data?.MergedDir;
  // Filled in one by one: a node's first look makes hundreds of these.
  const detail: Writable<ContainerDetail> = {
    reference: { scope: '', id: inspect.Id },
    name,
    labels: config.Labels ?? {},
    status,
    env: environmentMap(config.Env ?? []),
    mounts: convertMounts(inspect.Mounts ?? []),
    withheld,
  };
  if (revision !== undefined) detail.revision = revision;
  if (kubernetes !== undefined) detail.kubernetes = kubernetes;
  if (isText(config.Image)) detail.image = config.Image;
  if (isText(config.Hostname)) detail.hostname = config.Hostname;
  if (isText(runtime)) detail.runtime = runtime;
  if (isText(hostConfig.NetworkMode)) detail.networkMode = hostConfig.NetworkMode;
  if (isText(hostConfig.PidMode)) detail.pidMode = hostConfig.PidMode;
  if (isText(inspect.LogPath)) detail.logPath = inspect.LogPath;
  if (isText(state.StartedAt) && !isZeroTime(state.StartedAt)) detail.startedAt = state.StartedAt;
  if (pid !== undefined) {
    detail.pid = pid;
    // It is a mount, and there only while the container has a process: before and after, its place is an empty folder.
    if (isText(mergedDir) && isRuncLikeRuntime(runtime)) detail.mergedDir = mergedDir;
  }
  if ((status === 'exited' || status === 'dead') && state.ExitCode !== undefined) detail.exitCode = state.ExitCode;
  return detail;
}

/** Go's time for "never": `0001-01-01T00:00:00Z`. */
function isZeroTime(time: string): boolean {
  return time.startsWith('0001-');
}

/** A container that others link to lists their names for it too, as `/other/alias`. */
function ownName(names: readonly string[]): string {
  return withoutSlash(names.find((name) => name.lastIndexOf('/') <= 0) ?? names[0] ?? '');
}

function withoutSlash(name: string): string {
  return name.startsWith('/') ? name.slice(1) : name;
}

/** `io.containerd.runc.v2` → `runc`; other names are the administrator's own and stay. */
export function shortRuntimeName(runtime: string | undefined): string | undefined {
  return runtime?.replace(/^io\.containerd\.([^.]+)\.v\d+$/, '$1');
}

function convertMounts(mounts: NonNullable<DaemonInspect['Mounts']>): MountPoint[] {
  const converted: MountPoint[] = [];
  for (const { Source: source, Destination: destination, RW: readWrite } of mounts) {
    // A tmpfs has no place on the host.
    if (source === undefined || source === '' || destination === undefined) continue;
    converted.push({ source, destination, readWrite: readWrite === true });
  }
  return converted;
}

function environmentMap(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const equals = line.indexOf('=');
      return equals === -1 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
