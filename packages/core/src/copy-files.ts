/** Copies files and directories into and out of containers: tries the ways to do it in turn and says which one served. */
import { basename, posix } from 'node:path';
import type { AnchoredFiles } from './anchored-files.js';
import type { ContainerReference, ContainerStatus, MountPoint } from './container.js';
import { copyFromContainerByArchive, copyToContainerByArchive } from './copy-by-archive.js';
import { copyFromContainerByChunks, copyToContainerByChunks } from './copy-by-chunks.js';
import { copyFromContainerByHost, copyToContainerByHost } from './copy-by-host.js';
import { copyFromContainerByMount, copyToContainerByMount } from './copy-by-mount.js';
import { copyFromContainerByTar, copyToContainerByTar } from './copy-by-tar.js';
import { lookAtHostSource } from './copy-host-source.js';
import {
  COPY_METHODS,
  type CopyAttempt,
  type CopyMethod,
  type CopyOptions,
  type CopyOutcome,
  type CopyResult,
} from './copy-options.js';
import {
  requireHostPath,
  resolveContainerDestination,
  resolveContainerSource,
  resolveHostDestination,
} from './copy-paths.js';
import type { ArchiveFeature } from './engine-contract.js';
import { ContainerNotRunningError } from './errors/container-not-running-error.js';
import { ContainerPausedError } from './errors/container-paused-error.js';
import { CopyFailedError } from './errors/copy-failed-error.js';
import { type CrikitError, isCrikitError } from './errors/crikit-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { isFinalCopyError } from './final-copy-errors.js';
import { openFilesOfProcess } from './open-container-root.js';
import type { ExecContext } from './run-exec.js';
import { isRuncLikeRuntime } from './runc-like-runtime.js';

/** What decides which ways to copy can serve. */
export interface CopyFacts {
  readonly status: ContainerStatus;
  readonly runtime: string | undefined;
  /** 0 when there is no process. */
  readonly pid: number;
  /** Sources below the host root. */
  readonly mounts: readonly MountPoint[];
  readonly withheld: Readonly<Record<string, string>>;
}

export interface CopyContext {
  readonly exec: ExecContext;
  readonly reference: ContainerReference;
  /** What the caller knows already; may be of a while ago. */
  readonly known: CopyFacts | undefined;
  /** Asks the engine. */
  getFacts(signal: AbortSignal | undefined): Promise<CopyFacts>;
}

/** Copies `source` of this host to `destination` in a container. See `ContainerEngine.copyToContainer`. */
export async function copyIntoContainer(
  context: CopyContext,
  source: string,
  destination: string,
  options: CopyOptions,
): Promise<CopyResult> {
  const path = requireHostPath(source, 'source');
  const target = resolveContainerDestination(destination, basename(path));
  const { exec, reference } = context;
  const about = { exec, reference };
  const host = await lookAtHostSource(path);
  return copyBy(context, `'${path}' to '${target}' of container ${reference.id}`, options, {
    host: (facts) =>
      withFiles(context, facts, (files) => copyToContainerByHost(files, path, host.stats, target, options)),
    engine: (facts) =>
      copyToContainerByArchive(
        {
          archive: requireArchive(context, facts),
          engine: exec.driver.id,
          reference,
          ...(facts.status === 'running' && { stageWith: exec }),
        },
        path,
        target,
        options,
      ),
    mount: (facts) =>
      copyToContainerByMount({ ...about, mounts: requireMounts(context, facts) }, host, target, options),
    tar: (facts) => copyToContainerByTar(requireCommands(context, facts), host, target, options),
    chunk: (facts) => copyToContainerByChunks(requireCommands(context, facts), host, target, options),
  });
}

/** Copies `source` of a container to `destination` on this host. See `ContainerEngine.copyFromContainer`. */
export async function copyOutOfContainer(
  context: CopyContext,
  source: string,
  destination: string,
  options: CopyOptions,
): Promise<CopyResult> {
  const path = resolveContainerSource(source);
  const target = resolveHostDestination(destination, posix.basename(path));
  const { exec, reference } = context;
  const about = { exec, reference };
  return copyBy(context, `'${path}' of container ${reference.id} to '${target}'`, options, {
    host: (facts) => withFiles(context, facts, (files) => copyFromContainerByHost(files, path, target, options)),
    engine: (facts) =>
      copyFromContainerByArchive(
        { archive: requireArchive(context, facts), engine: exec.driver.id, reference },
        path,
        target,
        options,
      ),
    mount: (facts) =>
      copyFromContainerByMount({ ...about, mounts: requireMounts(context, facts) }, path, target, options),
    tar: (facts) => copyFromContainerByTar(requireCommands(context, facts), path, target, options),
    chunk: (facts) => copyFromContainerByChunks(requireCommands(context, facts), path, target, options),
  });
}

async function copyBy(
  context: CopyContext,
  what: string,
  { methods = COPY_METHODS, signal }: CopyOptions,
  ways: Readonly<Record<CopyMethod, (facts: CopyFacts) => Promise<CopyOutcome>>>,
): Promise<CopyResult> {
  const unknown = methods.find((method) => !COPY_METHODS.includes(method));
  if (unknown !== undefined || methods.length === 0) {
    throw new InvalidArgumentError(`'${unknown ?? ''}' is no way to copy; there are ${COPY_METHODS.join(', ')}.`);
  }
  const requireGoingOn = (): void => {
    if (signal?.aborted !== true) return;
    throw new OperationAbortedError(`Copying ${what} was aborted by the caller's signal.`, {
      engine: context.exec.driver.id,
      applied: 'no',
      cause: signal.reason,
    });
  };
  requireGoingOn();
  let isFresh = context.known === undefined;
  let facts = context.known ?? (await context.getFacts(signal));
  const attempts: CopyAttempt[] = [];
  for (const method of COPY_METHODS.filter((each) => methods.includes(each))) {
    for (;;) {
      try {
        const outcome = await ways[method](facts);
        return { ...outcome, skipped: attempts.map((attempt) => ({ method: attempt.method, reason: attempt.reason })) };
      } catch (error) {
        requireGoingOn();
        if (isFinalCopyError(error) || !isCrikitError(error)) throw error;
        if (!isFresh && isStale(error)) {
          // The container was started again since the caller looked.
          facts = await context.getFacts(signal);
          isFresh = true;
          continue;
        }
        attempts.push({ method, reason: error.message, error });
      }
      break;
    }
  }
  throw conclude(context, what, attempts);
}

function isStale({ code }: CrikitError): boolean {
  return code === 'NOT_RUNNING' || code === 'PAUSED';
}

function conclude({ exec }: CopyContext, what: string, attempts: readonly CopyAttempt[]): CrikitError {
  // Where some way could look and it was not there, the others only have other reasons not to have found it.
  const tried = attempts.filter(
    ({ error }) => !['UNSUPPORTED', 'COMMAND_NOT_FOUND', 'NOT_RUNNING', 'PAUSED'].includes(error.code),
  );
  const [first] = tried;
  if (first !== undefined && tried.every(({ error }) => error.code === 'PATH_NOT_FOUND')) return first.error;
  const reasons = attempts.map(({ method, reason }) => `\n  ${method}: ${reason}`).join('');
  return new CopyFailedError(`Could not copy ${what}; no way to do it served:${reasons}\n`, {
    engine: exec.driver.id,
    applied: 'no',
    retryable: attempts.some(({ error }) => error.retryable),
    attempts,
    cause: attempts.at(-1)?.error,
  });
}

async function withFiles(
  { exec, reference }: CopyContext,
  { runtime, pid }: CopyFacts,
  use: (files: AnchoredFiles) => Promise<CopyOutcome>,
): Promise<CopyOutcome> {
  const { driver, hostRoot } = exec;
  const options = { engine: driver.id, applied: 'no' } as const;
  if (driver.locality !== 'this-kernel') {
    throw new UnsupportedError('The engine is not on this machine, as far as it is known.', options);
  }
  if (!isRuncLikeRuntime(runtime)) {
    throw new UnsupportedError(
      `The files of containers with runtime ${runtime ?? 'unknown'} cannot be reached from the host.`,
      options,
    );
  }
  if (pid === 0) throw new ContainerNotRunningError(`Container ${reference.id} has no process.`, options);
  const files = openFilesOfProcess({ pid, containerId: reference.id, hostRoot });
  try {
    return await use(files);
  } finally {
    files.close();
  }
}

function requireArchive({ exec: { driver } }: CopyContext, { withheld }: CopyFacts): ArchiveFeature {
  const { archive } = driver.features;
  if (archive !== undefined && withheld.archive === undefined) return archive;
  throw new UnsupportedError(withheld.archive ?? 'The engine has no archive streams.', {
    engine: driver.id,
    applied: 'no',
  });
}

function requireCommands(
  { exec, reference }: CopyContext,
  { status }: CopyFacts,
): Pick<CopyContext, 'exec' | 'reference'> {
  const options = { engine: exec.driver.id, applied: 'no' } as const;
  if (status === 'paused') throw new ContainerPausedError(`Container ${reference.id} is paused.`, options);
  if (status === 'exited' || status === 'created' || status === 'dead') {
    throw new ContainerNotRunningError(`Container ${reference.id} does not run.`, options);
  }
  return { exec, reference };
}

function requireMounts(context: CopyContext, facts: CopyFacts): readonly MountPoint[] {
  requireCommands(context, facts);
  const { driver } = context.exec;
  if (driver.locality === 'this-kernel') return facts.mounts;
  throw new UnsupportedError('The engine is not on this machine, so its volumes are not either.', {
    engine: driver.id,
    applied: 'no',
  });
}
