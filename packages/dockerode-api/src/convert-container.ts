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
): ContainerDetail {
  const { State: state, Config: config = {}, HostConfig: hostConfig = {} } = inspect;
  const name = withoutSlash(inspect.Name ?? '');
  const { status, kubernetes, withheld } = read(name, inspect);
  const runtime = shortRuntimeName(hostConfig.Runtime);
  const pid = state.Pid !== undefined && state.Pid > 0 ? state.Pid : undefined;
  const mergedDir = inspect.GraphDriver?.Data?.MergedDir;
  return {
    reference: { scope: '', id: inspect.Id },
    name,
    labels: config.Labels ?? {},
    status,
    ...text('image', config.Image),
    ...(kubernetes === undefined ? {} : { kubernetes }),
    env: environmentMap(config.Env ?? []),
    ...text('hostname', config.Hostname),
    ...text('runtime', runtime),
    ...text('networkMode', hostConfig.NetworkMode),
    ...text('pidMode', hostConfig.PidMode),
    ...text('logPath', inspect.LogPath),
    // It is a mount, and there only while the container has a process: before and after, its place is an empty folder.
    ...(pid !== undefined && isRuncLikeRuntime(runtime) ? text('mergedDir', mergedDir) : {}),
    mounts: convertMounts(inspect.Mounts ?? []),
    ...(pid === undefined ? {} : { pid }),
    ...text('startedAt', isZeroTime(state.StartedAt) ? undefined : state.StartedAt),
    ...((status === 'exited' || status === 'dead') && state.ExitCode !== undefined ? { exitCode: state.ExitCode } : {}),
    withheld,
  };
}

/** Go's time for "never": `0001-01-01T00:00:00Z`. */
function isZeroTime(time: string | undefined): boolean {
  return time === undefined || time === '' || time.startsWith('0001-');
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
  return mounts.flatMap(({ Source: source, Destination: destination, RW: readWrite }) =>
    // A tmpfs has no place on the host.
    source === undefined || source === '' || destination === undefined
      ? []
      : [{ source, destination, readWrite: readWrite === true }],
  );
}

function environmentMap(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const equals = line.indexOf('=');
      return equals === -1 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
}

function text<Name extends string>(name: Name, value: unknown): { readonly [key in Name]?: string } {
  return typeof value === 'string' && value !== '' ? ({ [name]: value } as { [key in Name]: string }) : {};
}
