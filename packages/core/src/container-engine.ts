import type { Agent } from 'node:http';
import type { Socket } from 'node:net';
import type { ContainerReference, ContainerState, ContainerStatus } from './container.js';
import type { CopyOptions, CopyResult } from './copy-options.js';
import type {
  ContainerDetail,
  ContainerSummary,
  DetailOutcome,
  EngineEvent,
  EngineFeature,
  EngineFeatureMap,
} from './engine-contract.js';
import type { CrikitError } from './errors/crikit-error.js';
import type { ExecAsyncRequest, ExecRequest, ExecResult, RunningExec } from './exec-request.js';
import type { ExecSession, SessionOptions } from './exec-session.js';
import type { DialOptions, DialTarget } from './pod-network.js';
import type { PodConnector } from './pod-network-http.js';
import type { PortForward, PortForwardOptions } from './pod-network-port-forward.js';

/**
 * What names a container to an engine: its full id, its reference, or any object that has one (a store's `Container`,
 * a summary, a detail). Ids are passed on as they are; look-ups by short id are the store's.
 */
export type ContainerTarget = string | ContainerReference | { readonly reference: ContainerReference };

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Instead of the call's own deadline. */
  readonly timeoutMs?: number;
}

/** What a watch tells, in this order: `onSync`, then events, until `onLost`; then, after reconnecting, again. */
export interface ContainerWatch {
  /** All containers there are, listed after the subscription was proven live, so that nothing falls between. */
  onSync(containers: readonly ContainerSummary[]): void;
  /** A hint that a container changed; events from before the list may be repeated after it. */
  onEvent(event: EngineEvent): void;
  /** The engine cannot be heard any more; core tries to get it back by itself. */
  onLost(error: CrikitError): void;
  /** It is still lost: an attempt to get it back has failed too, with this. Follows `onLost`, as often as it fails. */
  onStillLost?(error: CrikitError): void;
}

/** A change of a container as a reader of {@link ContainerEngine.events} sees it; no change is missed or told twice. */
export interface ContainerChange {
  readonly action: EngineEvent['action'];
  readonly reference: ContainerReference;
  readonly timeMs: number;
  readonly exitCode?: number;
  /** `list`: found by comparing lists (at the start, or after the engine had been away). */
  readonly origin: 'event' | 'list';
}

/** One engine on this node, made by core from a driver; every engine behaves alike. */
export interface ContainerEngine extends AsyncDisposable {
  /** Type and endpoint, such as `docker:/run/docker.sock`. */
  readonly id: string;
  readonly type: string;
  /** The engine's own version; absent when it does not tell. */
  readonly version: string | undefined;
  readonly containerIdSchemes: readonly string[];
  /** Every container, running or not: one cheap call. Deadline 10 s. */
  listAllContainers(options?: CallOptions): Promise<readonly ContainerSummary[]>;
  /** Rejects with `NOT_FOUND` when the container is gone. Deadline 5 s. */
  getContainerDetail(container: ContainerTarget, options?: CallOptions): Promise<ContainerDetail>;
  /** One outcome a container; rejects only when the engine cannot answer at all. */
  getContainerDetails(of: readonly ContainerTarget[] | 'all', options?: CallOptions): Promise<readonly DetailOutcome[]>;
  /** The engine's raw object, as it came. */
  getSource(container: ContainerTarget, options?: CallOptions): Promise<unknown>;
  /** Runs a command to its end. A non-zero exit code is a result, unless `check` is set. */
  exec(container: ContainerTarget, request: ExecRequest): Promise<ExecResult>;
  /** Starts a command and gives its streams. Rejects when it cannot be started. */
  execAsync(container: ContainerTarget, request: ExecAsyncRequest): Promise<RunningExec>;
  /**
   * Keeps a shell open in the container, in which a command costs a fork instead of a start of the container's runtime.
   * Rejects as `exec` does; with `COMMAND_NOT_FOUND` where there is no `sh`, with `PROTOCOL` where it is none.
   */
  openSession(container: ContainerTarget, options?: SessionOptions): Promise<ExecSession>;
  /**
   * Connects inside the network of the container's pod, its loopback included, and gives an ordinary socket. Nothing runs
   * in the container, unless its network cannot be entered from here (see `viaExec`). Deadline 10 s. Rejects with the
   * system's error (`ECONNREFUSED`, …) when nobody listens, with `NOT_RUNNING`, `UNSUPPORTED` or `PERMISSION` where there
   * is no way in.
   */
  dial(container: ContainerTarget, target: DialTarget, options?: DialOptions): Promise<Socket>;
  /** An agent for node:http whose connections `dial` makes; the host of a request is an address in the pod's network. */
  httpAgent(container: ContainerTarget, options?: Pick<DialOptions, 'viaExec'>): Agent;
  /** What undici takes as `connect`, so that `fetch` reaches the pod's network. */
  connector(container: ContainerTarget, options?: Pick<DialOptions, 'viaExec'>): PodConnector;
  /** Listens on this machine's loopback and joins each connection with one to `port` in the pod's network. */
  portForward(
    container: ContainerTarget,
    port: number | DialTarget,
    options?: PortForwardOptions & Pick<DialOptions, 'viaExec'>,
  ): Promise<PortForward>;
  /**
   * Copies a file, directory or symlink of this host to the path `destination` in a container; with a slash at its end,
   * into that directory under the source's own name. Missing parent directories are made (mode 0755). A file or symlink
   * replaces a file or symlink; a directory needs a path that is free or an empty directory. Mode, owner (or
   * `options.owner`), times and symlinks are kept. The ways to do it are tried in the order of `CopyMethod`; see there
   * and in the documentation what each needs.
   *
   * Rejects with `PATH_NOT_FOUND` for what is not there, `ALREADY_EXISTS`, `UNSUPPORTED` for sockets, FIFOs and devices,
   * `PERMISSION` for a read-only target, `ABORTED`, `NOT_FOUND` when the container is gone, and `COPY_FAILED` for a full
   * disk or when no way served: its `attempts` give the reason of each.
   */
  copyToContainer(
    container: ContainerTarget,
    source: string,
    destination: string,
    options?: CopyOptions,
  ): Promise<CopyResult>;
  /**
   * Copies a file, directory or symlink of a container to the path `destination` of this host; with a slash at its end,
   * into that directory under the source's own name. Everything belongs to the calling process's user, and set-id bits
   * are dropped; other mode bits, times and symlinks are kept. Otherwise as `copyToContainer`, and `TOO_LARGE` for more
   * than `options` allow.
   */
  copyFromContainer(
    container: ContainerTarget,
    source: string,
    destination: string,
    options?: CopyOptions,
  ): Promise<CopyResult>;
  /**
   * Whether a feature can be used, for the engine or for one container of it (give its detail or the store's container,
   * which know what is withheld). `copy` asks whether any way to copy could serve: `false` only when it is known that
   * none can, as for a stopped container of an engine without archives.
   */
  supports(
    feature: EngineFeature | 'copy',
    container?: {
      readonly withheld?: Readonly<Record<string, string>>;
      readonly runtime?: string;
      readonly state?: ContainerState;
      readonly status?: ContainerStatus;
      readonly pid?: number;
    },
  ): boolean;
  /** The implementation of a feature; undefined when the engine has none. For features that third parties add. */
  feature<Name extends EngineFeature>(name: Name): EngineFeatureMap[Name] | undefined;
  /** Follows all containers until `signal` aborts or the engine is closed; reconnects by itself. Never rejects. */
  watch(watch: ContainerWatch, options: { readonly signal: AbortSignal }): Promise<void>;
  /**
   * The changes of all containers, the present ones first. Ends when `signal` aborts or the engine is closed.
   * Without the feature `events` it lists every 5 s and compares.
   */
  events(options?: { readonly signal?: AbortSignal }): AsyncIterableIterator<ContainerChange>;
  /** Ends running execs' transports, sessions, watches and connections. Commands in containers are not killed, but those
   * in sessions are. Idempotent. */
  close(): Promise<void>;
}
