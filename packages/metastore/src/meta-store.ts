import type { Agent } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import type {
  Container,
  ContainerEngine,
  ContainerPath,
  ContainerProcess,
  ContainerReference,
  ContainerRoot,
  CopyOptions,
  CopyResult,
  DialOptions,
  DialTarget,
  DirectoryEntry,
  ExecAsyncRequest,
  ExecRequest,
  ExecResult,
  ExecSession,
  FileStatus,
  HostAccess,
  Pod,
  PodConnector,
  PortForward,
  PortForwardOptions,
  ReadDirOptions,
  ReadFileOptions,
  RunningExec,
  SessionOptions,
  StatOptions,
  WriteFileOptions,
} from '@crikit/core';
import type { ContainerExplanation } from './explain-container.js';
import type { LocalAgentMeta } from './local-agent-meta.js';
import type { MetaStoreEvent } from './meta-store-event.js';
import type { StartOptions } from './meta-store-options.js';
import type { MetaStoreStatus } from './meta-store-status.js';
import type { WaitOptions } from './waiters.js';

/**
 * What names a container to a store: its id (full, its first 12 characters, any prefix of at least 6 that fits one
 * only, each with or without a scheme such as `docker://`), a container of the store, or a reference.
 */
export type StoreTarget = string | Container | ContainerReference;

export type WaitForContainer =
  /** As for `getContainerByCid`. */
  | { readonly cid: string }
  /** As for `getContainerByPid`; looked at again with each change of the store. */
  | { readonly pid: number };

export type WaitForPod =
  | { readonly pod: { readonly namespace: string; readonly name: string } }
  | { readonly podUid: string };

export type WaitTarget = WaitForContainer | WaitForPod;

export interface EventsOptions {
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
  /** Events that may wait for this reader before they are replaced by one `resync`. Default: 1,000. */
  readonly maxWaiting?: number;
}

/**
 * Pods and containers of this node, joined, indexed and live. Look-ups are synchronous, answer from one consistent
 * snapshot and never wait; before the first sync and for what is not there they give undefined or an empty list. When an
 * engine is away they go on answering with the last that is known (see `status`).
 */
export interface MetaStore extends AsyncDisposable {
  /**
   * Looks for the engines and resolves after the first sync of those that were found. An engine that is down does not
   * keep it from resolving, unless `requireReady`. Rejects, and closes the store, with `NoEngineError` when no engine
   * package is imported (with `requireReady`: when no engine answers), with `EngineClashError`, with the engine's error
   * when `requireReady` and one was lost; with `ClosedError` after `close`.
   */
  start(options?: StartOptions): Promise<void>;
  /** Ends everything that the store started; the last snapshot stays readable. Idempotent. */
  close(): Promise<void>;

  getAllPods(): readonly Pod[];
  /** Of several pods of that name (one deleted and recreated) the one that lives. */
  getPod(namespace: string, name: string): Pod | undefined;
  /** Like `getPod`; throws `NoPodError`. */
  getPodOrThrow(namespace: string, name: string): Pod;
  /**
   * Within the grace period also a pod that is not shown any more (deleted, or finished), with `deletedAt`. The same
   * goes for the other look-ups by ids, but not for names and addresses, which soon are another's.
   */
  getPodByUid(uid: string): Pod | undefined;
  /** The pods with this address; those on the node's network, which all have the node's, only when asked for. */
  getPodsByIp(ip: string, options?: { readonly hostNetwork?: boolean }): readonly Pod[];
  /** By the id of its sandbox, a former one included; full, or its first 12 characters. As `getPodByUid`. */
  getPodBySandboxId(sandboxId: string): Pod | undefined;
  /** Like `getPodBySandboxId`; throws `NoPodError`. */
  getPodBySandboxIdOrThrow(sandboxId: string): Pod;
  /** Undefined when no pod owns the container, or its pod is not shown (any more). As `getPodByUid`. */
  getPodOf(container: Pick<Container, 'podUid'>): Pod | undefined;
  /**
   * Within the grace period also a container that the engine no longer has, with `deletedAt`. Throws
   * `AmbiguousContainerError`, with the candidates, when the id fits several.
   */
  getContainerByCid(cid: string): Container | undefined;
  /**
   * The container that a process of this node is in, by the names of its control groups; `pid` as `<hostRoot>/proc`
   * numbers it. Reads that one file, synchronously. Only containers whose id is 64 hexadecimal digits are found. A process
   * in a container inside of another one is in the outermost that the store knows.
   */
  getContainerByPid(pid: number): Container | undefined;
  /** By the engine's name of it or by its name in the pod's spec. */
  getContainersByName(name: string): readonly Container[];
  /** The containers of all pods that are shown; with `withoutPod` those also that no such pod owns. */
  getAllContainers(options?: { readonly withoutPod?: boolean }): readonly Container[];

  /**
   * Free values of the caller's for one container. The map stays the same while the container is known to the store, its
   * grace period included, and is forgotten with it; undefined for an unknown one. Throws `AmbiguousContainerError`.
   */
  attributes(cid: string): Map<string, unknown> | undefined;

  /** Calls `listener` after each change of any pod. Returns the function that removes it. What it throws is logged. */
  onAnyPodChanged(listener: () => void): () => void;
  /**
   * The present state as `pod-added` and `container-added`, then every change, in order, none missed and none doubled.
   * A reader that falls behind gets one `resync` with the whole state instead. Ends on `close`, and when `signal` aborts.
   */
  events(options?: EventsOptions): AsyncIterableIterator<MetaStoreEvent>;
  status(): MetaStoreStatus;
  /**
   * Resolves with the container or pod as soon as the store shows it, at once when it does already. Rejects with
   * `NoSuchContainerError` or `NoPodError` when `timeoutMs` has passed, with `ABORTED` when the signal aborts, with
   * `ClosedError`, with `AmbiguousContainerError`.
   */
  waitFor(target: WaitForContainer, options?: WaitOptions): Promise<Container>;
  waitFor(target: WaitForPod, options?: WaitOptions): Promise<Pod>;
  /**
   * Why the store knows a container and shows it as it does: engine, pod, role; or why it does not. Never throws.
   */
  explain(cid: string): ContainerExplanation;
  /** Who the agent is, and where, as far as it is known now. */
  localAgentMeta(): LocalAgentMeta;

  /**
   * The engine of a container. Without an argument the only engine; throws `InvalidArgumentError` when there are several,
   * `EngineUnavailableError` when there is none. Throws `NoSuchContainerError`, `AmbiguousContainerError`.
   */
  engine(container?: StoreTarget): ContainerEngine;
  /** As `ContainerEngine.exec`, on the container's engine. Rejects also as `engine` throws. */
  exec(container: StoreTarget, request: ExecRequest): Promise<ExecResult>;
  /** As `ContainerEngine.execAsync`. */
  execAsync(container: StoreTarget, request: ExecAsyncRequest): Promise<RunningExec>;
  /** As `ContainerEngine.openSession`. */
  openSession(container: StoreTarget, options?: SessionOptions): Promise<ExecSession>;
  /** As `ContainerEngine.dial`. */
  dial(container: StoreTarget, target: DialTarget, options?: DialOptions): Promise<Socket>;
  /** As `ContainerEngine.httpAgent`. Throws as `engine` does. */
  httpAgent(container: StoreTarget, options?: Pick<DialOptions, 'viaExec'>): Agent;
  /** As `ContainerEngine.connector`. Throws as `engine` does. */
  connector(container: StoreTarget, options?: Pick<DialOptions, 'viaExec'>): PodConnector;
  /** As `ContainerEngine.portForward`. */
  portForward(
    container: StoreTarget,
    port: number | DialTarget,
    options?: PortForwardOptions & Pick<DialOptions, 'viaExec'>,
  ): Promise<PortForward>;
  /** As `ContainerEngine.copyToContainer`. */
  copyToContainer(
    container: StoreTarget,
    source: string,
    destination: string,
    options?: CopyOptions,
  ): Promise<CopyResult>;
  /** As `ContainerEngine.copyFromContainer`. */
  copyFromContainer(
    container: StoreTarget,
    source: string,
    destination: string,
    options?: CopyOptions,
  ): Promise<CopyResult>;

  /**
   * Opens a container's file system for race-free access from the host, without an exec; close it after use. The four
   * calls below do the same for one file: see `ContainerRoot` for what they promise and how they fail. Rejects with
   * `UNSUPPORTED` for containers that are no processes of this kernel, with `NOT_RUNNING`, with `PERMISSION` when this
   * process may not look into the container, and as `engine` throws.
   */
  openRoot(container: StoreTarget): Promise<ContainerRoot>;
  readFile(container: StoreTarget, path: ContainerPath, options?: ReadFileOptions): Promise<Buffer>;
  stat(container: StoreTarget, path: ContainerPath, options?: StatOptions): Promise<FileStatus>;
  readDir(container: StoreTarget, path: ContainerPath, options?: ReadDirOptions): Promise<readonly DirectoryEntry[]>;
  writeFile(
    container: StoreTarget,
    path: ContainerPath,
    data: string | Uint8Array | Readable,
    options?: WriteFileOptions,
  ): Promise<void>;
  /** What this process may do to the container from the host, and why no more. Rejects as `engine` throws. */
  getHostAccess(container: StoreTarget): Promise<HostAccess>;
  /** The container's processes, from the host's /proc; empty when it has none. See core's `listProcesses`. */
  listProcesses(
    container: StoreTarget,
    options?: { readonly signal?: AbortSignal },
  ): Promise<readonly ContainerProcess[]>;
}
