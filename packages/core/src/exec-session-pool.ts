/** The sessions behind `exec` with `reuse`: one a container and user, opened behind the first command that asks for it. */
import type { ContainerReference } from './container.js';
import { isClosedError } from './errors/closed-error.js';
import { type ErrorCode, isCrikitError } from './errors/crikit-error.js';
import type { ExecRequest, ExecResult } from './exec-request.js';
import { openExecSession, type PooledSession } from './exec-session.js';
import { type ExecContext, runExec } from './run-exec.js';

export interface ExecSessionPool {
  exec(reference: ContainerReference, request: ExecRequest): Promise<ExecResult>;
  close(): Promise<void>;
}

const mostSessions = 256;
const shellsEach = 4;
/** A container whose `sh` cannot be used is not asked again for so long. */
const refusalMs = 10 * 60 * 1_000;
const lastingRefusals: ReadonlySet<ErrorCode> = new Set([
  'COMMAND_NOT_FOUND',
  'PROTOCOL',
  'UNSUPPORTED',
  'USER_NOT_FOUND',
]);

interface Entry {
  session: PooledSession | undefined;
  opening: Promise<void>;
  refusedUntilMs: number | undefined;
}

/** A command never waits for a session, nor in one: until a shell is open and free it runs in an exec of its own. */
export function createExecSessionPool(context: ExecContext): ExecSessionPool {
  const entries = new Map<string, Entry>();
  let closed = false;

  const open = (key: string, reference: ContainerReference, user: string | undefined): void => {
    const entry: Entry = { session: undefined, opening: Promise.resolve(), refusedUntilMs: undefined };
    const onDormant = (): void => {
      if (entries.get(key) !== entry) return;
      entries.delete(key);
      void entry.session?.close();
    };
    const options = { parallel: shellsEach, onDormant, ...(user === undefined ? {} : { user }) };
    entry.opening = openExecSession(context, reference, options).then(
      (session) => {
        entry.session = session;
      },
      (error: unknown) => {
        if (isCrikitError(error) && lastingRefusals.has(error.code)) entry.refusedUntilMs = Date.now() + refusalMs;
        else entries.delete(key);
      },
    );
    entries.set(key, entry);
  };

  const sessionFor = (reference: ContainerReference, user: string | undefined): PooledSession | undefined => {
    const key = JSON.stringify([reference.scope, reference.id, user ?? '']);
    const now = Date.now();
    for (const [other, { refusedUntilMs }] of entries) {
      if (refusedUntilMs !== undefined && refusedUntilMs <= now) entries.delete(other);
    }
    const entry = entries.get(key);
    if (entry === undefined && !closed && entries.size < mostSessions) open(key, reference, user);
    return entry?.session?.hasFreeShell() === true ? entry.session : undefined;
  };

  return {
    async exec(reference, request) {
      const { user, tty, reuse, ...command } = request;
      const session = tty === true ? undefined : sessionFor(reference, user);
      if (session === undefined) return runExec(context, reference, request);
      try {
        return await session.exec(command);
      } catch (error) {
        // Closed between the look and the call.
        if (isClosedError(error) && error.applied === 'no' && !closed) return runExec(context, reference, request);
        throw error;
      }
    },
    async close() {
      closed = true;
      const all = [...entries.values()];
      await Promise.all(
        all.map(async (entry) => {
          await entry.opening;
          await entry.session?.close();
        }),
      );
      entries.clear();
    },
  };
}
