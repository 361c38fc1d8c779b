/** One shell in a container that is kept open and runs one command after the other. */
import { finished, type Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { callDriver } from './call-driver.js';
import type { ContainerReference } from './container.js';
import { disposeQuietly } from './dispose-quietly.js';
import type { ExecExit } from './engine-contract.js';
import { CommandNotFoundError } from './errors/command-not-found-error.js';
import { ContainerNotRunningError } from './errors/container-not-running-error.js';
import { ContainerPausedError } from './errors/container-paused-error.js';
import type { CrikitError } from './errors/crikit-error.js';
import { EngineTimeoutError } from './errors/engine-timeout-error.js';
import { ExecFailedError } from './errors/exec-failed-error.js';
import type { ExecTermination } from './errors/exec-interrupted.js';
import { ProtocolError } from './errors/protocol-error.js';
import { TooLargeError } from './errors/too-large-error.js';
import type { ExecRequest, ExecResult } from './exec-request.js';
import { greetingLine, sessionCommand } from './exec-session-script.js';
import { createMarkedStream, MarkError } from './exec-session-stream.js';
import type { PreparedExec } from './prepare-exec.js';
import { randomHex } from './random-hex.js';
import {
  type ExecContext,
  type Interruption,
  interrupted,
  type StartedExec,
  startExec,
  startFailure,
} from './run-exec.js';
import { terminateExec } from './terminate-exec.js';

export interface SessionShell {
  /** False as soon as nothing more may be sent to it. */
  readonly usable: boolean;
  /** Resolves when the shell is gone, whoever ended it. */
  readonly ended: Promise<void>;
  /** Rejects with a `ShellGoneError` when the shell had ended before it took the command. */
  run(command: ShellCommand): Promise<ExecResult>;
  /** Lets the shell end by itself, and kills it when it does not. What commands left in the background stays. */
  end(): Promise<void>;
}

export interface ShellCommand {
  readonly request: ExecRequest;
  readonly prepared: PreparedExec;
  readonly line: string;
  readonly beginMark: string;
  readonly endMark: string;
  readonly maxOutputBytes: number;
  readonly interruption: Interruption;
}

/** The shell was gone before it began with a command: another one may take it. */
export class ShellGoneError extends Error {
  constructor() {
    super('the shell had ended');
    this.name = 'ShellGoneError';
  }
}

const greetingDeadlineMs = 10_000;
const mostNoiseBytes = 64 * 1024;
/** How soon the container's state is looked at when a command does not begin. */
const lookAfterMs = 500;
const beginDeadlineMs = 10_000;
const detailDeadlineMs = 5_000;
/** After the end of a command: how long those that hold its streams may be silent, and how long they may speak. */
const silenceGraceMs = 2_000;
const speechGraceMs = 10_000;
/** After a kill: how long the shell may take to tell the end. */
const tellAfterKillMs = 500;
const killRounds = 3;
const signalGraceMs = 1_000;
const endGraceMs = 2_000;
const drainGraceMs = 500;
const endLooks = 5;
const endLookPauseMs = 100;

/** Opens a shell and hears it answer. Rejects with `COMMAND_NOT_FOUND` where there is no `sh`. */
export async function openSessionShell(
  context: ExecContext,
  reference: ContainerReference,
  { user, idleTimeoutMs }: { readonly user: string | undefined; readonly idleTimeoutMs: number },
): Promise<SessionShell> {
  const wanted = { cmd: sessionCommand(idleTimeoutMs), ...(user === undefined ? {} : { user }) };
  const started = await startExec(context, reference, wanted, true);
  started.interruption.stop();
  const shell = createSessionShell(context, reference, started);
  try {
    await shell.greet();
    return shell;
  } catch (error) {
    await shell.retire();
    throw error;
  }
}

function createSessionShell(
  context: ExecContext,
  reference: ContainerReference,
  started: StartedExec,
): SessionShell & { greet(): Promise<void>; retire(): Promise<ExecTermination> } {
  const { handle } = started;
  const engine = context.driver.id;
  let usable = true;
  const onStray = (): void => {
    usable = false;
  };
  const stdin = handle.stdin;
  stdin?.on('error', () => {});
  const stderrSource: Readable = handle.stderr ?? handle.stdout;
  const stdout = createMarkedStream(handle.stdout, onStray);
  const stderr = createMarkedStream(stderrSource, onStray);
  const drained = Promise.all([handle.stdout, stderrSource].map(afterEnd));

  // Set by the one command that runs: promises that each command hung on the shell's end would pile up.
  let onGone: ((exit: ExecExit) => void) | undefined;
  let goneWith: ExecExit | undefined;
  const gone: Promise<ExecExit> = handle.exit.then(async (exit) => {
    usable = false;
    await Promise.race([drained, delay(drainGraceMs)]);
    goneWith = exit;
    onGone?.(exit);
    return exit;
  });
  const ended = gone.then(() => disposeQuietly(handle));
  let retired: Promise<ExecTermination> | undefined;

  const forget = (): void => {
    usable = false;
    stdout.drop();
    stderr.drop();
  };

  /** What a command has left in the background is spared. */
  const retire = (): Promise<ExecTermination> => {
    forget();
    retired ??= (async () => {
      stdin?.end();
      const termination = await started.terminate('marked');
      await disposeQuietly(handle);
      return termination;
    })();
    return retired;
  };

  /** The command and all it started; the shell too when it does not tell that the command has ended. */
  const endCommand = async (
    { prepared }: ShellCommand,
    told: Promise<unknown>,
    cleared: Promise<unknown>,
  ): Promise<ExecTermination> => {
    const terminate = (): Promise<ExecTermination> =>
      terminateExec({
        driver: context.driver,
        hostRoot: context.hostRoot,
        reference,
        request: prepared.request,
        marker: prepared.marker,
        handle: undefined,
      });
    for (let round = 0; round < killRounds && usable; round += 1) {
      // A command that the shell is just about to start does not carry its marker yet: look again.
      const termination = await terminate();
      if (!(await withinTime(told, tellAfterKillMs))) continue;
      if (!(await withinTime(cleared, tellAfterKillMs))) void retire();
      return termination;
    }
    forget();
    stdin?.end();
    const shellEnd = await started.terminate();
    const commandEnd = await terminate();
    retired ??= disposeQuietly(handle).then(() => shellEnd);
    return {
      methods: [...new Set([...commandEnd.methods, ...shellEnd.methods])],
      confirmed: commandEnd.confirmed && shellEnd.confirmed,
      detail: [commandEnd.detail, shellEnd.detail].filter((part) => part !== '').join('; '),
    };
  };

  const protocolError = (cmd: readonly string[], cause: unknown): ProtocolError =>
    new ProtocolError(
      `The shell of container ${reference.id} lost the thread while it ran ${JSON.stringify(cmd)}: ${String(cause)}.`,
      { engine, applied: 'unknown', cause, remedy: 'Use `exec` for this container.' },
    );

  const containerState = async (): Promise<string> => {
    try {
      const [outcome] = await callDriver(
        { what: `inspect container ${reference.id}`, engine, timeoutMs: detailDeadlineMs },
        (signal) => context.driver.getContainerDetails([reference], { signal }),
      );
      return outcome !== undefined && 'detail' in outcome ? outcome.detail.status : 'gone';
    } catch {
      return 'unknown';
    }
  };

  /** The shell has ended under a command. */
  const lostError = async (cmd: readonly string[], exit: ExecExit): Promise<CrikitError> => {
    if (exit.kind !== 'exited') return exit.error;
    let state = await containerState();
    // An engine may learn of the end of the shell before it learns that the whole container has ended.
    for (let look = 0; state === 'running' && look < endLooks; look += 1) {
      await delay(endLookPauseMs, undefined, { ref: false });
      state = await containerState();
    }
    const message = `The shell of container ${reference.id} ended with exit code ${exit.exitCode} while it ran ${JSON.stringify(cmd)}`;
    if (state === 'running' || state === 'unknown') {
      return new ProtocolError(`${message}, and how the command ended is unknown.`, { engine, applied: 'unknown' });
    }
    return new ContainerNotRunningError(`${message}: the container is ${state}.`, { engine, applied: 'yes' });
  };

  const greet = async (): Promise<void> => {
    const mark = randomHex(16);
    const refusal = (why: string): ProtocolError =>
      new ProtocolError(`The \`sh\` of container ${reference.id} cannot be used for a session: ${why}.`, {
        engine,
        applied: 'no',
        remedy: 'Use `exec` for this container.',
      });
    let noiseBytes = 0;
    const answered = new Promise<void>((resolve, reject) => {
      const refuse = (): void => {
        // Whatever floods is held up while it is ended.
        handle.stdout.pause();
        stderrSource.pause();
        reject(refusal('it wrote something else than it was asked for'));
      };
      // A shell may have something to say about its start.
      const onNoise = (data: Buffer): void => {
        noiseBytes += data.length;
        if (noiseBytes > mostNoiseBytes) refuse();
      };
      Promise.all([stdout.until(mark, onNoise), stderr.until(mark, onNoise)]).then(
        (rests) => (rests.join('') === '' ? resolve() : refuse()),
        refuse,
      );
    });
    answered.catch(() => {});
    stdin?.write(greetingLine(mark));
    const timeout = new AbortController();
    try {
      await Promise.race([
        answered,
        gone.then((exit): never => {
          if (exit.kind === 'exited') throw refusal(`it ended with exit code ${exit.exitCode}`);
          throw exit.kind === 'not-started' ? withRemedy(exit.error, reference, engine) : exit.error;
        }),
        delay(greetingDeadlineMs, undefined, { signal: timeout.signal }).then((): never => {
          throw new EngineTimeoutError(
            `The \`sh\` of container ${reference.id} did not answer within ${greetingDeadlineMs} ms.`,
            { engine, applied: 'no', retryable: true },
          );
        }),
      ]);
    } finally {
      timeout.abort();
    }
  };

  const run = async (command: ShellCommand): Promise<ExecResult> => {
    const { request, interruption, beginMark, endMark, maxOutputBytes } = command;
    const { cmd } = request;
    // First, so that the shell works while all else is made; nothing can be heard before.
    stdin?.write(command.line);
    const out = createCollector(maxOutputBytes);
    const err = createCollector(maxOutputBytes);
    let begun = false;
    let settled = false;
    const began = stdout.until(beginMark, onStray).then(() => {
      begun = true;
    });
    const told = stdout.until(endMark, out.add).then(readExitCode);
    const cleared = Promise.all([stdout.until(endMark, out.add), stderr.until(endMark, err.add)]);
    const all = Promise.all([began, told, cleared]).then(([, exitCode, [why]]) => ({
      kind: 'done' as const,
      exitCode,
      why,
    }));
    const result = (exitCode: number, truncated: boolean): ExecResult => {
      const done: ExecResult = { cmd, exitCode, stdout: out.bytes(), stderr: err.bytes(), truncated };
      if (request.check === true && exitCode !== 0) throw new ExecFailedError(done, { engine });
      return done;
    };

    const timers = new Set<NodeJS.Timeout>();
    // Never resolves when the command is done before: a rejection at each of its pauses costs more than all the rest here.
    const pause = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        if (!settled) timers.add(setTimeout(resolve, ms));
      });
    /** Somebody that the command left behind holds its streams: as with any exec, they get a moment to speak. */
    const leftBehind = told.then(async (exitCode) => {
      const endedAt = Date.now();
      for (;;) {
        await pause(silenceGraceMs / 8);
        const now = Date.now();
        const silentMs = now - Math.max(endedAt, out.lastData(), err.lastData());
        if (silentMs >= silenceGraceMs || now - endedAt >= speechGraceMs) {
          return { kind: 'left-behind' as const, exitCode };
        }
      }
    });
    const unanswered = (async () => {
      await pause(lookAfterMs);
      if (begun) return new Promise<never>(() => {});
      if ((await containerState()) === 'paused') return { kind: 'paused' as const };
      await pause(beginDeadlineMs - lookAfterMs);
      return begun ? new Promise<never>(() => {}) : { kind: 'unanswered' as const };
    })();
    for (const promise of [all, leftBehind, unanswered, told, cleared, began]) promise.catch(() => {});
    const unlessStopped = <Value>(promise: Promise<Value>): Promise<Value | { kind: 'violated'; error: unknown }> =>
      promise.catch((error: unknown) => {
        if (settled) return new Promise<never>(() => {});
        return { kind: 'violated' as const, error };
      });

    try {
      const first = await Promise.race([
        unlessStopped(all),
        interruption.happened,
        Promise.race([out.overflow, err.overflow]).then(() => ({ kind: 'overflow' as const })),
        unlessStopped(leftBehind),
        unlessStopped(unanswered),
        new Promise<{ kind: 'gone'; exit: ExecExit }>((resolve) => {
          onGone = (exit) => resolve({ kind: 'gone', exit });
          if (goneWith !== undefined) onGone(goneWith);
        }),
      ]);
      switch (first.kind) {
        case 'done':
          if (first.why === ':workdir' || first.why === ':command') {
            throw startFailure(context, reference, request, first.why === ':command' ? 'command' : 'workdir');
          }
          return result(first.exitCode, out.overflowed || err.overflowed);
        case 'left-behind':
          void retire();
          return result(first.exitCode, out.overflowed || err.overflowed);
        case 'overflow': {
          out.stop();
          err.stop();
          const termination = await endCommand(command, told, cleared);
          const exitCode = await withinTime(told, 0);
          if (exitCode) return result(exitCode.value, true);
          throw new TooLargeError(
            `${JSON.stringify(cmd)} wrote more than ${maxOutputBytes} bytes; its end could not be confirmed: ${termination.detail}.`,
            { engine, applied: 'yes' },
          );
        }
        case 'timeout':
        case 'aborted': {
          out.stop();
          err.stop();
          const termination = await endCommand(command, told, cleared);
          throw interrupted(context, request, first, { cmd, stdout: out.bytes(), stderr: err.bytes(), termination });
        }
        case 'gone':
          forget();
          if (!begun && first.exit.kind === 'exited') throw new ShellGoneError();
          throw await lostError(cmd, first.exit);
        case 'paused':
          // Its end is confirmed when the container goes on; by then the shell must have been signalled.
          await withinTime(retire(), signalGraceMs);
          throw new ContainerPausedError(`Container ${reference.id} is paused.`, { engine, retryable: true });
        case 'unanswered':
          await retire();
          throw new EngineTimeoutError(
            `The shell of container ${reference.id} did not take ${JSON.stringify(cmd)} within ${beginDeadlineMs} ms.`,
            { engine, retryable: true },
          );
        case 'violated':
          void retire();
          throw protocolError(cmd, first.error);
      }
    } finally {
      settled = true;
      onGone = undefined;
      for (const timer of timers) clearTimeout(timer);
    }
  };

  return {
    get usable() {
      return usable && stdin?.writable === true;
    },
    ended,
    run,
    greet,
    retire,
    async end() {
      forget();
      if (retired === undefined) {
        stdin?.end();
        if (await withinTime(gone, endGraceMs)) {
          await ended;
          return;
        }
      }
      await retire();
    },
  };
}

function withRemedy(error: CrikitError, reference: ContainerReference, engine: string): CrikitError {
  if (error.code !== 'COMMAND_NOT_FOUND') return error;
  return new CommandNotFoundError(`Container ${reference.id} has no \`sh\`, which a session needs.`, {
    engine,
    applied: 'no',
    cause: error,
    remedy: 'Use `exec` for this container.',
  });
}

function readExitCode(rest: string): number {
  const code = /^:(\d{1,3})$/.exec(rest)?.[1];
  if (code === undefined || Number(code) > 255) throw new MarkError();
  return Number(code);
}

function afterEnd(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    finished(stream, { writable: false }, () => resolve());
  });
}

/** What `promise` resolves to, wrapped, or undefined when it has not within the time or was rejected. */
async function withinTime<Value>(
  promise: Promise<Value>,
  timeoutMs: number,
): Promise<{ readonly value: Value } | undefined> {
  const timer = new AbortController();
  const timeout = delay(timeoutMs, undefined, { signal: timer.signal }).catch(() => undefined);
  try {
    return await Promise.race([
      promise.then(
        (value) => ({ value }),
        () => undefined,
      ),
      timeout,
    ]);
  } finally {
    timer.abort();
  }
}

interface Collector {
  readonly overflow: Promise<void>;
  readonly overflowed: boolean;
  readonly add: (data: Buffer) => void;
  lastData(): number;
  /** What comes from now on is dropped. */
  stop(): void;
  bytes(): Buffer;
}

function createCollector(maxBytes: number): Collector {
  const chunks: Buffer[] = [];
  let kept = 0;
  let keeping = true;
  let overflowed = false;
  let lastData = 0;
  let markOverflow = (): void => {};
  const overflow = new Promise<void>((resolve) => {
    markOverflow = resolve;
  });
  return {
    overflow,
    get overflowed() {
      return overflowed;
    },
    add(data) {
      lastData = Date.now();
      if (!keeping) return;
      const room = maxBytes - kept;
      chunks.push(data.length > room ? data.subarray(0, room) : data);
      kept += Math.min(data.length, room);
      if (data.length > room) {
        overflowed = true;
        keeping = false;
        markOverflow();
      }
    },
    lastData: () => lastData,
    stop() {
      keeping = false;
    },
    bytes: () => Buffer.concat(chunks, kept),
  };
}
