/**
 * The parts of Docker's replies that this package reads, and the checks that they are there. A client library that
 * gets a cut-off or empty body hands on something else than an object, so nothing is believed by its type alone.
 */
import { ProtocolError } from '@crikit/core';

/** One element of `GET /containers/json`. */
export interface DockerListItem {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image?: string;
  readonly Labels: Readonly<Record<string, string>>;
  /** One word: `running`. */
  readonly State: string;
  /** For people: `Up 5 minutes (healthy)`. */
  readonly Status: string;
}

/** `GET /containers/{id}/json`. Everything but the id and the state may be absent. */
export interface DockerInspect {
  readonly Id: string;
  readonly Name?: string;
  readonly State: {
    readonly Status: string;
    readonly Pid?: number;
    readonly ExitCode?: number;
    readonly StartedAt?: string;
    readonly FinishedAt?: string;
  };
  readonly LogPath?: string;
  readonly Config?: {
    readonly Hostname?: string;
    readonly Image?: string;
    readonly Env?: readonly string[] | null;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
  readonly HostConfig?: { readonly NetworkMode?: string; readonly PidMode?: string; readonly Runtime?: string };
  /** `Data` depends on the driver, and may be null. */
  readonly GraphDriver?: { readonly Name?: string; readonly Data?: Readonly<Record<string, unknown>> | null } | null;
  readonly Mounts?:
    | readonly {
        readonly Type?: string;
        readonly Source?: string;
        readonly Destination?: string;
        readonly RW?: boolean;
      }[]
    | null;
}

/** `GET /exec/{id}/json`. */
export interface DockerExecState {
  readonly running: boolean;
  /** 0 before the process exists, and for good when it could not be started. */
  readonly pid: number;
  /** Absent until the end. */
  readonly exitCode: number | undefined;
}

export function readList(reply: unknown, engine: string): readonly DockerListItem[] {
  if (!Array.isArray(reply)) throw unexpected('the list of containers', reply, engine);
  return reply.map((item: unknown) => {
    if (!isRecord(item) || typeof item.Id !== 'string' || typeof item.State !== 'string') {
      throw unexpected('a container of the list', item, engine);
    }
    return {
      Id: item.Id,
      Names: Array.isArray(item.Names) ? item.Names.filter((name) => typeof name === 'string') : [],
      ...(typeof item.Image === 'string' ? { Image: item.Image } : {}),
      Labels: isRecord(item.Labels) ? (item.Labels as Record<string, string>) : {},
      State: item.State,
      Status: typeof item.Status === 'string' ? item.Status : '',
    };
  });
}

export function readInspect(reply: unknown, engine: string): DockerInspect {
  const found = isRecord(reply) ? reply : undefined;
  if (typeof found?.Id !== 'string' || !isRecord(found.State) || typeof found.State.Status !== 'string') {
    throw unexpected('a container', reply, engine);
  }
  return reply as DockerInspect;
}

export function readExecState(reply: unknown, engine: string): DockerExecState {
  if (!isRecord(reply) || typeof reply.Running !== 'boolean') throw unexpected('an exec', reply, engine);
  return {
    running: reply.Running,
    pid: typeof reply.Pid === 'number' ? reply.Pid : 0,
    exitCode: typeof reply.ExitCode === 'number' ? reply.ExitCode : undefined,
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

export function unexpected(what: string, reply: unknown, engine: string): ProtocolError {
  return new ProtocolError(`Docker's reply about ${what} is not what its API says: ${show(reply)}.`, {
    engine,
    retryable: true,
    remedy: 'The reply may have been cut off; try again.',
  });
}

const shownCharacters = 200;

function show(reply: unknown): string {
  const text = ArrayBuffer.isView(reply)
    ? Buffer.from(reply.buffer, reply.byteOffset, reply.byteLength).toString()
    : String(JSON.stringify(reply));
  if (text === '') return 'it is empty';
  // The middle of a container's description may hold secrets of its environment: only how it begins is shown.
  return text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text;
}
