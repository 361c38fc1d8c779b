/** The command run in the process of a test, with streams that are read instead of shown. */
import { PassThrough, Writable } from 'node:stream';
import { runCrikit } from './run-crikit.js';

export interface RunInTestOptions {
  readonly environment?: NodeJS.ProcessEnv;
  /** What stdout and stderr are; absent: pipes. */
  readonly terminal?: { readonly columns: number; readonly rows: number };
  readonly input?: string;
  readonly signal?: AbortSignal;
  /** Called with all of stdout each time that something is written to it. */
  readonly onOutput?: (stdout: string) => void;
  /** The same for stderr. */
  readonly onError?: (stderr: string) => void;
}

export interface RunInTestResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `crikit` with these arguments. Settings of the machine do not reach it. */
export async function runInTest(words: readonly string[], options: RunInTestOptions = {}): Promise<RunInTestResult> {
  const { environment = {}, terminal, input = '', signal = new AbortController().signal } = options;
  const tell = { stdout: options.onOutput, stderr: options.onError };
  const written = { stdout: '', stderr: '' };
  const sink = (name: 'stdout' | 'stderr'): NodeJS.WriteStream => {
    const stream = new Writable({
      decodeStrings: false,
      write: (chunk: Buffer | string, _, done) => {
        written[name] += chunk.toString();
        tell[name]?.(written[name]);
        done();
      },
    });
    return Object.assign(
      stream,
      terminal === undefined ? {} : { isTTY: true, ...terminal },
    ) as unknown as NodeJS.WriteStream;
  };
  const stdin = new PassThrough();
  stdin.end(input);
  const exitCode = await runCrikit({
    arguments: words,
    stdin: stdin as unknown as NodeJS.ReadStream,
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    environment,
    signal,
  });
  return { exitCode, ...written };
}
