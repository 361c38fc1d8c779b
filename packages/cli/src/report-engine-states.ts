import type { EngineStatus, MetaStore } from '@crikit/metastore';
import type { CommandContext } from './command-context.js';

const lookEveryMs = 500;

/** Tells on stderr when an engine goes away or comes back, until the function that it gives is called. */
export function reportEngineStates({ stderr }: Pick<CommandContext, 'stderr'>, store: MetaStore): () => void {
  const away = new Set<string>();
  const look = (): void => {
    for (const engine of store.status().engines) {
      if (engine.state === 'stale' && !away.has(engine.id)) {
        away.add(engine.id);
        stderr.write(`crikit: warning: ${describeAway(engine)}\n`);
      } else if (engine.state === 'live' && away.delete(engine.id)) {
        stderr.write(`crikit: ${engine.id} is back\n`);
      }
    }
  };
  const timer = setInterval(look, lookEveryMs);
  return () => clearInterval(timer);
}

export function describeAway({ id, error }: Pick<EngineStatus, 'id' | 'error'>): string {
  return `${id} is away, what is known of it stays: ${error?.message ?? 'it does not answer'}`;
}
