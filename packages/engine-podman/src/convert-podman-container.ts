import {
  type ContainerDetail,
  type ContainerStatus,
  type ContainerSummary,
  isRuncLikeRuntime,
  ProtocolError,
} from '@crikit/core';

interface PodmanListItem {
  readonly Id: string;
  readonly Names?: readonly string[] | null;
  readonly Image?: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly State: string;
  readonly Pid?: number;
  readonly StartedAt?: number;
  readonly ExitedAt?: number;
}

interface PodmanInspect {
  readonly Id: string;
  readonly Name?: string;
  readonly ImageName?: string;
  readonly OCIRuntime?: string;
  readonly State: {
    readonly Status: string;
    readonly Pid?: number;
    readonly ExitCode?: number;
    readonly StartedAt?: string;
    readonly FinishedAt?: string;
  };
  readonly GraphDriver?: { readonly Data?: Readonly<Record<string, string>> | null } | null;
  readonly Mounts?:
    | readonly { readonly Source?: string; readonly Destination?: string; readonly RW?: boolean }[]
    | null;
  readonly Config?: {
    readonly Hostname?: string;
    readonly Env?: readonly string[] | null;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
  readonly HostConfig?: {
    readonly NetworkMode?: string;
    readonly PidMode?: string;
    readonly LogConfig?: { readonly Type?: string; readonly Path?: string };
  };
}

export function convertPodmanSummaries(reply: unknown, engine: string): ContainerSummary[] {
  if (!Array.isArray(reply)) throw unexpected('the list of containers', engine);
  return reply.map((item: PodmanListItem) => {
    if (typeof item?.Id !== 'string' || typeof item.State !== 'string') throw unexpected('a container', engine);
    const name = item.Names?.[0] ?? '';
    return {
      reference: { scope: '', id: item.Id },
      name,
      labels: item.Labels ?? {},
      status: convertPodmanStatus(item.State),
      ...(item.Image === undefined ? {} : { image: item.Image }),
      revision: revisionOf({
        name,
        status: item.State,
        pid: item.Pid ?? 0,
        startedAtSeconds: item.StartedAt ?? never,
        exitedAtSeconds: item.ExitedAt ?? never,
      }),
    };
  });
}

export function convertPodmanDetail(reply: unknown, engine: string): ContainerDetail {
  const inspect = reply as PodmanInspect;
  if (typeof inspect?.Id !== 'string' || typeof inspect.State?.Status !== 'string') {
    throw unexpected('a container', engine);
  }
  const { State: state, Config: config = {}, HostConfig: hostConfig = {} } = inspect;
  const status = convertPodmanStatus(state.Status);
  const pid = state.Pid !== undefined && state.Pid > 0 ? state.Pid : undefined;
  const runtime = inspect.OCIRuntime?.split('/').at(-1);
  const startedAtSeconds = seconds(state.StartedAt);
  const name = inspect.Name ?? '';
  return {
    reference: { scope: '', id: inspect.Id },
    name,
    labels: config.Labels ?? {},
    status,
    ...text('image', inspect.ImageName),
    env: Object.fromEntries((config.Env ?? []).map(splitVariable)),
    ...text('hostname', config.Hostname),
    ...text('runtime', runtime),
    ...text('networkMode', hostConfig.NetworkMode),
    ...text('pidMode', hostConfig.PidMode),
    ...text('logPath', hostConfig.LogConfig?.Path),
    ...(pid !== undefined && isRuncLikeRuntime(runtime) ? text('mergedDir', inspect.GraphDriver?.Data?.MergedDir) : {}),
    mounts: (inspect.Mounts ?? []).flatMap(({ Source: source, Destination: destination, RW: readWrite }) =>
      // A tmpfs has no place on the host.
      source === undefined || !source.startsWith('/') || destination === undefined
        ? []
        : [{ source, destination, readWrite: readWrite === true }],
    ),
    ...(pid === undefined ? {} : { pid }),
    ...(startedAtSeconds === never ? {} : text('startedAt', state.StartedAt)),
    ...(status === 'exited' && state.ExitCode !== undefined ? { exitCode: state.ExitCode } : {}),
    withheld: {},
    revision: revisionOf({
      name,
      status: state.Status,
      pid: pid ?? 0,
      startedAtSeconds,
      exitedAtSeconds: seconds(state.FinishedAt),
    }),
  };
}

const statuses: ReadonlyMap<string, ContainerStatus> = new Map([
  ['configured', 'created'],
  ['created', 'created'],
  ['initialized', 'created'],
  ['running', 'running'],
  ['stopping', 'running'],
  ['paused', 'paused'],
  ['stopped', 'exited'],
  ['exited', 'exited'],
  ['removing', 'dead'],
]);

export function convertPodmanStatus(state: string): ContainerStatus {
  return statuses.get(state) ?? 'unknown';
}

/** How Podman says `never` in seconds since 1970: the year 1. */
const never = -62_135_596_800;

interface Revised {
  readonly name: string;
  readonly status: string;
  readonly pid: number;
  readonly startedAtSeconds: number;
  readonly exitedAtSeconds: number;
}

/** Both calls tell everything that can change of a container after it was made. */
function revisionOf({ name, status, pid, startedAtSeconds, exitedAtSeconds }: Revised): string {
  return JSON.stringify([name, status, pid, startedAtSeconds, exitedAtSeconds]);
}

function seconds(time: string | undefined): number {
  const milliseconds = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(milliseconds) ? never : Math.floor(milliseconds / 1_000);
}

function splitVariable(line: string): [string, string] {
  const equals = line.indexOf('=');
  return equals === -1 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
}

function text<Name extends string>(name: Name, value: unknown): { readonly [key in Name]?: string } {
  return typeof value === 'string' && value !== '' ? ({ [name]: value } as { [key in Name]: string }) : {};
}

function unexpected(what: string, engine: string): ProtocolError {
  return new ProtocolError(`Podman's reply about ${what} is not what its API says.`, { engine, retryable: true });
}
