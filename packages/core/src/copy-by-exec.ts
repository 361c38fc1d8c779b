/**
 * What the ways to copy that need commands in the container have in common: a directory of an unpredictable name beside
 * the target, in which the copy is put together; then one rename; then nothing of it is left.
 */
import { posix } from 'node:path';
import type { ContainerReference } from './container.js';
import { alreadyExistsInContainer } from './copy-paths.js';
import { CommandNotFoundError } from './errors/command-not-found-error.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { type CrikitError, isCrikitError } from './errors/crikit-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { PathNotFoundError } from './errors/path-not-found-error.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';
import type { ExecResult } from './exec-request.js';
import { markFinal } from './final-copy-errors.js';
import { randomHex } from './random-hex.js';
import { type ExecContext, runExec, runExecAsync } from './run-exec.js';
import { sampleOutput } from './sample-output.js';

export interface ExecTarget {
  readonly exec: ExecContext;
  readonly reference: ContainerReference;
}

export interface ContainerStage {
  /** Absolute path in the container: an empty directory that only root may enter. */
  readonly path: string;
  /** What is to be put there, and is renamed by `arrive`. */
  readonly item: string;
  /** Checks that the files in it have `bytes` in all, and renames it to the target. */
  arrive(bytes: number, signal: AbortSignal | undefined): Promise<void>;
  /** Removes it, and the parent directories that were made for it. Rejects when that fails. */
  discard(cause: unknown): Promise<void>;
}

/** Error messages are read. */
const environment: Readonly<Record<string, string>> = { LC_ALL: 'C' };
const stageTimeoutMs = 30_000;

const existsCode = 71;
const failedCode = 72;
const sizeCode = 73;

// Positional: target, stage, d or f, the parents from the outermost. Says which of these it made: how many were there, how many it made.
const prepareScript = `target=$1 stage=$2 kind=$3 made=0
shift 3
command -v mv >/dev/null && command -v mkdir >/dev/null && command -v rm >/dev/null && command -v rmdir >/dev/null || exit 127
if [ -d "$target" ] && [ ! -L "$target" ]; then
  [ "$kind" = d ] || exit ${existsCode}
  for entry in "$target"/* "$target"/.[!.]* "$target"/..?*; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then exit ${existsCode}; fi
  done
elif [ "$kind" = d ] && { [ -e "$target" ] || [ -L "$target" ]; }; then exit ${existsCode}; fi
first=0
for parent; do
  if [ -d "$parent" ]; then first=$((first + 1)); continue; fi
  mkdir -m 755 "$parent" || { echo "made $first $made"; exit ${failedCode}; }
  made=$((made + 1))
done
echo "made $first $made"
mkdir -m 700 "$stage" || exit ${failedCode}`;

// Positional: item, target, stage, bytes.
const arriveScript = `item=$1 target=$2 stage=$3 bytes=$4
if command -v find >/dev/null && command -v wc >/dev/null && command -v cat >/dev/null; then
  found=$(find "$item" -type f -exec cat {} + | wc -c)
  [ "$((found))" = "$bytes" ] || { echo "$((found)) bytes instead of $bytes" >&2; exit ${sizeCode}; }
fi
if [ -d "$target" ] && [ ! -L "$target" ]; then
  [ -d "$item" ] && [ ! -L "$item" ] || exit ${existsCode}
fi
if ! mv -fT "$item" "$target" 2>/dev/null; then
  if [ -d "$target" ] && [ ! -L "$target" ]; then rmdir "$target" 2>/dev/null || exit ${existsCode}
  elif [ -L "$target" ]; then rm -f "$target" || exit ${failedCode}; fi
  mv -f "$item" "$target" || exit ${failedCode}
fi
rmdir "$stage"`;

// Positional: stage, the parents that were made, from the innermost.
const discardScript = `rm -rf "$1" || exit ${failedCode}
shift
for parent; do rmdir "$parent" 2>/dev/null || break; done
exit 0`;

/** Rejects with `COMMAND_NOT_FOUND` where there is no shell, `ALREADY_EXISTS` when the target is not free. */
export async function openStage(
  { exec, reference }: ExecTarget,
  target: string,
  isDirectory: boolean,
  signal: AbortSignal | undefined,
): Promise<ContainerStage> {
  const parentPath = posix.dirname(target);
  const parents = parentsOf(target);
  const path = posix.join(parentPath, `.crikit-${randomHex(16)}`);
  const item = `${path}/item`;
  const engine = exec.driver.id;
  const what = `copy to '${target}' of container ${reference.id}`;
  const run = (script: string, args: readonly string[], stop?: AbortSignal): Promise<ExecResult> =>
    runInContainer({ exec, reference }, ['sh', '-c', script, 'sh', ...args], {
      timeoutMs: stageTimeoutMs,
      ...(stop !== undefined && { signal: stop }),
    });
  const failure = (result: ExecResult): CrikitError => {
    if (result.exitCode === existsCode) return alreadyExistsInContainer(target, `container ${reference.id}`);
    return explainFailure(result, what, target, reference, engine);
  };

  let made: readonly string[] = [];
  const discard = async (cause: unknown): Promise<void> => {
    try {
      const result = await run(discardScript, [path, ...made]);
      if (result.exitCode !== 0) throw failure(result);
    } catch (error) {
      // What a container that is gone has left behind is gone with it.
      if (isCrikitError(error) && error.code === 'NOT_FOUND') return;
      throw markFinal(
        new CopyFailedError(
          `Could not ${what}, and what was there already could not be removed ('${path}'): ${(error as Error).message}`,
          { engine, applied: 'no', remedy: 'Remove it by hand.', cause },
        ),
      );
    }
  };

  let prepared: ExecResult;
  try {
    prepared = await run(prepareScript, [target, path, isDirectory ? 'd' : 'f', ...parents], signal);
  } catch (error) {
    // A command that was not started left nothing.
    if (!isCrikitError(error) || error.applied !== 'no') await discard(error).catch(() => {});
    throw error;
  }
  const [, first = '0', count = '0'] = /^made (\d+) (\d+)$/m.exec(prepared.stdout.toString('latin1')) ?? [];
  made = parents.slice(Number(first), Number(first) + Number(count)).reverse();
  if (prepared.exitCode !== 0) {
    const error = failure(prepared);
    if (made.length > 0) await discard(error);
    throw error;
  }

  return {
    path,
    item,
    discard,
    async arrive(bytes, stop) {
      const result = await runInContainer(
        { exec, reference },
        ['sh', '-c', arriveScript, 'sh', item, target, path, String(bytes)],
        { ...(stop !== undefined && { signal: stop }) },
      );
      if (result.exitCode === sizeCode) {
        throw new CopyFailedError(`Could not ${what}: ${sampleOutput(result).stderr.trim()} arrived.`, {
          engine,
          applied: 'no',
        });
      }
      if (result.exitCode !== 0) throw failure(result);
    },
  };
}

/** `/a`, `/a/b` of `/a/b/c`. */
function parentsOf(target: string): string[] {
  const parents: string[] = [];
  for (let path = posix.dirname(target); path !== '/'; path = posix.dirname(path)) parents.unshift(path);
  return parents;
}

export interface ContainerCommand {
  readonly input?: AsyncIterable<Uint8Array | string>;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

/** Runs a command as root. An abort of the caller's is an `OperationAbortedError`, whatever the command was. */
export async function runInContainer(
  { exec, reference }: ExecTarget,
  cmd: readonly string[],
  { input, signal, timeoutMs }: ContainerCommand = {},
): Promise<ExecResult> {
  try {
    return await runExec(exec, reference, {
      cmd,
      env: environment,
      ...(input !== undefined && { input }),
      ...(signal !== undefined && { signal }),
      ...(timeoutMs !== undefined && { timeoutMs }),
    });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
    throw new OperationAbortedError(`Copying with container ${reference.id} was aborted by the caller's signal.`, {
      engine: exec.driver.id,
      applied: 'no',
      cause: error,
    });
  }
}

/**
 * What a command writes to stdout. Fails at the end when the command failed; kills it when reading stops before that.
 * `path` is what it reads, for messages.
 */
export async function* readContainerOutput(
  { exec, reference }: ExecTarget,
  cmd: readonly string[],
  path: string,
  signal: AbortSignal | undefined,
  explain: (exitCode: number) => CrikitError | undefined = () => undefined,
): AsyncGenerator<Buffer> {
  const running = await runExecAsync(exec, reference, {
    cmd,
    env: environment,
    ...(signal !== undefined && { signal }),
  });
  const said: Buffer[] = [];
  let saidBytes = 0;
  running.stderr.on('data', (chunk: Buffer) => {
    if (saidBytes < keptErrorBytes) said.push(chunk);
    saidBytes += chunk.length;
  });
  // It is read below; an error must not be one that nobody listens to before and after that.
  for (const stream of [running.stdout, running.stderr]) stream.on('error', () => {});
  let ended = false;
  try {
    for await (const chunk of running.stdout) yield chunk as Buffer;
    const result = await running.result;
    ended = true;
    if ('error' in result) throw result.error;
    if (result.exitCode === 0) return;
    const explained = explain(result.exitCode);
    if (explained !== undefined) throw explained;
    throw explainFailure(
      { cmd, exitCode: result.exitCode, stdout: Buffer.alloc(0), stderr: Buffer.concat(said), truncated: false },
      `copy '${path}' of container ${reference.id}`,
      path,
      reference,
      exec.driver.id,
    );
  } finally {
    if (!ended) await running[Symbol.asyncDispose]();
  }
}

const keptErrorBytes = 4096;

const missingCommandCodes: ReadonlySet<number> = new Set([126, 127]);

/** Makes a typed error of what a command in the container said about `path`. */
export function explainFailure(
  result: Pick<ExecResult, 'exitCode' | 'stdout' | 'stderr' | 'cmd' | 'truncated'>,
  what: string,
  path: string,
  reference: ContainerReference,
  engine: string,
): CrikitError {
  const said = sampleOutput(result).stderr.trim();
  const options = { engine, applied: 'no' } as const;
  if (missingCommandCodes.has(result.exitCode)) {
    return new CommandNotFoundError(
      `Could not ${what}: the container has not the commands for it${said === '' ? '' : ` (${said})`}.`,
      options,
    );
  }
  const message = `Could not ${what}: exit code ${result.exitCode}${said === '' ? '' : `, ${said}`}.`;
  if (/No space left|Disk quota exceeded/.test(said)) return markFinal(new CopyFailedError(message, options));
  if (/Read-only file system/.test(said)) return markFinal(new PermissionDeniedError(message, options));
  if (/Permission denied|not permitted/.test(said)) return new PermissionDeniedError(message, options);
  if (/No such file|Not a directory/.test(said)) {
    return new PathNotFoundError(`There is no '${path}' in container ${reference.id}: ${said}`, options);
  }
  return new CopyFailedError(message, options);
}
