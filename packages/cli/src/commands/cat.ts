import type { Readable } from 'node:stream';
import { type Container, ExecFailedError } from '@crikit/core';
import type { MetaStore } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { isOutOfReach } from '../out-of-reach.js';
import { requireContainerPath } from '../parse-container-path.js';
import { resolveContainer } from '../resolve-target.js';
import { writeFully } from '../write-fully.js';

/** Prints files of containers, from the host where that is possible, else by the container's own `cat`. */
export async function runCat(context: CommandContext, { files }: { readonly files: readonly string[] }): Promise<void> {
  const wanted = files.map(requireContainerPath);
  await withStore(context, async (store) => {
    for (const { target, path } of wanted) await printFile(context, store, resolveContainer(store, target), path);
  });
}

async function printFile(context: CommandContext, store: MetaStore, container: Container, path: string): Promise<void> {
  const { signal, stdout } = context;
  const stream = await openFile(store, container, path, signal);
  if (stream === undefined) {
    await printByExec(context, store, container, path);
    return;
  }
  try {
    for await (const chunk of stream) await writeFully(stdout, chunk as Buffer, signal);
  } finally {
    stream.destroy();
  }
}

/** Undefined where the container cannot be looked into from here. */
async function openFile(
  store: MetaStore,
  container: Container,
  path: string,
  signal: AbortSignal,
): Promise<Readable | undefined> {
  const root = await store.openRoot(container).catch((error: unknown) => {
    if (!isOutOfReach(error)) throw error;
    return undefined;
  });
  if (root === undefined) return undefined;
  try {
    return await root.openReadStream(path, { signal });
  } finally {
    await root.close();
  }
}

async function printByExec(
  context: CommandContext,
  store: MetaStore,
  container: Container,
  path: string,
): Promise<void> {
  const { signal, stdout } = context;
  const cmd = ['cat', '--', path];
  const running = await store.execAsync(container, { cmd, signal });
  const complaint: Buffer[] = [];
  running.stderr.on('data', (chunk: Buffer) => complaint.push(chunk));
  for await (const chunk of running.stdout) await writeFully(stdout, chunk as Buffer, signal);
  const result = await running.result;
  if ('error' in result) throw result.error;
  if (result.exitCode !== 0) {
    const { exitCode } = result;
    throw new ExecFailedError({
      cmd,
      exitCode,
      stdout: Buffer.alloc(0),
      stderr: Buffer.concat(complaint),
      truncated: false,
    });
  }
}
