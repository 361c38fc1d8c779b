import { type Readable, Writable } from 'node:stream';
import {
  ClosedError,
  type ContainerReference,
  type CrikitError,
  type DriverExecRequest,
  demultiplexStream,
  EngineUnavailableError,
  type ExecExit,
  type ExecHandle,
  isCrikitError,
  ProtocolError,
  withDeadline,
} from '@crikit/core';
import type { Daemon } from './daemon.js';
import type { DaemonExecState } from './daemon-replies.js';
import type { DaemonExecOptions, DockerodeApi } from './dockerode-api.js';
import { type HeldOutput, holdStartFailure } from './hold-start-failure.js';
import { mapStartFailure } from './map-daemon-error.js';

/** While the streams are open, the end of the process is asked for at intervals that grow from the first to the second. */
const firstPollMs = 250;
const longestPollMs = 2_000;
/** How soon it is asked whether a command has started whose first output looks like Docker's own message. */
const heldPollMs = 30;
/** After the streams have ended the daemon needs a moment at most; a command that has closed them itself may run on. */
const firstPollAfterEndMs = 10;
const inspectDeadlineMs = 10_000;
/** Longer than any daemon took to note the end of an exec whose process never was. */
const unknownExitAfterMs = 10_000;
const messageGraceMs = 1_000;

/** What is known of an exec when its state is judged; all of it from before the state was asked for. */
export interface ExecSigns {
  /** An earlier inspection has said so. */
  readonly wasRunning: boolean;
  readonly connectionEnded: boolean;
  readonly hasOutput: boolean;
  /** The only output is what may be the daemon's own message. */
  readonly hasMessage: boolean;
  readonly sinceStartMs: number;
}

export type ExecVerdict = 'running' | 'exited' | 'not-started';

/** How a daemon's execs differ from those of others. */
export interface ExecDialect {
  /** What the create's body has beside the members that all daemons know. */
  options(request: DriverExecRequest): Partial<DaemonExecOptions>;
  /** Whether a text that ends as the daemon's messages do may be one. Default: yes. */
  isLikelyMessage?(text: string, execId: string, request: DriverExecRequest): boolean;
  judge(state: DaemonExecState, signs: ExecSigns): ExecVerdict;
}

export async function startDaemonExec(
  api: DockerodeApi,
  daemon: Daemon,
  dialect: ExecDialect,
  of: ContainerReference,
  request: DriverExecRequest,
  signal: AbortSignal,
): Promise<ExecHandle> {
  const options: DaemonExecOptions = {
    Cmd: request.cmd,
    Env: request.env,
    AttachStdin: request.stdin,
    AttachStdout: true,
    AttachStderr: true,
    Tty: request.tty,
    ...(request.user === undefined ? {} : { User: request.user }),
    ...dialect.options(request),
  };
  const execId = await api.createExec(of.id, options, signal);
  const connection = await api.startExec(execId, options, signal);
  const handle = createExecHandle(api, daemon, dialect, of, execId, request, connection);
  if (request.columns !== undefined && request.rows !== undefined && options.ConsoleSize === undefined) {
    // Where the create does not take the size, it can be told only after the start, when the process is there.
    const { columns, rows } = request;
    void handle.resize?.(columns, rows).catch(() => {});
  }
  return handle;
}

function createExecHandle(
  api: DockerodeApi,
  daemon: Daemon,
  dialect: ExecDialect,
  of: ContainerReference,
  execId: string,
  request: DriverExecRequest,
  connection: Readable,
): ExecHandle {
  const released = new AbortController();
  // The end of the connection says nothing about the command: a daemon that dies and a command that ends look alike.
  connection.on('error', () => {});
  const connectionEnded = new Promise<void>((resolve) => {
    connection.once('end', resolve);
    connection.once('close', resolve);
  });
  const gate = holdStartFailure(
    connection,
    !request.tty,
    (text) => dialect.isLikelyMessage?.(text, execId, request) ?? true,
  );
  const streams = request.tty ? undefined : demultiplexStream(gate.output);
  void streams?.ended.then(({ error }) => {
    if (error === undefined || released.signal.aborted) return;
    streams.stdout.destroy(error);
    streams.stderr.destroy(error);
  });
  const exit = awaitExit({
    inspect: () => withDeadline(released.signal, inspectDeadlineMs, (signal) => api.inspectExec(execId, signal)),
    gate,
    connectionEnded,
    released: released.signal,
    messageArrived: () => withTimeLimit(connectionEnded, messageGraceMs),
    mapFailure: (message, exitCode) =>
      mapStartFailure(message, exitCode, { daemon, container: of.id, command: request.cmd[0] ?? '' }),
    judge: (state, signs) => dialect.judge(state, signs),
    daemon,
    execId,
  });
  const hasStdin = request.stdin ? { stdin: createStdin(connection, request.tty, daemon) } : {};
  const output = streams === undefined ? { stdout: gate.output } : { stdout: streams.stdout, stderr: streams.stderr };
  return {
    id: execId,
    ...hasStdin,
    ...output,
    exit,
    ...(request.tty
      ? { resize: (columns: number, rows: number) => resize(api, execId, columns, rows, released.signal) }
      : {}),
    hostPid: () => hostPid(api, execId, released.signal),
    async [Symbol.asyncDispose]() {
      released.abort();
      connection.destroy();
    },
  };
}

interface ExitWatch {
  readonly inspect: () => Promise<DaemonExecState | undefined>;
  readonly gate: HeldOutput;
  readonly connectionEnded: Promise<void>;
  readonly released: AbortSignal;
  /** Resolves when the daemon has said why a command did not start, or has had the time to. */
  readonly messageArrived: () => Promise<void>;
  readonly mapFailure: (message: string, exitCode: number | undefined) => CrikitError;
  readonly judge: (state: DaemonExecState, signs: ExecSigns) => ExecVerdict;
  readonly daemon: Daemon;
  readonly execId: string;
}

/**
 * Usually the streams end and one inspection tells the exit code. A child that was left in the background may hold the
 * streams open, so the end is asked for from time to time as well.
 */
async function awaitExit(watch: ExitWatch): Promise<ExecExit> {
  const { gate, released, daemon } = watch;
  const wakeUps = createWakeUps(released);
  const startedAt = performance.now();
  let wasRunning = false;
  let ended = false;
  let endedAt = 0;
  void watch.connectionEnded.then(() => {
    ended = true;
    endedAt = performance.now();
    wakeUps.wake();
  });
  let checkHeld = false;
  void gate.held.then(() => {
    checkHeld = true;
    wakeUps.wake();
  });
  try {
    let pauseMs = firstPollMs;
    let afterEnd = false;
    let failures = 0;
    await wakeUps.sleep(pauseMs, () => ended || checkHeld);
    for (;;) {
      if (released.aborted) return unknown(releasedEarly(watch));
      if (checkHeld && !ended) {
        checkHeld = false;
        await wakeUps.sleep(heldPollMs, () => ended);
      }
      const endedBefore = ended;
      const signs: ExecSigns = {
        wasRunning,
        connectionEnded: ended,
        hasOutput: gate.hasPassed,
        hasMessage: gate.isHeld,
        sinceStartMs: performance.now() - startedAt,
      };
      let state: DaemonExecState | undefined;
      try {
        state = await watch.inspect();
      } catch (error) {
        if (released.aborted) return unknown(releasedEarly(watch));
        // A daemon that is slow to answer is not lost as long as the stream stands.
        if (isCrikitError(error) && error.code === 'TIMEOUT' && !ended) continue;
        // One broken connection does not make a lost daemon: that one refuses the next connection, too.
        failures += 1;
        if (failures > 1) return unknown(lost(watch, error));
        await wakeUps.sleep(firstPollAfterEndMs, () => false);
        continue;
      }
      if (state === undefined) return unknown(lost(watch, undefined));
      failures = 0;
      wasRunning ||= state.running;
      if (state.pid !== undefined && state.pid > 0) gate.release();
      const verdict = watch.judge(state, signs);
      if (verdict === 'not-started') return await notStarted(watch, state.exitCode);
      if (verdict === 'exited' && state.exitCode !== undefined) {
        gate.release();
        return { kind: 'exited', exitCode: state.exitCode };
      }
      if (endedBefore && !state.running && performance.now() - endedAt > unknownExitAfterMs) {
        return unknown(
          new ProtocolError(`${daemon.product} never told how exec ${watch.execId} ended.`, {
            engine: daemon.engine,
            applied: 'unknown',
          }),
        );
      }
      if (endedBefore && !afterEnd) {
        afterEnd = true;
        pauseMs = firstPollAfterEndMs;
      }
      await wakeUps.sleep(pauseMs, () => ended !== endedBefore || checkHeld);
      pauseMs = Math.min(pauseMs * 2, longestPollMs);
    }
  } finally {
    wakeUps.stop();
    gate.release();
  }
}

async function notStarted(watch: ExitWatch, exitCode: number | undefined): Promise<ExecExit> {
  await watch.messageArrived();
  return { kind: 'not-started', error: watch.mapFailure(watch.gate.takeMessage(), exitCode) };
}

function unknown(error: CrikitError): ExecExit {
  return { kind: 'unknown', error };
}

function lost({ daemon: { product, engine }, execId }: ExitWatch, cause: unknown): EngineUnavailableError {
  const why =
    cause === undefined
      ? 'it does not know the exec any more, because it was restarted or the container was removed'
      : cause instanceof Error
        ? cause.message
        : String(cause);
  return new EngineUnavailableError(
    `${product} was lost while exec ${execId} ran, and how it ended is unknown: ${why}.`,
    { engine, applied: 'unknown', cause, remedy: 'The command may still run; look before you repeat it.' },
  );
}

function releasedEarly({ daemon: { engine }, execId }: ExitWatch): ClosedError {
  return new ClosedError(`Exec ${execId} was released before its end was known.`, { engine, applied: 'unknown' });
}

interface WakeUps {
  /** Resolves after `durationMs`, at a wake-up when `until` holds, or on release. Keeps no process alive. */
  sleep(durationMs: number, until: () => boolean): Promise<void>;
  wake(): void;
  stop(): void;
}

function createWakeUps(released: AbortSignal): WakeUps {
  let wake = (): void => {};
  const onAbort = (): void => wake();
  released.addEventListener('abort', onAbort, { once: true });
  return {
    sleep(durationMs, until) {
      return new Promise((resolve) => {
        const timer = setTimeout(() => finish(), durationMs);
        timer.unref();
        const finish = (): void => {
          clearTimeout(timer);
          wake = () => {};
          resolve();
        };
        wake = () => {
          if (until() || released.aborted) finish();
        };
        wake();
      });
    },
    wake: () => wake(),
    stop: () => released.removeEventListener('abort', onAbort),
  };
}

async function withTimeLimit(promise: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
    timer.unref();
  });
  await Promise.race([promise, limit]);
  clearTimeout(timer);
}

const endOfTransmission = 0x04;
const newline = 0x0a;

function createStdin(connection: Readable, tty: boolean, { product }: Daemon): Writable {
  const socket = connection as Readable & Partial<Writable>;
  let lastByte: number | undefined;
  const stdin = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lastByte = chunk.at(-1) ?? lastByte;
      // The callback comes when the kernel has the bytes, so that a command that does not read slows its writer down.
      if (socket.write === undefined) done(new Error(`${product} did not open stdin`));
      else socket.write(chunk, done);
    },
    final(done) {
      if (socket.end === undefined || socket.write === undefined) {
        done();
      } else if (tty) {
        // Closing this half would end the terminal's output at once and leave the command running. Its line discipline
        // wants ^D; in the middle of a line the first one only hands the line over.
        const end =
          lastByte === undefined || lastByte === newline ? [endOfTransmission] : [endOfTransmission, endOfTransmission];
        socket.write(Buffer.from(end), () => done());
      } else {
        socket.end(() => done());
      }
    },
    destroy(error, done) {
      done(error);
    },
  });
  connection.once('close', () => {
    if (!stdin.writableFinished) stdin.destroy(closedStdin());
  });
  // A command need not read its input to the end; that must not end a process that does not listen for it.
  stdin.on('error', () => {});
  return stdin;
}

function closedStdin(): Error {
  return Object.assign(new Error('the command has closed its input'), { code: 'EPIPE' });
}

const pidPollMs = 10;

/** Docker answers the start before the process exists, so for a moment a running exec has no pid yet. Pouch tells none. */
async function hostPid(api: DockerodeApi, execId: string, released: AbortSignal): Promise<number | undefined> {
  for (;;) {
    const state = await withDeadline(released, inspectDeadlineMs, (signal) => api.inspectExec(execId, signal));
    if (state?.pid === undefined || (!state.running && state.exitCode !== undefined)) return undefined;
    if (state.pid > 0) return state.pid;
    await new Promise<void>((resolve) => setTimeout(resolve, pidPollMs).unref());
  }
}

const resizeAttempts = 20;
const resizePauseMs = 25;

async function resize(
  api: DockerodeApi,
  execId: string,
  columns: number,
  rows: number,
  signal: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await withDeadline(signal, inspectDeadlineMs, (limited) => api.resizeExec(execId, columns, rows, limited));
      return;
    } catch (error) {
      // Right after the start there is no process yet.
      if (attempt === resizeAttempts || signal.aborted) throw error;
      await new Promise<void>((resolve) => setTimeout(resolve, resizePauseMs).unref());
    }
  }
}
