import { isDeepStrictEqual } from 'node:util';
import { expect, vi } from 'vitest';
import type { MetaStore, MetaStoreEvent } from '../src/index.js';
import { replayEvents } from '../src/replay-events.js';

export interface OutageRounds {
  readonly rounds: number;
  readonly store: MetaStore;
  /** Makes a pod whose container will die during the outage. */
  makeVictim(name: string): Promise<{ readonly containerId: string }>;
  /** Makes a container and removes it again. What fails because the daemon is away does not matter. */
  churn(number: number): Promise<void>;
  kill(): Promise<unknown>;
  /** Resolves when the daemon answers. */
  start(): Promise<unknown>;
  /** Ids of all containers there are, and whether they run, by the engine's own word. */
  truth(): Promise<ReadonlyMap<string, boolean>>;
}

/** The longest that a store may take after the return of its engine. */
const convergenceMs = 3_000;

/**
 * Kills the daemon again and again while containers come and go, and one dies while nobody looks. After each return the
 * store must be right in time; at the end its events, replayed from nothing, must lead to what it shows, without one
 * that tells what was told before.
 */
export async function surviveOutages(options: OutageRounds): Promise<void> {
  const { store } = options;
  const events: MetaStoreEvent[] = [];
  const reading = (async () => {
    for await (const event of store.events({ maxWaiting: 100_000 })) events.push(event);
  })();
  let made = 0;
  for (let round = 1; round <= options.rounds; round += 1) {
    const { containerId } = await options.makeVictim(`victim-${round}`);
    const { state } = await store.waitFor({ cid: containerId }, { timeoutMs: 10_000 });
    await vi.waitFor(() => expect(store.getContainerByCid(containerId)?.state.pid).toBeGreaterThan(0), 10_000);
    const pid = store.getContainerByCid(containerId)?.state.pid ?? state.pid;

    let isChurning = true;
    const churning = (async () => {
      while (isChurning) {
        made += 1;
        await options.churn(made).catch(() => {});
      }
    })();
    const before = events.length;
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(before + 3), 20_000);
    await options.kill();
    isChurning = false;
    await churning;
    await vi.waitFor(() => expect(store.status().engines[0]?.state).toBe('stale'), 10_000);
    expect(store.getContainerByCid(containerId)?.state.status).toBe('running');
    process.kill(pid, 'SIGKILL');

    await options.start();
    const returnedMs = performance.now();
    for (;;) {
      const truth = await options.truth();
      const shown = new Map(
        store.getAllContainers({ withoutPod: true }).map(({ id, state: { status } }) => [id, status === 'running']),
      );
      const isRight = isDeepStrictEqual(new Map([...shown].sort()), new Map([...truth].sort()));
      if (isRight && store.status().engines[0]?.state === 'live' && shown.get(containerId) === false) break;
      const elapsedMs = performance.now() - returnedMs;
      if (elapsedMs > convergenceMs) expect({ round, elapsedMs, shown }).toEqual({ round, elapsedMs, shown: truth });
    }
    expect(store.status().engines[0]?.connections).toBe(round + 1);
  }
  await store.close();
  await reading;
  const replayed = replayEvents(events);
  expect([...replayed.pods.values()].map(({ uid }) => uid).sort()).toEqual(
    store
      .getAllPods()
      .map(({ uid }) => uid)
      .sort(),
  );
  expect([...replayed.containers.values()].map(({ id }) => id).sort()).toEqual(
    store
      .getAllContainers({ withoutPod: true })
      .map(({ id }) => id)
      .sort(),
  );
  const idle = events.filter(
    (event) =>
      (event.type === 'container-changed' && isDeepStrictEqual(event.container, event.previous)) ||
      (event.type === 'pod-changed' && isDeepStrictEqual(event.pod, event.previous)),
  );
  expect(idle).toEqual([]);
}
