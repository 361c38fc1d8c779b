import type { Readable, Writable } from 'node:stream';
import type { CrikitError } from './errors/crikit-error.js';

/** What `input` may be; a stream is read with back-pressure and ends the command's stdin at its own end. */
export type ExecInput = string | Uint8Array | Readable | AsyncIterable<Uint8Array | string>;

interface ExecOptions {
  /** Program and arguments; never read by a shell. */
  readonly cmd: readonly string[];
  /** Added to the container's own environment. Default: nothing. */
  readonly env?: Readonly<Record<string, string>>;
  /** Absolute path in the container. Default: the container's own working directory. */
  readonly workingDir?: string;
  /** A name, a uid, `uid:gid` or `name:group`, resolved in the container. Default: root. */
  readonly user?: string;
  /** Default: false. With a terminal there is one output stream, stdout. */
  readonly tty?: boolean;
  /** Kills the command and its children when it takes longer. Default: no limit. */
  readonly timeoutMs?: number;
  /** Kills the command and its children when it aborts. */
  readonly signal?: AbortSignal;
}

export interface ExecRequest extends ExecOptions {
  /** What the command reads from stdin. Default: end of file at once. */
  readonly input?: ExecInput;
  /** For each of stdout and stderr. Beyond it the command is killed and the result is `truncated`. Default: 16 MiB. */
  readonly maxOutputBytes?: number;
  /** Rejects with `ExecFailedError` when the exit code is not 0. Default: false. */
  readonly check?: boolean;
  /**
   * Run it in a shell that is kept open in the container for commands like this one, where there is one that is free;
   * else in an exec of its own, as without it. For small commands that are asked often: the environment then also has
   * what a shell sets by itself (PWD, OLDPWD, SHLVL, _). Default: false.
   */
  readonly reuse?: boolean;
}

export interface ExecAsyncRequest extends ExecOptions {
  /** What the command reads from stdin; with `'pipe'` the caller writes to `stdin`. Default: end of file at once. */
  readonly input?: ExecInput | 'pipe';
  /** Size of the terminal, when `tty`. Default: the engine's. */
  readonly columns?: number;
  readonly rows?: number;
}

export interface ExecResult {
  readonly cmd: readonly string[];
  /** Always the command's real exit code: when it is not known, the call rejects instead. */
  readonly exitCode: number;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** True when the command was killed because it wrote more than `maxOutputBytes`. */
  readonly truncated: boolean;
}

/** A running command. Read both streams, or `resume()` the one that you do not want: an unread stream blocks the command. */
export interface RunningExec extends AsyncDisposable {
  readonly cmd: readonly string[];
  /** Present with `input: 'pipe'`. */
  readonly stdin: Writable | undefined;
  /** Closes with an error and without an end when the engine loses output. Who does not listen for it is not ended by it. */
  readonly stdout: Readable;
  /** As `stdout`. Ends at once with `tty`. */
  readonly stderr: Readable;
  /** Never rejects: the exit code, or the error with which `exec` would have rejected. */
  readonly result: Promise<{ readonly exitCode: number } | { readonly error: CrikitError }>;
  /** Rejects with `UNSUPPORTED` without a `tty` or where the engine cannot. */
  resize(columns: number, rows: number): Promise<void>;
  /** Kills the command and its children, then resolves; `result` carries the error. Harmless when it has ended. */
  kill(): Promise<void>;
}

/** 16 MiB. */
export const DEFAULT_MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
