import { type Duplex, type Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  ClosedError,
  type ContainerReference,
  type DriverExecRequest,
  demultiplexStream,
  EngineUnavailableError,
  type ExecExit,
  type ExecHandle,
  ProtocolError,
  withDeadline,
} from '@crikit/core';
import { type HeldOutput, holdStartFailure } from './hold-start-failure.js';
import { mapStartFailure } from './map-podman-error.js';
import { containerPath, type PodmanApi } from './podman-api.js';

const inspectDeadlineMs = 10_000;
const firstPauseMs = 10;
const longestPauseMs = 1_000;

export async function startPodmanExec(
  api: PodmanApi,
  of: ContainerReference,
  request: DriverExecRequest,
  signal: AbortSignal,
): Promise<ExecHandle> {
  const created = (await api.ask({
    method: 'POST',
    path: `${containerPath(of.id)}/exec`,
    body: {
      Cmd: request.cmd,
      Env: request.env,
      AttachStdin: request.stdin,
      AttachStdout: true,
      AttachStderr: true,
      Tty: request.tty,
      // Else ctrl-p ctrl-q would be taken out of a terminal's input.
      DetachKeys: '',
      ...(request.user === undefined ? {} : { User: request.user }),
      ...(request.workingDir === undefined ? {} : { WorkingDir: request.workingDir }),
    },
    signal,
    what: `create an exec in container ${of.id}`,
  })) as { Id?: unknown };
  if (typeof created?.Id !== 'string') {
    throw new ProtocolError('Podman gave no id for a new exec.', { engine: api.engine, applied: 'no' });
  }
  const path = `/exec/${created.Id}`;
  const connection = await api.hijack({
    method: 'POST',
    path: `${path}/start`,
    body: { Detach: false, Tty: request.tty },
    signal,
    what: `start ${JSON.stringify(request.cmd[0])} in container ${of.id}`,
    changes: true,
  });
  const handle = createExecHandle(api, of, path, request, connection);
  const { columns, rows } = request;
  // Podman 4 takes no size with the start.
  if (columns !== undefined && rows !== undefined) void handle.resize?.(columns, rows).catch(() => {});
  return handle;
}

function createExecHandle(
  api: PodmanApi,
  of: ContainerReference,
  path: string,
  request: DriverExecRequest,
  connection: Duplex,
): ExecHandle {
  const released = new AbortController();
  connection.on('error', () => {});
  const connectionEnded = new Promise<void>((resolve) => {
    connection.once('end', resolve);
    connection.once('close', resolve);
  });
  const streams = request.tty ? undefined : demultiplexStream(connection);
  const gate = holdStartFailure(streams?.stderr ?? connection);
  const inspect = (): Promise<PodmanExecState> => inspectExec(api, path, released.signal);
  void letStartedCommandSpeak(gate, inspect, connectionEnded, released.signal);
  const exit = awaitExit({ api, of, request, gate, inspect, connectionEnded, released: released.signal });
  return {
    id: path.slice('/exec/'.length),
    ...(request.stdin ? { stdin: createStdin(connection, request.tty) } : {}),
    stdout: streams?.stdout ?? gate.output,
    ...(streams === undefined ? {} : { stderr: gate.output }),
    exit,
    ...(request.tty
      ? { resize: (columns: number, rows: number) => resize(api, path, columns, rows, released.signal) }
      : {}),
    async hostPid() {
      for (;;) {
        const { pid, running, ended } = await inspect();
        if (running && pid > 0) return pid;
        if (ended || released.signal.aborted) return undefined;
        await pause(firstPauseMs);
      }
    },
    async [Symbol.asyncDispose]() {
      released.abort();
      connection.destroy();
      // Whatever was held back is of no use to anybody now.
      gate.drop();
    },
  };
}

interface PodmanExecState {
  readonly running: boolean;
  readonly ended: boolean;
  readonly pid: number;
  readonly exitCode: number;
}

async function inspectExec(api: PodmanApi, path: string, released: AbortSignal): Promise<PodmanExecState> {
  const reply = (await withDeadline(released, inspectDeadlineMs, (signal) =>
    api.ask({ path: `${path}/json`, signal, what: 'inspect an exec' }),
  )) as {
    Running?: unknown;
    Pid?: unknown;
    ExitCode?: unknown;
    CanRemove?: unknown;
  };
  return {
    running: reply?.Running === true,
    // Neither running nor removable: it was created and not started yet.
    ended: reply?.Running === false && reply.CanRemove === true,
    pid: typeof reply?.Pid === 'number' ? reply.Pid : 0,
    exitCode: typeof reply?.ExitCode === 'number' ? reply.ExitCode : -1,
  };
}

/** A command whose output begins like Podman's own message must not be held up while it runs. */
async function letStartedCommandSpeak(
  gate: HeldOutput,
  inspect: () => Promise<PodmanExecState>,
  connectionEnded: Promise<void>,
  released: AbortSignal,
): Promise<void> {
  let over = false;
  void connectionEnded.then(() => {
    over = true;
  });
  await Promise.race([gate.held, connectionEnded]);
  for (let pauseMs = firstPauseMs; !over && !released.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const state = await inspect().catch(() => undefined);
    if (state?.running === true && state.pid > 0) {
      gate.release();
      return;
    }
    await pause(pauseMs);
  }
}

interface ExitWatch {
  readonly api: PodmanApi;
  readonly of: ContainerReference;
  readonly request: DriverExecRequest;
  readonly gate: HeldOutput;
  readonly inspect: () => Promise<PodmanExecState>;
  readonly connectionEnded: Promise<void>;
  readonly released: AbortSignal;
}

/** Podman closes the connection at the command's end, even when a child in the background holds the streams open. */
async function awaitExit(watch: ExitWatch): Promise<ExecExit> {
  const { api, of, request, gate, inspect, connectionEnded, released } = watch;
  await connectionEnded;
  try {
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      if (released.aborted) {
        const message = 'An exec was released before its end was known.';
        return { kind: 'unknown', error: new ClosedError(message, { engine: api.engine, applied: 'unknown' }) };
      }
      const { ended, exitCode } = await inspect();
      if (ended) return conclude(exitCode);
      await pause(pauseMs);
    }
  } catch (cause) {
    gate.release();
    return {
      kind: 'unknown',
      error: new EngineUnavailableError(
        `Podman was lost while a command ran in container ${of.id}, and how it ended is unknown: ${(cause as Error).message}`,
        {
          engine: api.engine,
          applied: 'unknown',
          cause,
          remedy: 'The command may still run; look before you repeat it.',
        },
      ),
    };
  }

  function conclude(exitCode: number): ExecExit {
    const message = startFailureCodes.has(exitCode) ? gate.startFailure() : undefined;
    if (message !== undefined) {
      gate.drop();
      const about = { engine: api.engine, container: of.id, command: request.cmd[0] ?? '' };
      return { kind: 'not-started', error: mapStartFailure(message, about) };
    }
    gate.release();
    if (exitCode >= 0) return { kind: 'exited', exitCode };
    const lost = `Podman does not know how a command in container ${of.id} ended.`;
    return { kind: 'unknown', error: new ProtocolError(lost, { engine: api.engine, applied: 'unknown' }) };
  }
}

const startFailureCodes: ReadonlySet<number> = new Set([125, 126, 127, 255]);

function pause(durationMs: number): Promise<void> {
  return delay(durationMs, undefined, { ref: false });
}

const endOfTransmission = 0x04;
const newline = 0x0a;

function createStdin(connection: Duplex, tty: boolean): Writable {
  let lastByte = newline;
  const stdin = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lastByte = chunk.at(-1) ?? lastByte;
      connection.write(chunk, done);
    },
    final(done) {
      if (!tty) {
        connection.end(() => done());
        return;
      }
      // Closing would leave the command running. Its terminal wants ^D; in the middle of a line the first one only
      // hands the line over.
      const end = lastByte === newline ? [endOfTransmission] : [endOfTransmission, endOfTransmission];
      connection.write(Buffer.from(end), () => done());
    },
  });
  connection.once('close', () => {
    if (!stdin.writableFinished) stdin.destroy(Object.assign(new Error('the command has ended'), { code: 'EPIPE' }));
  });
  // A command need not read its input to the end.
  stdin.on('error', () => {});
  return stdin;
}

const resizeAttempts = 20;

async function resize(
  api: PodmanApi,
  path: string,
  columns: number,
  rows: number,
  released: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const reply: Readable = await withDeadline(released, inspectDeadlineMs, (signal) =>
        api.open({
          method: 'POST',
          path: `${path}/resize`,
          query: { h: String(rows), w: String(columns) },
          signal,
          what: 'resize a terminal',
        }),
      );
      reply.resume();
      return;
    } catch (error) {
      // Right after the start there is no process yet.
      if (attempt === resizeAttempts || released.aborted) throw error;
      await pause(25);
    }
  }
}
