/**
 * What the author of an engine implements. Core makes a `ContainerEngine` of it (`createContainerEngine`) and adds
 * what must be alike everywhere: deadlines, caps, abort and kill, copying, supervision of events.
 */
import type { Readable, Writable } from 'node:stream';
import type { ContainerReference, ContainerStatus, MountPoint } from './container.js';
import type { CrikitError } from './errors/crikit-error.js';
import type { Logger } from './logger.js';

/** Raised only when an engine written for the older number would break; additions come as optional members. */
export const ENGINE_CONTRACT_VERSION = 1;

/** A plain object; options are bound by the engine package's factory, as in `docker({ socketPath })`. */
export interface EngineDefinition {
  readonly contractVersion: number;
  /** A stable lower-case word: `docker`, `containerd`, … */
  readonly type: string;
  readonly packageName: string;
  readonly packageVersion: string;
  /** Everything that an engine of this type may offer; the driver says what it does offer. */
  readonly possibleFeatures: readonly EngineFeature[];
  /** Looks whether the engine is here and answers. Never rejects and loads nothing heavy. Deadline 2 s. */
  probe(context: EngineContext): Promise<ProbeReport>;
  /** Connects. Rejects with a typed error that names the endpoints tried and what to do. */
  connect(context: EngineContext): Promise<EngineDriver>;
}

export interface EngineContext {
  /** Where the node's root is mounted for this process; `/` when the process runs on the node itself. */
  readonly hostRoot: string;
  /** The environment to read settings such as DOCKER_HOST from. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** Given with every call to a driver. Core races the call against the signal all the same. */
export interface DriverCall {
  /** Aborts when the caller gives up or the deadline has passed. */
  readonly signal: AbortSignal;
}

export interface ProbeAttempt {
  /** A socket path or a URL. */
  readonly endpoint: string;
  readonly origin: 'option' | 'environment' | 'well-known';
  /** How far it got. */
  readonly step: 'stat' | 'connect' | 'handshake' | 'version' | 'done';
  readonly outcome: 'ok' | 'absent' | 'failed';
  /** The system's or the engine's code: ENOENT, EACCES, ECONNREFUSED, ENOTSOCK, TIMEOUT, TOO_OLD, … */
  readonly code?: string;
  readonly message: string;
  /** What to do about it. */
  readonly remedy?: string;
}

export interface ProbeReport {
  /** `not-applicable`: nothing of this engine is on the machine. `failed`: something is, and does not work. */
  readonly status: 'available' | 'not-applicable' | 'failed';
  readonly version?: string;
  readonly attempts: readonly ProbeAttempt[];
}

/** Which pod a container says it belongs to, translated from the engine's own dialect. */
export interface KubernetesMarks {
  readonly kind: 'sandbox' | 'container';
  readonly podUid: string;
  readonly namespace: string;
  readonly podName: string;
  readonly containerName?: string;
  readonly sandboxId?: string;
  /** `engine`: written by the engine, nothing in an image can forge it. `labels`: an image's labels could say the same. */
  readonly trust: 'engine' | 'labels';
}

/** What one cheap list call tells of a container. */
export interface ContainerSummary {
  readonly reference: ContainerReference;
  /** Without a leading slash. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly status: ContainerStatus;
  readonly image?: string;
  readonly kubernetes?: KubernetesMarks;
  /** Equal to the one before: inspecting again is useless. Absent: always inspect. */
  readonly revision?: string;
}

export interface ContainerDetail extends ContainerSummary {
  readonly env: Readonly<Record<string, string>>;
  readonly hostname?: string;
  readonly runtime?: string;
  readonly networkMode?: string;
  readonly pidMode?: string;
  /** Paths are as the daemon sees them; core puts the host root in front. */
  readonly logPath?: string;
  readonly mergedDir?: string;
  readonly mounts: readonly MountPoint[];
  /** Absent when there is no process. */
  readonly pid?: number;
  /** ISO 8601. */
  readonly startedAt?: string;
  readonly exitCode?: number;
  /** Features that this container has not, with the reason. */
  readonly withheld: Readonly<Partial<Record<EngineFeature, string>>>;
}

/** One answer of a batch: the detail, or why there is none. `NOT_FOUND` means that the container is gone. */
export type DetailOutcome =
  | { readonly reference: ContainerReference; readonly detail: ContainerDetail }
  | { readonly reference: ContainerReference; readonly error: CrikitError };

export type ExecField = 'user' | 'workingDir' | 'env' | 'tty' | 'stdin';

/** A command as a driver gets it: checked, tagged, every default filled in. */
export interface DriverExecRequest {
  readonly cmd: readonly string[];
  /** `NAME=value` lines to be added to the container's own environment. */
  readonly env: readonly string[];
  readonly workingDir?: string;
  /** A name, a uid, `uid:gid` or `name:group`; absent when the driver does not declare the field `user`. */
  readonly user?: string;
  readonly tty: boolean;
  /** Whether stdin is to be open; without it the command reads end of file. */
  readonly stdin: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export type ExecExit =
  | { readonly kind: 'exited'; readonly exitCode: number }
  | { readonly kind: 'not-started'; readonly error: CrikitError }
  /** The engine was lost or does not know any more; nobody may take this for success. */
  | { readonly kind: 'unknown'; readonly error: CrikitError };

/** One running exec. Disposing it releases the transport; it does not kill. */
export interface ExecHandle extends AsyncDisposable {
  readonly id: string;
  /** Present exactly when the request asked for stdin. Ending it half-closes: output and exit code still arrive. */
  readonly stdin?: Writable;
  /** Ends when the command's end of the stream is closed. Carries both streams with a tty. */
  readonly stdout: Readable;
  /** Absent with a tty. */
  readonly stderr?: Readable;
  /** Resolves as soon as the end of the process is known, whether or not the streams have ended. Never rejects. */
  readonly exit: Promise<ExecExit>;
  resize?(columns: number, rows: number): Promise<void>;
  /** The engine's own means to signal an exec, where it has one. */
  kill?(signal: NodeJS.Signals): Promise<void>;
  /** Pid on the engine's host; undefined when the engine does not tell or the process is gone. */
  hostPid(): Promise<number | undefined>;
}

export interface EngineDriver extends AsyncDisposable {
  /** Type and endpoint, such as `docker:/run/docker.sock`: the identity of this engine on this node. */
  readonly id: string;
  /** The engine's own version, as it says it. */
  readonly version?: string;
  /** Schemes of `containerID` in pod statuses that mean this engine: `docker`, `containerd`, … */
  readonly containerIdSchemes: readonly string[];
  /** What this engine offers beyond the members below: a key that is here is declared and implemented at once. */
  readonly features: Partial<EngineFeatureMap>;
  /** Whether its containers run on this kernel. A claim: core proves it for each pid before it uses it. */
  readonly locality: 'this-kernel' | 'elsewhere';
  readonly limits: {
    /** Detail calls that are worth having under way at once. */
    readonly parallelDetails: number;
    readonly parallelExecStarts: number;
  };
  /** Fields of an exec request that the engine honours. Core emulates `workingDir` and `env`, refuses the others. */
  readonly execFields: ReadonlySet<ExecField>;
  /** Scope of references that come without one. Default: the empty string. */
  readonly defaultScope?: string;
  /** Every container, running or not, in one cheap call. Deadline 10 s. */
  listAllContainers(call: DriverCall): Promise<readonly ContainerSummary[]>;
  /** One outcome for each reference (for `all`: for each container there is). Rejects only as a whole. Deadline 5 s a batch of 50, at least 5 s. */
  getContainerDetails(of: readonly ContainerReference[] | 'all', call: DriverCall): Promise<readonly DetailOutcome[]>;
  /** The engine's raw object, as it came. */
  getSource(of: ContainerReference, call: DriverCall): Promise<unknown>;
  /** Starts a command and resolves once the streams are attached. Deadline 10 s. */
  startExec(of: ContainerReference, request: DriverExecRequest, call: DriverCall): Promise<ExecHandle>;
}

/** What happened to a container, in the same words for every engine. */
export type EngineEventAction =
  | 'created'
  | 'started'
  | 'paused'
  | 'resumed'
  | 'exited'
  | 'removed'
  | 'updated'
  | 'out-of-memory';

/** A hint that a container changed. The truth comes from list and details. */
export interface EngineEvent {
  readonly action: EngineEventAction;
  readonly reference: ContainerReference;
  /** When the engine says that it happened, in milliseconds since 1970. */
  readonly timeMs: number;
  /** With `exited`, where the engine tells. */
  readonly exitCode?: number;
}

export interface EventFeed extends AsyncDisposable {
  /** Resolves when the feed is lost or disposed; never rejects. `error` is absent after disposal. */
  readonly ended: Promise<{ readonly error?: CrikitError }>;
}

export interface EventsFeature {
  /**
   * Whether everything is reported that happens from the call of `openEvents` on, and not only from its resolution on, as
   * by an engine that can be asked for the past. Core then lists the containers meanwhile. Default: false.
   */
  readonly coversOpening?: boolean;
  /** Resolves when the subscription is proven live: what happens from then on is reported. Does not reconnect. */
  openEvents(onEvent: (event: EngineEvent) => void, call: DriverCall): Promise<EventFeed>;
}

/** Tar streams in and out of a container. Core packs, unpacks and distrusts them. */
export interface ArchiveFeature {
  /** A tar of the file or directory at `path`; its first entry is named after the path's last component. */
  getArchive(of: ContainerReference, path: string, call: DriverCall): Promise<Readable>;
  /** Unpacks `tar` in the existing `directory`. Rejects with `PATH_NOT_FOUND` when there is no such directory. */
  putArchive(of: ContainerReference, directory: string, tar: Readable, call: DriverCall): Promise<void>;
}

/** Features by name. A third party adds its own by declaration merging, with keys `package-name:feature`. */
export interface EngineFeatureMap {
  events: EventsFeature;
  archive: ArchiveFeature;
}

export type EngineFeature = keyof EngineFeatureMap;
