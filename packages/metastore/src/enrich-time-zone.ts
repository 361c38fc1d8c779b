import { isCommandNotFoundError, resolveTimeZone, type TimeZoneRoot } from '@crikit/core';
import type { Enricher, EnricherContext } from './enricher.js';
import { isOutOfReach } from './root-out-of-reach.js';
import { readTimeZoneRootByExec } from './time-zone-root-by-exec.js';

/** The zone that holds in the environment with which the container was started; by an exec where its files are out of reach. */
export const timeZoneEnricher: Enricher<'tz'> = {
  name: 'tz',
  timeoutMs: 15_000,
  appliesTo: () => true,
  run: async (context) => {
    const { env } = context.container;
    try {
      return await resolveTimeZone(await context.openRoot(), env);
    } catch (error) {
      if (!isOutOfReach(error)) throw error;
    }
    const root = await rootByExec(context);
    return root === undefined ? undefined : resolveTimeZone(root, env);
  },
};

async function rootByExec({ container, exec }: EnricherContext): Promise<TimeZoneRoot | undefined> {
  try {
    return await readTimeZoneRootByExec(exec, container.env);
  } catch (error) {
    if (isCommandNotFoundError(error)) return undefined;
    throw error;
  }
}
