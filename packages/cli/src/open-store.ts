import { type EngineReport, NoEngineError } from '@crikit/core';
import { createMetaStore, type MetaStore, type MetaStoreOptions } from '@crikit/metastore';
import { choosePodSource } from './choose-pod-source.js';
import type { CommandContext } from './command-context.js';
import { loadEngines } from './load-engines.js';

export interface OpenStoreOptions extends Pick<MetaStoreOptions, 'trackFinishedPods'> {
  /** Whether the store looks into containers and follows the Node object. Default: false, it is asked once. */
  readonly forLong?: boolean;
  /** Whether a store without any engine is an error. Default: true. */
  readonly requireEngine?: boolean;
}

/**
 * A started store, by the options that hold for all commands; the caller closes it. What does not work beside what does is
 * told on stderr. Rejects with `NO_ENGINE` when no engine can be used.
 */
export async function openStore(context: CommandContext, options: OpenStoreOptions = {}): Promise<MetaStore> {
  const { forLong = false, requireEngine = true, trackFinishedPods = false } = options;
  const { hostRoot } = context.options;
  const { sidecars, app, hostname } = context.configuration ?? {};
  const store = createMetaStore({
    engines: await loadEngines(context.options, process.cwd()),
    pods: await choosePodSource(context),
    environment: context.environment,
    hostRoot,
    trackFinishedPods,
    watchNode: forLong,
    ...(forLong ? {} : { enrichment: false }),
    ...(sidecars === undefined ? {} : { sidecars }),
    ...(app === undefined ? {} : { app }),
    ...(hostname === undefined ? {} : { hostname }),
  });
  await store.start({ signal: context.signal });
  const { engines, reports } = store.status();
  if (engines.length === 0 && requireEngine) {
    await store.close();
    throw new NoEngineError(reports);
  }
  warn(context, store);
  return store;
}

/** Opens a store, uses it, closes it. */
export async function withStore<Result>(
  context: CommandContext,
  use: (store: MetaStore) => Promise<Result>,
  options: OpenStoreOptions = {},
): Promise<Result> {
  const store = await openStore(context, options);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

function warn({ stderr }: CommandContext, store: MetaStore): void {
  const { engines, podSource, reports } = store.status();
  for (const report of reports) {
    if (report.status === 'failed') stderr.write(`crikit: warning: ${describeFailure(report)}\n`);
  }
  for (const { id, state, error } of engines) {
    if (state === 'stale' && error !== undefined) {
      stderr.write(`crikit: warning: ${id} does not tell of its containers: ${error.message}\n`);
    }
  }
  if (podSource.state === 'stale' && podSource.error !== undefined) {
    stderr.write(`crikit: warning: pods are shown as their containers tell of them: ${podSource.error.message}\n`);
  }
}

function describeFailure({ type, reason, attempts }: EngineReport): string {
  const failures = attempts.filter(({ outcome }) => outcome === 'failed');
  const details = failures.map(({ message, code, remedy }) =>
    [message, code === undefined || message.includes(code) ? '' : `(${code})`, remedy ?? '']
      .filter((part) => part !== '')
      .join(' '),
  );
  return `${type}: ${reason}${details.length === 0 ? '' : `: ${details.join(' ')}`}`;
}
