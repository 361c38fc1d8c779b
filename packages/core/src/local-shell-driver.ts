/** For this package's own tests: a driver whose container is this machine, with a `sh` of the test's choice. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { EngineDriver, ExecExit } from './engine-contract.js';
import { detail, fakeDriver } from './engine-test-double.js';
import { CommandNotFoundError } from './errors/command-not-found-error.js';

export interface LocalShellDriver extends EngineDriver {
  /** Commands that were started, in their order. */
  readonly starts: readonly string[][];
  /** Pids of the shells that are open. */
  readonly pids: ReadonlySet<number>;
  /** Pid of the first one that was started. */
  first: number | undefined;
  status: 'running' | 'paused' | 'exited';
}

/** `shell` is what `sh` means: a program and its first arguments. */
export function localShellDriver(shell: readonly string[]): LocalShellDriver {
  const starts: string[][] = [];
  const pids = new Set<number>();
  const driver: LocalShellDriver = Object.assign(
    fakeDriver({
      getContainerDetails: async (of) =>
        (of === 'all' ? [] : of).map((reference) => ({
          reference,
          detail: detail(reference.id, { status: driver.status }),
        })),
      async startExec(_of, request) {
        starts.push([...request.cmd]);
        const [program = '', ...rest] = request.cmd[0] === 'sh' ? [...shell, ...request.cmd.slice(1)] : request.cmd;
        const child = spawn(program, rest, {
          detached: true,
          stdio: 'pipe',
          cwd: request.workingDir,
          // Without SHLVL bash takes the socket that Node gives it for a remote login.
          env: { SHLVL: '1', PATH: process.env.PATH, ...fromLines(request.env) },
        });
        if (!request.stdin) child.stdin.end();
        const exit = new Promise<ExecExit>((resolve) => {
          child.once('error', () =>
            resolve({ kind: 'not-started', error: new CommandNotFoundError(`no ${program}`, { applied: 'no' }) }),
          );
          child.once('exit', (code, signal) => {
            if (child.pid !== undefined) pids.delete(child.pid);
            resolve({ kind: 'exited', exitCode: code ?? (signal === 'SIGKILL' ? 137 : 255) });
          });
        });
        if (child.pid !== undefined) {
          pids.add(child.pid);
          driver.first ??= child.pid;
          await once(child, 'spawn');
        }
        return {
          id: String(child.pid),
          ...(request.stdin ? { stdin: child.stdin } : {}),
          stdout: child.stdout,
          stderr: child.stderr,
          exit,
          hostPid: async () => undefined,
          async [Symbol.asyncDispose]() {
            child.stdin.destroy();
            child.stdout.destroy();
            child.stderr.destroy();
          },
        };
      },
    }),
    { starts, pids, first: undefined, status: 'running' as const },
  );
  return driver;
}

function fromLines(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
  );
}
