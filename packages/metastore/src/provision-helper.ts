/** Copies one file of this host into containers that do not have it, or have another one in its place. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import {
  type ContainerRoot,
  CopyFailedError,
  InvalidArgumentError,
  isCrikitError,
  isPathNotFoundError,
  type Logger,
} from '@crikit/core';
import type { Enricher } from './enricher.js';
import { isOutOfReach } from './root-out-of-reach.js';

export interface HelperOptions {
  /** The file on this process's own file system. It is read anew for each container that lacks it. */
  readonly source: string;
  /** Where it belongs in a container: absolute. Missing parent directories are made. */
  readonly destination: string;
  /** Permission bits. Default: 0o755. */
  readonly mode?: number;
}

/** Throws `InvalidArgumentError` for a destination that is not absolute. */
export function createHelperEnricher(helper: HelperOptions, logger: Logger): Enricher<'helperStatus'> {
  const { source, destination, mode = 0o755 } = helper;
  if (!posix.isAbsolute(destination)) {
    throw new InvalidArgumentError(`The destination of the helper, '${destination}', is not absolute.`);
  }
  const hashSource = rememberHash(source);
  return {
    name: 'helperStatus',
    timeoutMs: 60_000,
    initial: 'init',
    appliesTo: () => true,
    run: async ({ container, pod, openRoot, report }, signal) => {
      if (pod === undefined || pod.namespace.startsWith('kube-')) return 'skipped';
      try {
        const wanted = await hashSource(signal);
        const root = await openRoot();
        if (await holds(root, destination, wanted, signal)) return 'ok';
        report('in-progress');
        await root.writeFile(destination, createReadStream(source), { mode, makeParents: true, signal });
        if (await holds(root, destination, wanted, signal)) return 'ok';
        throw new Error(`'${source}' changed while it was copied`);
      } catch (error) {
        if (isOutOfReach(error)) {
          logger.info({ err: error, containerId: container.id }, 'the helper cannot be copied into this container');
          return 'skipped';
        }
        report('retryable-error');
        if (isCrikitError(error) && error.retryable) throw error;
        throw new CopyFailedError(`The helper was not copied to '${destination}': ${(error as Error).message}.`, {
          cause: error,
          retryable: true,
        });
      }
    },
  };
}

interface Content {
  readonly sizeBytes: number;
  readonly hash: string;
}

function rememberHash(source: string): (signal: AbortSignal) => Promise<Content> {
  let known: (Content & { readonly version: string }) | undefined;
  return async (signal) => {
    const { size, mtimeMs, ino } = await stat(source);
    const version = `${ino} ${size} ${mtimeMs}`;
    if (known?.version !== version) {
      known = { version, sizeBytes: size, hash: await hashOf(createReadStream(source, { signal })) };
    }
    return known;
  };
}

async function holds(root: ContainerRoot, path: string, wanted: Content, signal: AbortSignal): Promise<boolean> {
  try {
    const { type, sizeBytes } = await root.stat(path);
    if (type !== 'file' || sizeBytes !== wanted.sizeBytes) return false;
    return (await hashOf(await root.openReadStream(path, { signal }))) === wanted.hash;
  } catch (error) {
    if (isPathNotFoundError(error)) return false;
    throw error;
  }
}

async function hashOf(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}
