/**
 * The parts of a daemon's replies that are read, and the checks that they are there. A client library that gets a
 * cut-off or empty body hands on something else than an object, so nothing is believed by its type alone.
 */
import { ProtocolError } from '@crikit/core';
import type { Daemon } from './daemon.js';

/** One element of `GET /containers/json`. */
export interface DaemonListItem {
  readonly Id: string;
  readonly Names: readonly string[];
  readonly Image?: string;
  readonly Labels: Readonly<Record<string, string>>;
  /** One word: `running`. Pouch leaves it out. */
  readonly State?: string;
  /** For people: `Up 5 minutes (healthy)`. */
  readonly Status: string;
}

/** `GET /containers/{id}/json`. Everything but the id and the state may be absent. */
export interface DaemonInspect {
  readonly Id: string;
  readonly Name?: string;
  readonly State: {
    readonly Status: string;
    readonly Paused?: boolean;
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
    /** Pouch only: what the creator of the container, never its image, has noted. */
    readonly SpecAnnotation?: Readonly<Record<string, string>> | null;
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
export interface DaemonExecState {
  readonly running: boolean;
  /** 0 before the process exists, and for good when it could not be started. Undefined where a daemon never tells. */
  readonly pid: number | undefined;
  /** Docker tells none until the end; Pouch tells 0. */
  readonly exitCode: number | undefined;
}

export function readList(reply: unknown, daemon: Daemon): readonly DaemonListItem[] {
  if (!Array.isArray(reply)) throw unexpected('the list of containers', reply, daemon);
  return reply.map((item: unknown) => {
    if (!isRecord(item) || typeof item.Id !== 'string') {
      throw unexpected('a container of the list', item, daemon);
    }
    return {
      Id: item.Id,
      Names: Array.isArray(item.Names) ? item.Names.filter((name) => typeof name === 'string') : [],
      ...(typeof item.Image === 'string' ? { Image: item.Image } : {}),
      Labels: isRecord(item.Labels) ? (item.Labels as Record<string, string>) : {},
      ...(typeof item.State === 'string' ? { State: item.State } : {}),
      Status: typeof item.Status === 'string' ? item.Status : '',
    };
  });
}

export function readInspect(reply: unknown, daemon: Daemon): DaemonInspect {
  const found = isRecord(reply) ? reply : undefined;
  if (typeof found?.Id !== 'string' || !isRecord(found.State) || typeof found.State.Status !== 'string') {
    throw unexpected('a container', reply, daemon);
  }
  return reply as DaemonInspect;
}

export function readExecState(reply: unknown, daemon: Daemon): DaemonExecState {
  if (!isRecord(reply) || typeof reply.Running !== 'boolean') throw unexpected('an exec', reply, daemon);
  return {
    running: reply.Running,
    pid: typeof reply.Pid === 'number' ? reply.Pid : undefined,
    exitCode: typeof reply.ExitCode === 'number' ? reply.ExitCode : undefined,
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}

export function unexpected(what: string, reply: unknown, daemon: Daemon): ProtocolError {
  return new ProtocolError(`${daemon.product}'s reply about ${what} is not what its API says: ${show(reply)}.`, {
    engine: daemon.engine,
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
