/** The command as people run it: the built program in a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const programPath = fileURLToPath(new URL('../dist/crikit.js', import.meta.url));

export interface CrikitResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCrikit {
  readonly pid: number;
  /** What stdout and stderr have given so far. */
  readonly written: { stdout: string; stderr: string };
  /** Ends what the command reads from stdin. */
  end(input?: string | Uint8Array): void;
  kill(signal: NodeJS.Signals): void;
  readonly result: Promise<CrikitResult>;
}

/** Starts the program with these settings of the environment, and none of the machine's that name engines. */
export function startCrikit(words: readonly string[], environment: NodeJS.ProcessEnv): RunningCrikit {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, [programPath, ...words], { env: { PATH, HOME, ...environment } });
  const written = { stdout: '', stderr: '' };
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    written.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    written.stderr += text;
  });
  child.stdin.on('error', () => {});
  const result = once(child, 'close').then(([exitCode]): CrikitResult => ({ exitCode, ...written }));
  return {
    pid: child.pid ?? 0,
    written,
    end: (input) => void child.stdin.end(input),
    kill: (signal) => void child.kill(signal),
    result,
  };
}

/** Runs the program to its end. Its stdout is read as latin1, so that no byte is lost. */
export async function runCrikitProcess(
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
  input?: string | Uint8Array,
): Promise<CrikitResult> {
  const running = startCrikit(words, environment);
  running.end(input);
  return await running.result;
}
