import { randomBytes } from 'node:crypto';
import { constants as system } from 'node:os';
import { finished, Readable, Writable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  ContainerNotRunningError,
  type DriverExecRequest,
  EngineUnavailableError,
  type ExecExit,
  type ExecHandle,
  linkSignals,
} from '@crikit/core';
import type { ContainerRecord } from './container-records.js';
import type { ExecUser } from './container-users.js';
import type { ContainerdClient } from './containerd-client.js';
import type { ExecFifos } from './exec-fifos.js';
import { type ExecStreams, reserveExecStreams } from './exec-streams.js';
import { Tasks, type WaitResponse } from './generated/tasks_pb.js';
import {
  closedError,
  codeOf,
  grpcStatus,
  isConnectionLost,
  mapContainerdError,
  mapStartFailure,
} from './map-containerd-error.js';

export interface ExecContext {
  readonly client: ContainerdClient;
  readonly engine: string;
  readonly fifos: ExecFifos;
  readonly limitStarts: <Value>(key: string, signal: AbortSignal, run: () => Promise<Value>) => Promise<Value>;
  /** Aborts when the driver is disposed of. */
  readonly closing: AbortSignal;
  /** Work that goes on after an exec and that disposing waits for. */
  background(work: Promise<unknown>): void;
}

const processType = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
const cleanUpDeadlineMs = 10_000;
const changeDeadlineMs = 10_000;
/** How long a lost daemon is waited for once the command's output has ended: it does not run any more, most likely. */
const lostGraceMs = 30_000;
const reconnectStepMs = 1_000;

/**
 * `confirm` gives the record as the daemon has it now; nothing starts before it has, unless the record cannot have changed.
 * Undefined when it is another than `record`; nothing was started then.
 */
export async function startContainerdExec(
  context: ExecContext,
  record: ContainerRecord,
  confirm: () => Promise<ContainerRecord>,
  user: ExecUser,
  request: DriverExecRequest,
  signal: AbortSignal,
): Promise<ExecHandle | undefined> {
  const { client, engine, fifos } = context;
  const { namespace, id: containerId } = record;
  const execId = `crikit-${randomBytes(12).toString('hex')}`;
  const ids = { containerId, execId };
  const reserved = await reserveExecStreams(fifos, {
    stdin: request.stdin,
    stderr: !request.tty,
    tty: request.tty,
    async closeStdin() {
      const options = { namespace, timeoutMs: changeDeadlineMs, signal: context.closing };
      await client.call(Tasks.method.closeIO, { ...ids, stdin: true }, options);
    },
  });
  let streams: ExecStreams | undefined;
  const deleteProcess = (): Promise<unknown> =>
    client
      .call(Tasks.method.deleteProcess, ids, { namespace, timeoutMs: cleanUpDeadlineMs })
      // It may never have been there, and containerd forgets it with the container.
      .catch(() => {});

  const makeProcess = async (): Promise<void> => {
    try {
      await client.call(
        Tasks.method.exec,
        {
          ...ids,
          stdin: reserved.stdin ?? '',
          stdout: reserved.stdout,
          // Not empty unless there is a terminal: some releases then mix it into stdout, others lose it.
          stderr: reserved.stderr ?? '',
          terminal: request.tty,
          spec: { typeUrl: processType, value: Buffer.from(JSON.stringify(createProcess(record, user, request))) },
        },
        { namespace, signal },
      );
    } catch (error) {
      if (mayHaveHappened(error)) context.background(deleteProcess());
      if (codeOf(error) !== grpcStatus.notFound) throw error;
      await confirm();
      // The container is there, so what is missing is its task.
      throw notRunning(engine, containerId, error);
    }
  };

  try {
    return await context.limitStarts(record.cri?.sandboxId ?? containerId, signal, async () => {
      const making = makeProcess();
      making.catch(() => {});
      // What is done now, the daemon does not wait for: its request is on its way.
      await nextTurn();
      let isCurrent: boolean;
      try {
        const confirmed = isFixed(record) ? Promise.resolve(record) : confirm();
        confirmed.catch(() => {});
        streams = reserved.open();
        await making;
        isCurrent = (await confirmed) === record;
      } catch (error) {
        context.background(making.then(deleteProcess, () => {}));
        throw error;
      }
      if (!isCurrent) {
        context.background(deleteProcess());
        streams.destroy();
        return undefined;
      }
      const life = linkSignals([context.closing]);
      // After a start that fails the answer is a zero that means nothing.
      const wait = (): Promise<WaitResponse> => {
        const answer = client.call(Tasks.method.wait, ids, { namespace, signal: life.signal });
        answer.catch(() => {}).finally(life.unlink);
        return answer;
      };
      // dockerd deletes the execs in its namespace as soon as they end, its own or not. Nobody does so to a pod's.
      const early = isFixed(record) ? undefined : wait();
      try {
        const starting = client.call(Tasks.method.start, ids, { namespace, signal });
        starting.catch(() => {});
        await nextTurn();
        const waiting = early ?? wait();
        const streamsEnded = whenEnded(streams);
        const { pid } = await starting;
        const { unlink } = streams;
        context.background(nextTurn().then(unlink));
        return createExecHandle(context, record, execId, request, streams, streamsEnded, pid, waiting, deleteProcess);
      } catch (error) {
        life.abort();
        // Given up in the middle, it may be starting right now.
        context.background(
          mayHaveHappened(error)
            ? client
                .call(Tasks.method.kill, { ...ids, signal: system.signals.SIGKILL }, { namespace, timeoutMs: 3_000 })
                .catch(() => {})
                .then(deleteProcess)
            : deleteProcess(),
        );
        const about = { engine, container: containerId, command: request.cmd[0] ?? '' };
        const failure = mapStartFailure(error, about);
        if (failure.code !== 'COMMAND_NOT_FOUND' && failure.code !== 'WORKDIR_NOT_FOUND') throw failure;
        streams.destroy();
        return notStarted(execId, request, failure);
      }
    });
  } catch (error) {
    if (streams === undefined) reserved.release();
    else streams.destroy();
    throw mapContainerdError(error, {
      engine,
      what: `start ${JSON.stringify(request.cmd[0])} in container ${containerId}`,
      // A start that failed is typed already; what comes before it runs nothing.
      changes: false,
    });
  }
}

/** The CRI draws an id at random for each of its containers, and changes no more of their specs than the resources. */
function isFixed(record: ContainerRecord): boolean {
  return record.cri?.kind === 'container';
}

function notRunning(engine: string, containerId: string, cause: unknown): ContainerNotRunningError {
  return new ContainerNotRunningError(`Container ${containerId} is not running.`, { engine, applied: 'no', cause });
}

function mayHaveHappened(error: unknown): boolean {
  const code = codeOf(error);
  return code === undefined || code === grpcStatus.unavailable || code === grpcStatus.deadlineExceeded;
}

/** The container's own process with the request's command, user and place in it: its capabilities and limits stay. */
function createProcess(record: ContainerRecord, user: ExecUser, request: DriverExecRequest): Record<string, unknown> {
  const own = record.spec.process;
  const { additionalGids, ...ids } = user;
  return {
    ...own,
    args: request.cmd,
    env: [...(own?.env ?? []), ...request.env],
    cwd: request.workingDir ?? own?.cwd ?? '/',
    user: { ...ids, ...(additionalGids.length === 0 ? {} : { additionalGids }) },
    terminal: request.tty,
    consoleSize:
      request.tty && request.columns !== undefined && request.rows !== undefined
        ? { width: request.columns, height: request.rows }
        : undefined,
  };
}

function createExecHandle(
  context: ExecContext,
  record: ContainerRecord,
  execId: string,
  request: DriverExecRequest,
  streams: ExecStreams,
  streamsEnded: Promise<unknown>,
  pid: number,
  waiting: Promise<WaitResponse>,
  deleteProcess: () => Promise<unknown>,
): ExecHandle {
  const { client, engine } = context;
  const { namespace, id: containerId } = record;
  const ids = { containerId, execId };
  let hasExited = false;
  let isDisposed = false;
  let dispose = (): void => {};
  const disposed = new Promise<void>((resolve) => {
    dispose = resolve;
  });

  const exit = waitForExit(context, record, execId, waiting, streamsEnded).then((ended) => {
    hasExited = true;
    // Nobody reads it any more, and with our own end open a writer would wait for ever.
    streams.stdin?.destroy();
    return ended;
  });
  context.background(
    (async () => {
      const ended = await exit;
      if (context.closing.aborted) return;
      // Deleting closes the pipes in the shim, so output that is still in them comes first. Files have no end to wait for.
      if (context.fifos.kind === 'fifo') await Promise.race([streamsEnded, disposed]);
      // Who waits for the end is told first.
      await nextTurn();
      if (ended.kind === 'exited') await deleteProcess();
      streams.sourceEnded();
    })(),
  );

  const change = async (what: string, run: () => Promise<unknown>): Promise<void> => {
    try {
      await run();
    } catch (error) {
      // The process is gone: there is nothing left to change.
      if (codeOf(error) === grpcStatus.notFound || hasExited) return;
      throw mapContainerdError(error, { engine, what: `${what} exec ${execId}`, changes: true });
    }
  };
  const options = { namespace, timeoutMs: changeDeadlineMs };
  let resizing: Promise<unknown> = Promise.resolve();
  // One after the other: calls under way at once may arrive in any order.
  const resize = (columns: number, rows: number): Promise<void> => {
    const resized = resizing.then(() =>
      change('resize', () => client.call(Tasks.method.resizePty, { ...ids, width: columns, height: rows }, options)),
    );
    resizing = resized.catch(() => {});
    return resized;
  };
  // The size in the process's spec is honoured by newer runtimes only.
  if (request.tty && request.columns !== undefined && request.rows !== undefined) {
    resize(request.columns, request.rows).catch(() => {});
  }

  return {
    id: execId,
    ...(streams.stdin === undefined ? {} : { stdin: streams.stdin }),
    stdout: streams.stdout,
    ...(streams.stderr === undefined ? {} : { stderr: streams.stderr }),
    exit,
    ...(request.tty ? { resize } : {}),
    kill: (name) =>
      change('kill', () => client.call(Tasks.method.kill, { ...ids, signal: system.signals[name] }, options)),
    async hostPid() {
      return hasExited || pid === 0 ? undefined : pid;
    },
    async [Symbol.asyncDispose]() {
      if (isDisposed) return;
      isDisposed = true;
      dispose();
      streams.destroy();
    },
  };
}

async function waitForExit(
  { client, engine, closing }: ExecContext,
  { namespace, id: containerId }: ContainerRecord,
  execId: string,
  firstAnswer: Promise<WaitResponse>,
  streamsEnded: Promise<unknown>,
): Promise<ExecExit> {
  const unknown = (error: unknown): ExecExit => ({
    kind: 'unknown',
    error: mapContainerdError(error, { engine, what: `learn how exec ${execId} ended`, changes: true }),
  });
  let silentSinceMs: number | undefined;
  let endedAtMs: number | undefined;
  void streamsEnded.then(() => {
    endedAtMs = Date.now();
  });
  for (let answer = firstAnswer; ; ) {
    try {
      const { exitStatus } = await answer;
      return { kind: 'exited', exitCode: exitStatus };
    } catch (error) {
      if (closing.aborted) return unknown(closedError(engine));
      if (codeOf(error) === grpcStatus.notFound) {
        return {
          kind: 'unknown',
          error: new EngineUnavailableError(`containerd does not know exec ${execId} any more.`, {
            engine,
            applied: 'yes',
            cause: error,
          }),
        };
      }
      if (!isConnectionLost(error)) return unknown(error);
      // The shim keeps the process and its end while containerd is away: once it is back, it can be asked again.
      silentSinceMs ??= Date.now();
      while (!(await client.waitUntilConnected(reconnectStepMs))) {
        if (closing.aborted) return unknown(closedError(engine));
        if (endedAtMs !== undefined && Date.now() - Math.max(endedAtMs, silentSinceMs) > lostGraceMs) {
          return unknown(error);
        }
      }
      silentSinceMs = undefined;
      answer = client.call(Tasks.method.wait, { containerId, execId }, { namespace, signal: closing });
    }
  }
}

function whenEnded({ stdout, stderr }: ExecStreams): Promise<unknown> {
  const outputs = stderr === undefined ? [stdout] : [stdout, stderr];
  return Promise.all(
    outputs.map(
      (output) =>
        new Promise<void>((resolve) => {
          finished(output, { writable: false }, () => resolve());
        }),
    ),
  );
}

function notStarted(id: string, request: DriverExecRequest, error: ReturnType<typeof mapStartFailure>): ExecHandle {
  const empty = (): Readable => Readable.from([]);
  return {
    id,
    ...(request.stdin ? { stdin: discard() } : {}),
    stdout: empty(),
    ...(request.tty ? {} : { stderr: empty() }),
    exit: Promise.resolve({ kind: 'not-started', error }),
    hostPid: async () => undefined,
    async [Symbol.asyncDispose]() {},
  };
}

function discard(): Writable {
  return new Writable({
    write(_chunk, _encoding, done) {
      done();
    },
  });
}
