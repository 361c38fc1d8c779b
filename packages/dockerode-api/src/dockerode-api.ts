/**
 * The calls that the engines make, over dockerode: the only file that loads it. What goes out and what comes back
 * is checked here, and every failure becomes one of core's errors, so that nothing above knows the client library.
 */
import type { Socket } from 'node:net';
import { addAbortSignal, type Readable } from 'node:stream';
import { InvalidArgumentError } from '@crikit/core';
import type { Daemon } from './daemon.js';
import type { DaemonEndpoint } from './daemon-endpoint.js';
import { createDaemonGetter, type ReachableEndpoint } from './daemon-getter.js';
import {
  type DaemonExecState,
  type DaemonInspect,
  type DaemonListItem,
  isRecord,
  readExecState,
  readInspect,
  readList,
  unexpected,
} from './daemon-replies.js';
import { hasStatus, mapDaemonError } from './map-daemon-error.js';
import { settleCall } from './settle-call.js';

/** Body of `POST /containers/{id}/exec`. */
export interface DaemonExecOptions {
  readonly Cmd: readonly string[];
  readonly Env: readonly string[];
  readonly AttachStdin: boolean;
  readonly AttachStdout: true;
  readonly AttachStderr: boolean;
  readonly Tty: boolean;
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly DetachKeys?: string;
  /** Height and width; known since API 1.42. */
  readonly ConsoleSize?: readonly [number, number];
}

export interface EventsQuery {
  /** As this daemon wants them: lists in Docker, maps in Pouch. */
  readonly filters: object;
  /** In seconds since 1970, with a fraction where the daemon reads one. */
  readonly since?: string;
}

export interface DockerodeApi {
  /** Version of the API that the calls use: `1.41`. */
  apiVersion: string;
  listContainers(signal: AbortSignal): Promise<readonly DaemonListItem[]>;
  /** Fails with code `TIMEOUT` after `timeoutMs`. Default: when `signal` aborts. */
  inspectContainer(id: string, signal: AbortSignal, timeoutMs?: number): Promise<DaemonInspect>;
  createExec(id: string, options: DaemonExecOptions, signal: AbortSignal): Promise<string>;
  /** The hijacked connection: what is read is the output, what is written is stdin. */
  startExec(
    execId: string,
    options: Pick<DaemonExecOptions, 'Tty' | 'ConsoleSize'>,
    signal: AbortSignal,
  ): Promise<Readable>;
  /** Undefined when the daemon does not know the exec (any more). */
  inspectExec(execId: string, signal: AbortSignal): Promise<DaemonExecState | undefined>;
  resizeExec(execId: string, columns: number, rows: number, signal: AbortSignal): Promise<void>;
  /** `signal` ends the stream as well. */
  getArchive(id: string, path: string, signal: AbortSignal): Promise<Readable>;
  putArchive(id: string, directory: string, tar: Readable, signal: AbortSignal): Promise<void>;
  /**
   * The archive route's word about a path: the bits of Go's file mode, undefined when the daemon gives none. A missing
   * path is an error.
   */
  getArchiveMode(id: string, path: string, signal: AbortSignal): Promise<number | undefined>;
  /** Events that pass the filters, those since then first. */
  openEvents(query: EventsQuery, signal: AbortSignal): Promise<Readable>;
  /** Gives idle connections up. */
  close(): void;
}

// The part of dockerode that is used, by structure.
interface Dockerode {
  readonly modem: { version?: string };
  getEvents(options: object): Promise<Readable>;
  getContainer(id: string): {
    exec(options: object): Promise<{ readonly id?: unknown }>;
    getArchive(options: object): Promise<Readable>;
    infoArchive(options: object): Promise<Readable & { readonly headers?: Readonly<Record<string, unknown>> }>;
    putArchive(file: Readable, options: object): Promise<unknown>;
  };
  getExec(id: string): {
    start(options: object): Promise<Readable>;
    inspect(options: object): Promise<unknown>;
    resize(options: object): Promise<unknown>;
  };
}

type DockerodeConstructor = new (options: object) => Dockerode;

/** Loads the client library and sets it to the endpoint; sends nothing. */
export async function createDockerodeApi(
  endpoint: DaemonEndpoint,
  daemon: Daemon,
  apiVersion: string,
): Promise<DockerodeApi> {
  const { default: Dockerode } = (await import('dockerode')) as { default: DockerodeConstructor };
  const reachable = requireReachable(endpoint);
  const docker = withoutDockerHost(() => new Dockerode(connectOptions(reachable)));
  const { modem } = docker;
  const getter = createDaemonGetter(reachable);
  modem.version = `v${apiVersion}`;

  const call = async <Value>(
    what: string,
    changes: boolean,
    signal: AbortSignal,
    run: (signal: AbortSignal) => Promise<Value>,
    onLate?: (value: Value) => void,
  ): Promise<Value> => {
    try {
      return await settleCall(signal, run, onLate);
    } catch (error) {
      throw mapDaemonError(error, { daemon, what, changes });
    }
  };
  const get = async (path: string, what: string, signal: AbortSignal, timeoutMs?: number): Promise<unknown> => {
    try {
      return await getter.get(`/${modem.version}${path}`, signal, timeoutMs);
    } catch (error) {
      throw mapDaemonError(error, { daemon, what, changes: false });
    }
  };
  const destroy = (stream: Readable): void => void stream.destroy?.();

  return {
    get apiVersion() {
      return (modem.version ?? '').slice(1);
    },
    set apiVersion(version) {
      modem.version = `v${version}`;
    },

    async listContainers(signal) {
      return readList(await get('/containers/json?all=1', 'list containers', signal), daemon);
    },

    async inspectContainer(id, signal, timeoutMs) {
      const path = `/containers/${requireId(id, daemon)}/json`;
      return readInspect(await get(path, `inspect container ${id}`, signal, timeoutMs), daemon);
    },

    async createExec(id, options, signal) {
      const container = docker.getContainer(requireId(id, daemon));
      const created = await call(`create an exec in container ${id}`, false, signal, (abortSignal) =>
        container.exec({ ...options, abortSignal }),
      );
      if (typeof created.id !== 'string' || !idPattern.test(created.id)) {
        throw unexpected('a new exec', created.id ?? null, daemon);
      }
      return created.id;
    },

    async startExec(execId, { Tty, ConsoleSize }, signal) {
      const exec = docker.getExec(requireId(execId, daemon));
      const body = { Detach: false, Tty, ...(ConsoleSize === undefined ? {} : { ConsoleSize }) };
      const connection = await call(
        `start exec ${execId}`,
        true,
        signal,
        // Never the library's `stdin`: it makes a duplex that cannot half-close. The raw socket can.
        (abortSignal) => exec.start({ _body: body, hijack: true, abortSignal }),
        destroy,
      );
      if (!isStream(connection)) throw unexpected('the start of an exec', connection, daemon);
      return connection;
    },

    async inspectExec(execId, signal) {
      const exec = docker.getExec(requireId(execId, daemon));
      let reply: unknown;
      try {
        reply = await settleCall(signal, (abortSignal) => exec.inspect({ abortSignal }));
      } catch (error) {
        if (hasStatus(error, 404)) return undefined;
        throw mapDaemonError(error, { daemon, what: `inspect exec ${execId}`, changes: false });
      }
      return readExecState(reply, daemon);
    },

    async resizeExec(execId, columns, rows, signal) {
      const exec = docker.getExec(requireId(execId, daemon));
      await call(`resize the terminal of exec ${execId}`, true, signal, (abortSignal) =>
        exec.resize({ h: rows, w: columns, abortSignal }),
      );
    },

    async getArchive(id, path, signal) {
      const container = docker.getContainer(requireId(id, daemon));
      const archive = await call(
        `read ${path} of container ${id}`,
        false,
        signal,
        (abortSignal) => container.getArchive({ path, abortSignal }),
        destroy,
      );
      if (!isStream(archive)) throw unexpected('an archive', archive, daemon);
      return addAbortSignal(signal, archive);
    },

    async getArchiveMode(id, path, signal) {
      const container = docker.getContainer(requireId(id, daemon));
      const reply = await call(
        `look at ${path} in container ${id}`,
        false,
        signal,
        (abortSignal) => container.infoArchive({ path, abortSignal }),
        destroy,
      );
      reply.destroy();
      return readArchiveMode(reply.headers?.['x-docker-container-path-stat']);
    },

    async putArchive(id, directory, tar, signal) {
      const container = docker.getContainer(requireId(id, daemon));
      try {
        await call(`write to ${directory} of container ${id}`, true, signal, (abortSignal) =>
          container.putArchive(tar, { path: directory, abortSignal }),
        );
      } finally {
        // A refused archive is not read to its end.
        tar.destroy();
      }
    },

    async openEvents({ filters, since }, signal) {
      const events = await call(
        'subscribe to events',
        false,
        signal,
        (abortSignal) =>
          docker.getEvents({
            filters: JSON.stringify(filters),
            ...(since === undefined ? {} : { since }),
            abortSignal,
          }),
        destroy,
      );
      if (!isStream(events)) throw unexpected('events', events, daemon);
      // A stream that is quiet for hours never notices by itself that the machine at its other end is gone.
      (events as { socket?: Socket }).socket?.setKeepAlive(true, keepAliveMs);
      return events;
    },

    close: () => getter.close(),
  };
}

const keepAliveMs = 30_000;

// Docker's own rule for names, which ids satisfy too. A slash would be redirected, and the client library then ends
// the process by an error that nobody can catch.
const idPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Throws `InvalidArgumentError` before anything is sent. */
function requireId(id: string, { product }: Daemon): string {
  if (typeof id !== 'string' || !idPattern.test(id)) {
    throw new InvalidArgumentError(`${JSON.stringify(id)} is no id of a ${product} container.`);
  }
  return id;
}

function readArchiveMode(header: unknown): number | undefined {
  if (typeof header !== 'string') return undefined;
  try {
    const stat: unknown = JSON.parse(Buffer.from(header, 'base64').toString());
    return isRecord(stat) && typeof stat.mode === 'number' ? stat.mode : undefined;
  } catch {
    return undefined;
  }
}

function isStream(value: unknown): value is Readable {
  return isRecord(value) && typeof value.pipe === 'function' && typeof value.on === 'function';
}

function requireReachable(endpoint: DaemonEndpoint): ReachableEndpoint {
  if (endpoint.kind === 'unsupported') throw new InvalidArgumentError(endpoint.reason);
  return endpoint;
}

function connectOptions(endpoint: ReachableEndpoint): object {
  return endpoint.kind === 'unix'
    ? { socketPath: endpoint.path }
    : { host: endpoint.host, port: endpoint.port, protocol: 'http' };
}

/**
 * The client library reads DOCKER_HOST (and with it certificates and a time-out) in its constructor, prefers it to an
 * explicit socket and throws on a value that it does not understand; so it must not see it. Nothing else of this
 * thread runs meanwhile.
 */
function withoutDockerHost<Value>(construct: () => Value): Value {
  const { DOCKER_HOST: given } = process.env;
  if (given === undefined) return construct();
  delete process.env.DOCKER_HOST;
  try {
    return construct();
  } finally {
    process.env.DOCKER_HOST = given;
  }
}
