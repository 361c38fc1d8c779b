import { Writable } from 'node:stream';
import {
  CommandNotFoundError,
  type DriverExecRequest,
  demultiplexStream,
  EngineUnavailableError,
  type ExecExit,
  type ExecHandle,
} from '@crikit/core';
import { askExample, engineId, startExample } from './example-api.js';

export async function startExampleExec(
  socketPath: string,
  container: string,
  { cmd, env, stdin }: DriverExecRequest,
  signal: AbortSignal,
): Promise<ExecHandle> {
  const { execId, stream } = await startExample(socketPath, `${container}/exec`, { cmd, env, stdin }, signal);
  const released = new AbortController();
  stream.on('error', () => {});
  const closed = new Promise<void>((resolve) => void stream.once('close', resolve));
  const { stdout, stderr } = demultiplexStream(stream);
  return {
    id: execId,
    stdout,
    stderr,
    ...(stdin ? { stdin: inputOf(stream) } : {}),
    exit: closed.then(() => awaitExit(socketPath, execId, released.signal)),
    // A daemon that can signal a command offers `kill`; one that tells its pid, `hostPid`.
    hostPid: async () => undefined,
    async [Symbol.asyncDispose]() {
      released.abort();
      stream.destroy();
    },
  };
}

/** Never rejects: when the daemon cannot say how the command ended, nobody may take that for success. */
async function awaitExit(socketPath: string, execId: string, signal: AbortSignal): Promise<ExecExit> {
  const engine = engineId(socketPath);
  try {
    const reply = (await askExample(socketPath, `/execs/${execId}`, signal)) as { exitCode: number; failure?: string };
    if (reply.failure === undefined) return { kind: 'exited', exitCode: reply.exitCode };
    return { kind: 'not-started', error: new CommandNotFoundError(reply.failure, { engine, applied: 'no' }) };
  } catch (cause) {
    const message = 'The example daemon was lost while a command ran.';
    return { kind: 'unknown', error: new EngineUnavailableError(message, { engine, cause, applied: 'unknown' }) };
  }
}

/** The command's input, without the output that comes on the same connection. */
function inputOf(stream: NodeJS.WritableStream): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      stream.write(chunk, (error) => done(error));
    },
    final(done) {
      stream.end(() => done());
    },
  }).on('error', () => {});
}
