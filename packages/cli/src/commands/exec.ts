import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { InvalidArgumentError, isExecAbortedError, isExecTimeoutError, type RunningExec } from '@crikit/core';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { resolveContainer } from '../resolve-target.js';

export interface ExecCommandRequest {
  readonly target: string;
  readonly cmd: readonly string[];
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly user?: string;
  readonly workdir?: string;
  /** `NAME=VALUE`, or `NAME` for the value that it has here. */
  readonly env?: readonly string[];
  readonly timeoutMs?: number;
}

/** Runs a command in a container and gives its exit code. */
export async function runExec(context: CommandContext, request: ExecCommandRequest): Promise<number> {
  const { stdin, stdout, stderr, signal } = context;
  const { cmd, interactive = false, tty = false, user, workdir, timeoutMs } = request;
  const env = readEnvironment(request.env ?? [], context.environment);
  return await withStore(context, async (store) => {
    const container = resolveContainer(store, request.target);
    const running = await store.execAsync(container, {
      ...{ cmd, tty, env, signal },
      ...(interactive ? { input: 'pipe' as const } : {}),
      ...(user === undefined ? {} : { user }),
      ...(workdir === undefined ? {} : { workingDir: workdir }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(tty && stdout.isTTY ? { columns: stdout.columns, rows: stdout.rows } : {}),
    });
    const outputs = [forward(running.stdout, stdout), forward(running.stderr, stderr)];
    const release = connectTerminal(context, running, { interactive, tty });
    try {
      const result = await running.result;
      if ('error' in result) throw result.error;
      await Promise.all(outputs);
      return result.exitCode;
    } catch (error) {
      if (isExecAbortedError(error) || isExecTimeoutError(error)) {
        const { termination } = error;
        if (termination !== undefined && !termination.confirmed && signal.aborted) {
          stderr.write(`crikit: warning: the command may still run: ${termination.detail}\n`);
        }
      }
      throw error;
    } finally {
      release();
      stdin.pause();
      await running[Symbol.asyncDispose]();
    }
  });
}

async function forward(from: RunningExec['stdout'], to: NodeJS.WriteStream): Promise<void> {
  from.on('data', (chunk: Buffer) => {
    if (to.write(chunk)) return;
    from.pause();
    void once(to, 'drain').then(
      () => from.resume(),
      () => from.resume(),
    );
  });
  await finished(from).catch(() => {});
}

/** Joins keyboard and size of this terminal with those of the command; gives what undoes it. */
function connectTerminal(
  { stdin, stdout }: CommandContext,
  running: RunningExec,
  { interactive, tty }: { readonly interactive: boolean; readonly tty: boolean },
): () => void {
  const isRaw = interactive && tty && stdin.isTTY === true;
  const resize = (): void => {
    running.resize(stdout.columns, stdout.rows).catch(() => {});
  };
  if (interactive && running.stdin !== undefined) {
    // A command need not read what it is given.
    running.stdin.on('error', () => {});
    // Keys go to the command as they are: Ctrl-C is for what runs there.
    if (isRaw) stdin.setRawMode(true);
    stdin.pipe(running.stdin);
  }
  if (tty && stdout.isTTY) stdout.on('resize', resize);
  return () => {
    stdout.off('resize', resize);
    if (running.stdin !== undefined) stdin.unpipe(running.stdin);
    if (isRaw) stdin.setRawMode(false);
  };
}

function readEnvironment(lines: readonly string[], environment: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    lines.flatMap((line): [string, string][] => {
      const [, name = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(line) ?? [];
      if (name === '') throw new InvalidArgumentError(`'${line}' is no variable: give NAME=VALUE, or NAME.`);
      const known = value ?? environment[name];
      return known === undefined ? [] : [[name, known]];
    }),
  );
}
