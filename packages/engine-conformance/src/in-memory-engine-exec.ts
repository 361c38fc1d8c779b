import { PassThrough, type Readable, type Writable } from 'node:stream';
import {
  CommandNotFoundError,
  type DriverExecRequest,
  EngineUnavailableError,
  type ExecExit,
  type ExecHandle,
  isCrikitError,
  ProtocolError,
} from '@crikit/core';

/** What a scripted command works with. */
export interface InMemoryProcess {
  readonly containerId: string;
  readonly cmd: readonly string[];
  /** The container's environment and the request's, the request's last. */
  readonly env: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly workingDir: string | undefined;
  /** Ends at once when the request has no stdin. */
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Aborts when the command is killed, or its container ends. */
  readonly signal: AbortSignal;
}

/** A program of the in-memory engine: writes to its streams and resolves to its exit code. */
export type InMemoryCommand = (process: InMemoryProcess) => number | Promise<number>;

const killedExitCode = 137;

/** The programs that every container has. */
export const builtInCommands: Readonly<Record<string, InMemoryCommand>> = {
  true: () => 0,
  false: () => 1,
  echo: ({ cmd, stdout }) => {
    stdout.write(`${cmd.slice(1).join(' ')}\n`);
    return 0;
  },
  env: ({ env, stdout }) => {
    for (const [name, value] of Object.entries(env)) stdout.write(`${name}=${value}\n`);
    return 0;
  },
  cat: async ({ stdin, stdout }) => {
    for await (const chunk of stdin) {
      if (!stdout.write(chunk)) await new Promise((resolve) => stdout.once('drain', resolve));
    }
    return 0;
  },
  // Ends by being killed, or with its container, and by nothing else.
  sleep: ({ signal }) =>
    new Promise((resolve) => signal.addEventListener('abort', () => resolve(killedExitCode), { once: true })),
};

export interface InMemoryExecOptions {
  readonly id: string;
  readonly engineId: string;
  readonly containerId: string;
  readonly containerEnv: Readonly<Record<string, string>>;
  readonly command: InMemoryCommand | undefined;
  readonly request: DriverExecRequest;
  /** Aborts when the container ends. */
  readonly containerLife: AbortSignal;
  /** Aborts when the engine goes away. */
  readonly engineLife: AbortSignal;
}

export function startInMemoryExec(options: InMemoryExecOptions): ExecHandle {
  const { request, command } = options;
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  if (!request.stdin) stdin.end();
  const killed = new AbortController();

  const { promise: exit, resolve } = withResolvers<ExecExit>();
  const over = new AbortController();
  const finish = (outcome: ExecExit): void => {
    resolve(outcome);
    over.abort();
    stdout.end();
    stderr.end();
  };

  if (command === undefined) {
    finish({
      kind: 'not-started',
      error: new CommandNotFoundError(`Container ${options.containerId} has no command '${request.cmd[0] ?? ''}'.`, {
        engine: options.engineId,
        applied: 'no',
      }),
    });
  } else {
    const ended = AbortSignal.any([killed.signal, options.containerLife]);
    ended.addEventListener('abort', () => finish({ kind: 'exited', exitCode: killedExitCode }), { once: true });
    options.engineLife.addEventListener(
      'abort',
      () => {
        finish({
          kind: 'unknown',
          error: new EngineUnavailableError('The engine went away while the command ran.', {
            engine: options.engineId,
          }),
        });
      },
      // The engine outlives its commands.
      { once: true, signal: over.signal },
    );
    runCommand(command, {
      containerId: options.containerId,
      cmd: request.cmd,
      env: { ...options.containerEnv, ...parseEnv(request.env) },
      user: request.user,
      workingDir: request.workingDir,
      stdin,
      stdout,
      stderr: request.tty ? stdout : stderr,
      signal: ended,
    }).then(
      (exitCode) => finish({ kind: 'exited', exitCode }),
      (cause: unknown) =>
        finish({
          kind: 'unknown',
          error: isCrikitError(cause)
            ? cause
            : new ProtocolError(`The scripted command '${request.cmd[0]}' failed: ${String(cause)}.`, { cause }),
        }),
    );
  }

  return {
    id: options.id,
    stdout,
    exit,
    ...(request.stdin ? { stdin } : {}),
    ...(request.tty ? {} : { stderr }),
    ...(request.tty ? { resize: async () => {} } : {}),
    kill: async () => killed.abort(),
    // There is no process on any host.
    hostPid: async () => undefined,
    [Symbol.asyncDispose]: async () => {
      stdin.destroy();
      stdout.destroy();
      stderr.destroy();
    },
  };
}

async function runCommand(command: InMemoryCommand, process: InMemoryProcess): Promise<number> {
  return await command(process);
}

function parseEnv(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const equals = line.indexOf('=');
      return equals === -1 ? [line, ''] : [line.slice(0, equals), line.slice(equals + 1)];
    }),
  );
}

function withResolvers<Value>(): { promise: Promise<Value>; resolve: (value: Value) => void } {
  let resolve!: (value: Value) => void;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
