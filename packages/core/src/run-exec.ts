import { finished, PassThrough, Readable, type Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { callDriver } from './call-driver.js';
import type { ContainerReference } from './container.js';
import { disposeQuietly } from './dispose-quietly.js';
import type { EngineDriver, ExecExit, ExecHandle } from './engine-contract.js';
import { CommandNotFoundError } from './errors/command-not-found-error.js';
import { type CrikitError, isCrikitError } from './errors/crikit-error.js';
import { ExecAbortedError } from './errors/exec-aborted-error.js';
import { ExecFailedError } from './errors/exec-failed-error.js';
import type { ExecTermination } from './errors/exec-interrupted.js';
import { ExecTimeoutError } from './errors/exec-timeout-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { ProtocolError } from './errors/protocol-error.js';
import { TooLargeError } from './errors/too-large-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { WorkingDirNotFoundError } from './errors/working-dir-not-found-error.js';
import {
  DEFAULT_MAX_OUTPUT_BYTES,
  type ExecAsyncRequest,
  type ExecInput,
  type ExecRequest,
  type ExecResult,
  type RunningExec,
} from './exec-request.js';
import {
  type EmulationFailure,
  emulationFailure,
  emulationPrefix,
  type PreparedExec,
  prepareExec,
  type WantedExec,
} from './prepare-exec.js';
import { type TerminationExtent, terminateExec } from './terminate-exec.js';

export interface ExecContext {
  readonly driver: EngineDriver;
  readonly hostRoot: string;
  readonly agentName: string | undefined;
  readonly limitStarts: <Value>(run: () => Promise<Value>) => Promise<Value>;
}

const startDeadlineMs = 10_000;
/** How long an interrupted caller waits for a start that is under way, so that what started can be killed. */
const startGraceMs = 2_000;
/** After the end of the process: how long its streams may stay silent before they are closed. */
const silenceGraceMs = 2_000;
/** After a kill: how long the engine may take to report the end. */
const exitAfterKillMs = 3_000;
const emulationDiagnosticsBytes = 64;

export interface StartedExec {
  readonly handle: ExecHandle;
  readonly prepared: PreparedExec;
  readonly interruption: Interruption;
  terminate(extent?: TerminationExtent): Promise<ExecTermination>;
}

/** Runs a command to its end. See `ContainerEngine.exec`. */
export async function runExec(
  context: ExecContext,
  reference: ContainerReference,
  request: ExecRequest,
): Promise<ExecResult> {
  const maxOutputBytes = request.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  if (!(maxOutputBytes >= 0))
    throw new InvalidArgumentError(`maxOutputBytes must be 0 or more, not ${maxOutputBytes}.`);
  const started = await startExec(context, reference, request, request.input !== undefined);
  const { handle, interruption } = started;
  const stdout = new OutputCollector(handle.stdout, maxOutputBytes);
  const stderr = new OutputCollector(handle.stderr, maxOutputBytes);
  const input = request.input === undefined ? undefined : feedInput(request.input, handle.stdin);
  try {
    const ended = Promise.all([handle.exit, afterStreams(handle.exit, [stdout, stderr])]).then(([exit]) => exit);
    const first = await Promise.race([
      ended.then((exit) => ({ kind: 'ended' as const, exit })),
      interruption.happened,
      Promise.race([stdout.overflow, stderr.overflow]).then(() => ({ kind: 'overflow' as const })),
      failureOf(input).then((error) => ({ kind: 'input' as const, error })),
    ]);
    if (first.kind === 'ended') {
      return conclude(context, reference, started, request, first.exit, stdout, stderr);
    }
    stdout.stopKeeping();
    stderr.stopKeeping();
    const termination = await started.terminate();
    if (first.kind === 'overflow') {
      const exit = await Promise.race([handle.exit, delay(exitAfterKillMs, undefined, { ref: false })]);
      if (exit?.kind === 'exited') return result(request, exit.exitCode, stdout, stderr, true, context);
      throw new TooLargeError(
        `${JSON.stringify(request.cmd)} wrote more than ${maxOutputBytes} bytes; its end could not be confirmed: ${termination.detail}.`,
        { engine: context.driver.id, applied: 'yes' },
      );
    }
    const about = { cmd: request.cmd, stdout: stdout.bytes(), stderr: stderr.bytes(), termination };
    if (first.kind === 'input') {
      throw new ExecAbortedError(`${JSON.stringify(request.cmd)} was killed: reading its input failed.`, about, {
        engine: context.driver.id,
        applied: 'yes',
        cause: first.error,
      });
    }
    throw interrupted(context, request, first, about);
  } finally {
    interruption.stop();
    await disposeQuietly(handle);
  }
}

function conclude(
  context: ExecContext,
  reference: ContainerReference,
  started: StartedExec,
  request: ExecRequest,
  exit: ExecExit,
  stdout: OutputCollector,
  stderr: OutputCollector,
): ExecResult {
  if (exit.kind !== 'exited') throw exit.error;
  const lost = stdout.error ?? stderr.error;
  if (lost !== undefined) {
    throw new ProtocolError(`Output of ${JSON.stringify(request.cmd)} is missing: ${lost.message}.`, {
      engine: context.driver.id,
      applied: 'yes',
      cause: lost,
    });
  }
  const diagnostics = started.handle.stderr === undefined ? stdout : stderr;
  const failure = emulationError(context, reference, started.prepared, request, diagnostics.bytes());
  if (failure !== undefined) throw failure;
  return result(request, exit.exitCode, stdout, stderr, stdout.overflowed || stderr.overflowed, context);
}

function result(
  request: ExecRequest,
  exitCode: number,
  stdout: OutputCollector,
  stderr: OutputCollector,
  truncated: boolean,
  context: ExecContext,
): ExecResult {
  const ended: ExecResult = { cmd: request.cmd, exitCode, stdout: stdout.bytes(), stderr: stderr.bytes(), truncated };
  if (request.check === true && exitCode !== 0) throw new ExecFailedError(ended, { engine: context.driver.id });
  return ended;
}

/** Starts a command and hands out its streams. See `ContainerEngine.execAsync`. */
export async function runExecAsync(
  context: ExecContext,
  reference: ContainerReference,
  request: ExecAsyncRequest,
): Promise<RunningExec> {
  const started = await startExec(context, reference, request, request.input !== undefined);
  const { handle, interruption } = started;
  const input =
    request.input === undefined || request.input === 'pipe' ? undefined : feedInput(request.input, handle.stdin);
  const notOutput = started.prepared.emulated ? emulationPrefix(started.prepared.marker) : undefined;
  const stdout = new OutputForwarder(handle.stdout, handle.stderr === undefined ? notOutput : undefined);
  const stderr = new OutputForwarder(handle.stderr, notOutput);
  let killed: (() => void) | undefined;
  const killAsked = new Promise<{ kind: 'killed' }>((resolve) => {
    killed = () => resolve({ kind: 'killed' });
  });

  const settle = async (): Promise<{ exitCode: number } | { error: CrikitError }> => {
    const first = await Promise.race([
      handle.exit.then((exit) => ({ kind: 'ended' as const, exit })),
      interruption.happened,
      killAsked,
      failureOf(input).then((error) => ({ kind: 'input' as const, error })),
    ]);
    if (first.kind === 'ended') {
      if (first.exit.kind !== 'exited') return { error: first.exit.error };
      const teller = handle.stderr === undefined ? stdout : stderr;
      // The end may be known before what was written last has arrived.
      if (started.prepared.emulated && first.exit.exitCode >= 126) {
        await Promise.race([teller.done, delay(silenceGraceMs, undefined, { ref: false })]);
      }
      const diagnostics = teller.beginning();
      const failure = emulationError(context, reference, started.prepared, request, diagnostics);
      return failure === undefined ? { exitCode: first.exit.exitCode } : { error: failure };
    }
    const termination = await started.terminate();
    const about = { cmd: request.cmd, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), termination };
    if (first.kind === 'timeout' || first.kind === 'aborted') {
      return { error: interrupted(context, request, first, about) };
    }
    const why = first.kind === 'killed' ? 'by `kill`' : 'since reading its input failed';
    return {
      error: new ExecAbortedError(`${JSON.stringify(request.cmd)} was ended ${why}.`, about, {
        engine: context.driver.id,
        applied: 'yes',
        ...(first.kind === 'input' ? { cause: first.error } : {}),
      }),
    };
  };
  const settled = settle();
  const streamsDone = afterStreams(settled, [stdout, stderr]);
  void streamsDone.then(async () => {
    interruption.stop();
    stdout.end();
    stderr.end();
    await disposeQuietly(handle);
  });

  const kill = async (): Promise<void> => {
    killed?.();
    await settled;
  };
  return {
    cmd: request.cmd,
    stdin: request.input === 'pipe' ? handle.stdin : undefined,
    stdout: stdout.output,
    stderr: stderr.output,
    result: settled,
    async resize(columns, rows) {
      if (request.tty !== true || handle.resize === undefined) {
        throw new UnsupportedError('Only a command that was started with `tty` has a terminal to resize.', {
          engine: context.driver.id,
          applied: 'no',
        });
      }
      const { resize } = handle;
      await callDriver({ what: 'resize the terminal', engine: context.driver.id, timeoutMs: startDeadlineMs }, () =>
        resize.call(handle, columns, rows),
      );
    },
    kill,
    async [Symbol.asyncDispose]() {
      await kill();
      stdout.output.resume();
      stderr.output.resume();
      await streamsDone;
    },
  };
}

export async function startExec(
  context: ExecContext,
  reference: ContainerReference,
  wanted: WantedExec & { readonly signal?: AbortSignal },
  stdin: boolean,
): Promise<StartedExec> {
  const { driver } = context;
  const prepared = prepareExec(wanted, stdin, {
    engine: driver.id,
    execFields: driver.execFields,
    agentName: context.agentName,
  });
  const interruption = createInterruption(wanted.timeoutMs, wanted.signal);
  const nothingYet = { cmd: wanted.cmd, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), termination: undefined };
  const terminate = (handle: ExecHandle | undefined, extent?: TerminationExtent): Promise<ExecTermination> =>
    terminateExec({
      driver,
      hostRoot: context.hostRoot,
      reference,
      request: prepared.request,
      marker: prepared.marker,
      handle,
      extent,
    });
  if (interruption.already !== undefined) {
    interruption.stop();
    throw interrupted(context, wanted, interruption.already, nothingYet, 'no');
  }
  // The caller's signal is not handed down: a start that is cut off in the middle would leave a process that nobody holds.
  const discard = (handle: ExecHandle): void => {
    void terminate(handle).finally(() => disposeQuietly(handle));
  };
  const start = context.limitStarts(() =>
    callDriver(
      {
        what: `start ${JSON.stringify(wanted.cmd[0])} in container ${reference.id}`,
        engine: driver.id,
        timeoutMs: startDeadlineMs,
        onLate: discard,
      },
      (signal) => driver.startExec(reference, prepared.request, { signal }),
    ),
  );
  start.catch(() => {});
  const first = await Promise.race([
    start.then(
      (handle) => ({ kind: 'started' as const, handle }),
      (error: unknown) => ({ kind: 'failed' as const, error }),
    ),
    interruption.happened,
  ]);
  if (first.kind === 'started') {
    return { handle: first.handle, prepared, interruption, terminate: (extent) => terminate(first.handle, extent) };
  }
  interruption.stop();
  if (first.kind === 'failed') {
    // After an unanswered start the process may run all the same; whatever carries the marker is ended.
    if (isCrikitError(first.error) && first.error.code === 'TIMEOUT') void terminate(undefined);
    throw first.error;
  }
  const late = await Promise.race([
    start.catch(() => undefined),
    delay(startGraceMs, 'pending' as const, { ref: false }),
  ]);
  if (late === undefined) throw interrupted(context, wanted, first, nothingYet, 'no');
  if (late === 'pending') {
    void start.then(discard, () => {});
    const termination: ExecTermination = {
      methods: ['none'],
      confirmed: false,
      detail: 'the engine had not answered the start yet; what it starts will be killed when it does',
    };
    throw interrupted(context, wanted, first, { ...nothingYet, termination });
  }
  const termination = await terminate(late);
  await disposeQuietly(late);
  throw interrupted(context, wanted, first, { ...nothingYet, termination }, 'yes');
}

export type InterruptionCause = { readonly kind: 'timeout' } | { readonly kind: 'aborted'; readonly reason: unknown };

export interface Interruption {
  readonly happened: Promise<InterruptionCause>;
  /** Set when the signal had been aborted before anything began. */
  readonly already: InterruptionCause | undefined;
  /** As the caller's signal does, for another reason. */
  abort(reason: unknown): void;
  stop(): void;
}

export function createInterruption(timeoutMs: number | undefined, signal: AbortSignal | undefined): Interruption {
  let stop = (): void => {};
  let abort = (_reason: unknown): void => {};
  const happened = new Promise<InterruptionCause>((resolve) => {
    abort = (reason) => resolve({ kind: 'aborted', reason });
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => resolve({ kind: 'timeout' }), timeoutMs);
    const onAbort = (): void => abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
  });
  const already = signal?.aborted === true ? { kind: 'aborted' as const, reason: signal.reason } : undefined;
  return { happened, already, abort: (reason) => abort(reason), stop: () => stop() };
}

export function interrupted(
  context: ExecContext,
  wanted: WantedExec,
  cause: InterruptionCause,
  about: ConstructorParameters<typeof ExecTimeoutError>[1],
  applied: 'no' | 'yes' | 'unknown' = 'yes',
): CrikitError {
  const how = about.termination;
  const end =
    how === undefined
      ? 'it had not been started'
      : how.confirmed
        ? `it was ended by ${how.methods.join(', ')}`
        : `its end is not confirmed: ${how.detail}`;
  const command = JSON.stringify(wanted.cmd);
  if (cause.kind === 'timeout') {
    return new ExecTimeoutError(`${command} took longer than ${wanted.timeoutMs} ms; ${end}.`, about, {
      engine: context.driver.id,
      applied,
    });
  }
  return new ExecAbortedError(`${command} was aborted; ${end}.`, about, {
    engine: context.driver.id,
    applied,
    cause: cause.reason,
  });
}

function emulationError(
  context: ExecContext,
  reference: ContainerReference,
  prepared: PreparedExec,
  wanted: WantedExec,
  diagnostics: Buffer,
): CrikitError | undefined {
  if (!prepared.emulated) return undefined;
  const failure = emulationFailure(prepared.marker, diagnostics.toString('latin1'));
  return failure === undefined ? undefined : startFailure(context, reference, wanted, failure);
}

/** What a shell in the container found that keeps a command from starting. */
export function startFailure(
  context: ExecContext,
  reference: ContainerReference,
  wanted: WantedExec,
  failure: EmulationFailure,
): CrikitError {
  const options = { engine: context.driver.id, applied: 'no' as const };
  if (failure === 'workdir') {
    return new WorkingDirNotFoundError(`Container ${reference.id} has no directory '${wanted.workingDir}'.`, options);
  }
  return new CommandNotFoundError(`Container ${reference.id} has no command '${wanted.cmd[0]}'.`, options);
}

interface OutputSink {
  readonly done: Promise<void>;
  /** When the last data came; undefined while a slow reader holds the stream up. */
  quietSince(): number | undefined;
}

/** Resolves when the streams have ended, or, the process being gone, when they have been silent for the grace time. */
async function afterStreams(exit: Promise<unknown>, sinks: readonly OutputSink[]): Promise<void> {
  let streamsEnded = false;
  const allDone = Promise.all(sinks.map((sink) => sink.done)).then(() => {
    streamsEnded = true;
  });
  await Promise.race([exit, allDone]);
  const exitAt = Date.now();
  while (!streamsEnded) {
    const times = sinks.map((sink) => sink.quietSince());
    const silent = times.every((time) => time !== undefined && Date.now() - Math.max(time, exitAt) >= silenceGraceMs);
    if (silent) return;
    let timer: NodeJS.Timeout | undefined;
    const looksAgain = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, silenceGraceMs / 8);
    });
    await Promise.race([allDone, looksAgain]);
    clearTimeout(timer);
  }
  await exit;
}

class OutputCollector implements OutputSink {
  readonly done: Promise<void>;
  readonly overflow: Promise<void>;
  overflowed = false;
  error: Error | undefined;
  readonly #chunks: Buffer[] = [];
  #kept = 0;
  #keeping = true;
  #lastData = 0;

  constructor(stream: Readable | undefined, maxBytes: number) {
    let markOverflow = (): void => {};
    this.overflow = new Promise((resolve) => {
      markOverflow = resolve;
    });
    if (stream === undefined) {
      this.done = Promise.resolve();
      return;
    }
    stream.on('data', (chunk: Buffer) => {
      this.#lastData = Date.now();
      if (!this.#keeping) return;
      const room = maxBytes - this.#kept;
      this.#chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
      this.#kept += Math.min(chunk.length, room);
      if (chunk.length > room) {
        this.overflowed = true;
        this.#keeping = false;
        markOverflow();
      }
    });
    this.done = new Promise((resolve) => {
      finished(stream, { writable: false }, (error) => {
        this.error = error ?? undefined;
        resolve();
      });
    });
  }

  quietSince(): number {
    return this.#lastData;
  }

  /** What comes from now on is read and dropped. */
  stopKeeping(): void {
    this.#keeping = false;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#chunks, this.#kept);
  }
}

/** Hands a stream on to the caller, so that it can be ended properly when a stray child holds the real one open. */
class OutputForwarder implements OutputSink {
  readonly output = new PassThrough();
  readonly done: Promise<void>;
  readonly #source: Readable | undefined;
  readonly #beginning: Buffer[] = [];
  #beginningBytes = 0;
  #lastData = 0;
  /** What has come so far while it may be, or is, no output of the command. */
  #held: Buffer | undefined;
  readonly #notOutput: Buffer;

  /** A stream that begins with `notOutput` was written by the shell that stands in for the engine, and is not handed on. */
  constructor(source: Readable | undefined, notOutput = '') {
    this.#source = source;
    this.#notOutput = Buffer.from(notOutput);
    this.#held = notOutput === '' ? undefined : Buffer.alloc(0);
    if (source === undefined) {
      this.output.end();
      this.done = Promise.resolve();
      return;
    }
    source.on('data', (chunk: Buffer) => {
      this.#lastData = Date.now();
      if (this.#beginningBytes < emulationDiagnosticsBytes) {
        const kept = Buffer.from(chunk.subarray(0, emulationDiagnosticsBytes));
        this.#beginning.push(kept);
        this.#beginningBytes += kept.length;
      }
      const output = this.#release(chunk);
      if (output === undefined || !this.output.writable) return;
      if (!this.output.write(output)) source.pause();
    });
    this.output.on('drain', () => source.resume());
    this.output.on('close', () => source.resume());
    // An engine that loses output must not end the process of who does not listen for it: the stream has the error all the
    // same, and closes without an end.
    this.output.on('error', () => {});
    this.done = new Promise((resolve) => {
      finished(source, { writable: false }, (error) => {
        if (error != null && !this.output.writableEnded) this.output.destroy(error);
        resolve();
      });
    });
  }

  #release(chunk: Buffer): Buffer | undefined {
    if (this.#held === undefined) return chunk;
    const all = Buffer.concat([this.#held, chunk]);
    const compared = Math.min(all.length, this.#notOutput.length);
    const alike = all.subarray(0, compared).equals(this.#notOutput.subarray(0, compared));
    this.#held = alike ? all : undefined;
    return alike ? undefined : all;
  }

  quietSince(): number | undefined {
    return this.output.writableNeedDrain && !this.output.destroyed ? undefined : this.#lastData;
  }

  beginning(): Buffer {
    return Buffer.concat(this.#beginning);
  }

  end(): void {
    if (!this.output.destroyed && !this.output.writableEnded) {
      if (this.#held !== undefined && this.#held.length < this.#notOutput.length) this.output.write(this.#held);
      this.output.end();
    }
    this.#source?.resume();
  }
}

async function feedInput(input: ExecInput, stdin: Writable | undefined): Promise<void> {
  if (stdin === undefined) throw new ProtocolError('The engine gave no stdin although one was asked for.');
  const source =
    typeof input === 'string' || input instanceof Uint8Array
      ? Readable.from([Buffer.from(input)])
      : Readable.from(input);
  try {
    let gone = false;
    // A command may end, or close its stdin, without having read everything: not an error of the exec.
    stdin.on('error', () => {
      gone = true;
      source.destroy();
    });
    stdin.on('close', () => {
      gone = true;
      source.destroy();
    });
    for await (const chunk of source) {
      if (gone || stdin.destroyed) return;
      if (!stdin.write(chunk)) await drained(stdin);
    }
    if (!stdin.destroyed) stdin.end();
  } catch (error) {
    if (stdin.destroyed || stdin.errored != null) return;
    throw error;
  }
}

function drained(stdin: Writable): Promise<void> {
  if (stdin.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const release = (): void => {
      stdin.off('drain', release);
      stdin.off('close', release);
      resolve();
    };
    stdin.on('drain', release);
    stdin.on('close', release);
  });
}

/** Resolves with the error of the input, if it fails; else never. */
function failureOf(input: Promise<void> | undefined): Promise<unknown> {
  return new Promise((resolve) => {
    input?.catch(resolve);
  });
}
