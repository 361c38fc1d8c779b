import type { ContainerReference } from './container.js';
import { ClosedError } from './errors/closed-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { DEFAULT_MAX_OUTPUT_BYTES, type ExecInput, type ExecRequest, type ExecResult } from './exec-request.js';
import { commandLine, MAX_INLINE_INPUT_BYTES } from './exec-session-script.js';
import { openSessionShell, type SessionShell, ShellGoneError } from './exec-session-shell.js';
import { type PreparedExec, prepareExec } from './prepare-exec.js';
import { randomHex } from './random-hex.js';
import { createInterruption, type ExecContext, type Interruption, interrupted, runExec } from './run-exec.js';

export interface SessionOptions {
  /** Who its commands run as: a name, a uid, `uid:gid` or `name:group`, resolved in the container. Default: root. */
  readonly user?: string;
  /** After so long without a command the shell in the container is ended; the next command opens another. Default: 60 s. */
  readonly idleTimeoutMs?: number;
  /** Shells that may be open, and so commands that may run, at once. Default: 1: the commands run one after the other. */
  readonly parallel?: number;
}

/** As {@link ExecRequest}, without what belongs to the session (`user`) or needs an exec of its own (`tty`). */
export type SessionExecRequest = Omit<ExecRequest, 'user' | 'tty' | 'reuse'>;

/**
 * A shell in a container that is kept open, so that a command costs a fork and not a start of the container's runtime.
 * Commands never pass through it as text that it could read as its own.
 */
export interface ExecSession extends AsyncDisposable {
  readonly container: ContainerReference;
  /**
   * As `ContainerEngine.exec`: same result, same errors, same kill. `timeoutMs` counts from when it is the command's
   * turn. Requests that no shell can be sent (streams and more than 4 KiB as `input`, more than 32 KiB of command and
   * environment, variables that shells keep for themselves) run in an exec of their own, in their turn.
   */
  exec(request: SessionExecRequest): Promise<ExecResult>;
  /**
   * Kills the command that runs, which then rejects with `ABORTED`, and ends the shells. What commands left in the
   * background stays. Idempotent.
   */
  close(): Promise<void>;
}

const defaultIdleTimeoutMs = 60_000;
const longestIdleTimeoutMs = 24 * 60 * 60 * 1_000;
const mostParallel = 64;

interface Lane {
  shell: SessionShell | undefined;
  opening: Promise<unknown> | undefined;
  idle: NodeJS.Timeout | undefined;
}

/** What the pool behind `reuse` needs beyond the public face. */
export interface PooledSession extends ExecSession {
  /** Whether a command would begin at once. */
  hasFreeShell(): boolean;
  /** True when no shell is open and none is being opened. */
  isDormant(): boolean;
}

/** Opens a session and its first shell. Rejects as `exec` does, and with `COMMAND_NOT_FOUND` where there is no `sh`. */
export async function openExecSession(
  context: ExecContext,
  reference: ContainerReference,
  options: SessionOptions & { readonly onDormant?: () => void } = {},
): Promise<PooledSession> {
  const { user, idleTimeoutMs = defaultIdleTimeoutMs, parallel = 1 } = options;
  if (!(idleTimeoutMs > 0 && idleTimeoutMs <= longestIdleTimeoutMs)) {
    throw new InvalidArgumentError(`idleTimeoutMs must be more than 0 and at most a day, not ${idleTimeoutMs}.`);
  }
  if (!Number.isInteger(parallel) || parallel < 1 || parallel > mostParallel) {
    throw new InvalidArgumentError(`parallel must be a whole number from 1 to ${mostParallel}, not ${parallel}.`);
  }
  const engine = context.driver.id;
  const lanes = Array.from(
    { length: parallel },
    (): Lane => ({ shell: undefined, opening: undefined, idle: undefined }),
  );
  // The last one used comes first, so that one shell is enough for commands that do not overlap.
  const free = [...lanes];
  const waiting: ((lane: Lane) => void)[] = [];
  const running = new Set<{ readonly interruption: Interruption; readonly ended: Promise<unknown> }>();
  const ending = new Set<Promise<void>>();
  const closing = new AbortController();
  let closed: Promise<void> | undefined;

  const requireOpen = (): void => {
    if (closing.signal.aborted) {
      throw new ClosedError('This session was closed.', { engine, applied: 'no', remedy: 'Open another one.' });
    }
  };
  const isDormant = (): boolean => free.length === lanes.length && lanes.every((lane) => lane.shell === undefined);

  const release = (lane: Lane): void => {
    const next = waiting.shift();
    if (next !== undefined) {
      next(lane);
      return;
    }
    free.unshift(lane);
    if (closing.signal.aborted) return;
    if (lane.shell?.usable !== true) dropShell(lane);
    else lane.idle = setTimeout(() => dropShell(lane), idleTimeoutMs);
    if (isDormant()) options.onDormant?.();
  };

  const dropShell = (lane: Lane): void => {
    const { shell } = lane;
    lane.shell = undefined;
    if (shell !== undefined) {
      const end = shell.end().finally(() => ending.delete(end));
      ending.add(end);
    }
    if (isDormant()) options.onDormant?.();
  };

  const waitForLane = async (request: SessionExecRequest): Promise<Lane> => {
    const interruption = createInterruption(undefined, request.signal);
    let take: (lane: Lane) => void = () => {};
    const turn = new Promise<Lane>((resolve) => {
      take = resolve;
    });
    waiting.push(take);
    const first = await Promise.race([turn.then((taken) => ({ kind: 'turn' as const, taken })), interruption.happened]);
    interruption.stop();
    if (first.kind === 'turn') return first.taken;
    const at = waiting.indexOf(take);
    if (at !== -1) waiting.splice(at, 1);
    else void turn.then(release);
    throw notStarted(request, first);
  };

  const notStarted = (
    request: SessionExecRequest,
    cause: Parameters<typeof interrupted>[2],
  ): ReturnType<typeof interrupted> => {
    const nothing = { cmd: request.cmd, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), termination: undefined };
    return interrupted(context, request, cause, nothing, 'no');
  };

  const openShell = async (lane: Lane): Promise<SessionShell> => {
    const shell = await openSessionShell(context, reference, { user, idleTimeoutMs });
    if (closing.signal.aborted) {
      await shell.end();
      requireOpen();
    }
    lane.shell = shell;
    void shell.ended.then(() => {
      if (lane.shell !== shell) return;
      // A container that has ended takes its shell along; nothing is kept for it.
      if (lane.idle !== undefined) {
        clearTimeout(lane.idle);
        lane.idle = undefined;
        dropShell(lane);
      }
    });
    return shell;
  };

  const runInLane = async (
    lane: Lane,
    request: SessionExecRequest,
    prepare: () => Prepared,
    firstPrepared: Prepared,
    interruption: Interruption,
  ): Promise<ExecResult> => {
    if (interruption.already !== undefined) throw notStarted(request, interruption.already);
    for (let attempt = 1; ; attempt += 1) {
      requireOpen();
      const { prepared, line, beginMark, endMark } = attempt === 1 ? firstPrepared : prepare();
      if (line === undefined) {
        const abort = new AbortController();
        void interruption.happened.then((cause) => {
          if (cause.kind === 'aborted') abort.abort(cause.reason);
        });
        const inExec = { ...request, signal: abort.signal, ...(user === undefined ? {} : { user }) };
        return await runExec(context, reference, inExec);
      }
      let { shell } = lane;
      if (shell?.usable !== true) {
        if (shell !== undefined) dropShell(lane);
        const opening = openShell(lane);
        const first = await Promise.race([
          opening.then((opened) => ({ kind: 'opened' as const, opened })),
          interruption.happened,
        ]);
        if (first.kind !== 'opened') {
          // The shell that is on its way serves the next command, which waits for it.
          lane.opening = opening.catch(() => {});
          throw notStarted(request, first);
        }
        shell = first.opened;
      }
      try {
        const maxOutputBytes = request.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
        return await shell.run({ request, prepared, line, beginMark, endMark, maxOutputBytes, interruption });
      } catch (error) {
        if (!(error instanceof ShellGoneError)) throw error;
        if (attempt === 3) throw new ClosedError('The shells of this session end at once.', { engine, applied: 'no' });
      }
    }
  };

  const self: PooledSession = {
    container: reference,
    async exec(request) {
      requireOpen();
      const prepare = createPreparation(context, user, request);
      // What cannot work is refused before it waits.
      const prepared = prepare();
      const { signal, timeoutMs } = request;
      if (signal?.aborted === true) throw notStarted(request, { kind: 'aborted', reason: signal.reason });
      const lane = free.shift() ?? (await waitForLane(request));
      clearTimeout(lane.idle);
      lane.idle = undefined;
      const interruption = createInterruption(timeoutMs, signal);
      const result = runInLane(lane, request, prepare, prepared, interruption);
      const entry = { interruption, ended: result.catch(() => {}) };
      running.add(entry);
      try {
        return await result;
      } finally {
        interruption.stop();
        running.delete(entry);
        const { opening } = lane;
        lane.opening = undefined;
        if (opening === undefined) release(lane);
        else void opening.then(() => release(lane));
      }
    },
    hasFreeShell: () => free.length > 0,
    isDormant,
    close() {
      closed ??= (async () => {
        closing.abort();
        const reason = new ClosedError('The session was closed.', { engine });
        for (const { interruption } of running) interruption.abort(reason);
        await Promise.all([...running].map(({ ended }) => ended));
        for (const lane of lanes) {
          clearTimeout(lane.idle);
          dropShell(lane);
        }
        await Promise.all(ending);
      })();
      return closed;
    },
    [Symbol.asyncDispose]: () => self.close(),
  };

  const first = free.shift() as Lane;
  await openShell(first);
  release(first);
  return self;
}

interface Prepared {
  readonly prepared: PreparedExec;
  /** Undefined when the command wants an exec of its own. */
  readonly line: string | undefined;
  readonly beginMark: string;
  readonly endMark: string;
}

// Between the shell and the command no engine stands that could honour less.
const shellFields = new Set(['user', 'workingDir', 'env', 'tty', 'stdin'] as const);

function createPreparation(
  context: ExecContext,
  user: string | undefined,
  request: SessionExecRequest,
): () => Prepared {
  const maxOutputBytes = request.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES;
  if (!(maxOutputBytes >= 0))
    throw new InvalidArgumentError(`maxOutputBytes must be 0 or more, not ${maxOutputBytes}.`);
  for (const field of ['user', 'tty'] as const) {
    if ((request as ExecRequest)[field] !== undefined) {
      throw new InvalidArgumentError(`A session's command has no ${field}: that is the session's, or needs \`exec\`.`);
    }
  }
  const { cmd, env, workingDir, timeoutMs, input } = request;
  const bytes = inlineInput(input);
  return () => {
    const prepared = prepareExec({ cmd, env, workingDir, timeoutMs, user }, false, {
      engine: context.driver.id,
      execFields: shellFields,
      agentName: context.agentName,
    });
    const marks = randomHex(20);
    // Shown to what an earlier command left behind, at most, which can do no more with it than without.
    const beginMark = marks.slice(0, 8);
    const endMark = marks.slice(8);
    const line =
      bytes === 'too-large'
        ? undefined
        : commandLine({ beginMark, endMark, cmd, env: prepared.request.env, workingDir, input: bytes });
    return { prepared, line, beginMark, endMark };
  };
}

function inlineInput(input: ExecInput | undefined): Uint8Array | undefined | 'too-large' {
  if (input === undefined) return undefined;
  if (typeof input !== 'string' && !(input instanceof Uint8Array)) return 'too-large';
  const bytes = typeof input === 'string' ? Buffer.from(input) : input;
  return bytes.length > MAX_INLINE_INPUT_BYTES ? 'too-large' : bytes;
}
