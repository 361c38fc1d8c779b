/** What the node's /proc tells of a container's processes. Nothing runs in the container for it. */
import type { Enricher } from './enricher.js';
import { findPid1 } from './find-pid1.js';
import { isOutOfReach } from './root-out-of-reach.js';

const refreshMs = 60_000;
const timeoutMs = 10_000;

export const pid1NameEnricher: Enricher<'pid1Name'> = {
  name: 'pid1Name',
  timeoutMs,
  // A script that starts the real program by `exec` changes it.
  refreshMs,
  appliesTo: () => true,
  run: async (context) => whereVisible(async () => (await findPid1(context))?.name),
};

export const zombieCountEnricher: Enricher<'zombieCount'> = {
  name: 'zombieCount',
  timeoutMs,
  refreshMs,
  appliesTo: () => true,
  run: async ({ container, listProcesses }) =>
    whereVisible(async () => {
      const processes = await listProcesses();
      // Without the first one they are not all to be seen, and none would be a guess.
      if (!processes.some(({ pid }) => pid === container.state.pid)) return undefined;
      return processes.filter(({ state }) => state === 'zombie').length;
    }),
};

/** Undefined where the node's processes are not to be seen at all. */
export async function whereVisible<Value>(look: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await look();
  } catch (error) {
    if (isOutOfReach(error)) return undefined;
    throw error;
  }
}
