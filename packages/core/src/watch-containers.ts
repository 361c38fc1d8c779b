import { setTimeout as delay } from 'node:timers/promises';
import { asEngineError, callDriver } from './call-driver.js';
import type { ContainerWatch } from './container-engine.js';
import { disposeQuietly } from './dispose-quietly.js';
import type { ContainerSummary, EngineDriver, EngineEvent, EventFeed, EventsFeature } from './engine-contract.js';
import { EngineUnavailableError } from './errors/engine-unavailable-error.js';
import type { Logger } from './logger.js';

export interface WatchContext {
  readonly driver: EngineDriver;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Between two lists, for an engine without events. */
  readonly pollIntervalMs: number;
}

const openDeadlineMs = 10_000;
const listDeadlineMs = 10_000;
const firstRetryMs = 50;
const longestRetryMs = 1_000;

/**
 * Keeps a watch on an engine's containers: subscribes, then lists, then hands on what happened since the subscription;
 * when the engine is lost, says so once and does it all again until it is back. Resolves when the signal aborts.
 */
export async function watchContainers(watch: ContainerWatch, context: WatchContext): Promise<void> {
  const { driver, signal } = context;
  const guarded = guardWatch(watch, context);
  const events = driver.features.events;
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (events === undefined) {
        guarded.onSync(await list(context));
        failures = 0;
        await pause(context.pollIntervalMs, signal);
        continue;
      }
      await watchUntilLost(guarded, events, context, () => {
        failures = 0;
      });
    } catch (error) {
      if (signal.aborted) break;
      const why = asEngineError(error, { what: 'follow its containers', engine: driver.id });
      if (failures === 0) guarded.onLost(why);
      else guarded.onStillLost(why);
      failures += 1;
      const backOffMs = Math.min(longestRetryMs, firstRetryMs * 2 ** (failures - 1));
      await pause(backOffMs * (0.5 + Math.random() / 2), signal);
    }
  }
}

/** Rejects with what ended the feed, or with what kept it from beginning. */
async function watchUntilLost(
  watch: ContainerWatch,
  events: EventsFeature,
  context: WatchContext,
  onLive: () => void,
): Promise<void> {
  const { driver, signal } = context;
  const early: EngineEvent[] = [];
  let synced = false;
  let stopped = false;
  const onEvent = (event: EngineEvent): void => {
    if (stopped) return;
    if (synced) watch.onEvent(event);
    else early.push(event);
  };
  const abortion = awaitAbort(signal);
  let feed: EventFeed | undefined;
  try {
    const opening = callDriver(
      {
        what: 'subscribe to events',
        engine: driver.id,
        timeoutMs: openDeadlineMs,
        signal,
        onLate: (late: EventFeed) => void disposeQuietly(late),
      },
      (callSignal) => events.openEvents(onEvent, { signal: callSignal }),
    );
    const listing = events.coversOpening === true ? list(context) : undefined;
    // It is waited for below, and told of there, unless the feed cannot be opened.
    listing?.catch(() => {});
    feed = await opening;
    watch.onSync(await (listing ?? list(context)));
    onLive();
    synced = true;
    for (const event of early.splice(0)) watch.onEvent(event);
    const ended = await Promise.race([feed.ended, abortion.aborted]);
    if (signal.aborted) return;
    throw (
      ended?.error ??
      new EngineUnavailableError('The event stream ended.', { engine: driver.id, retryable: true, applied: 'no' })
    );
  } finally {
    stopped = true;
    abortion.forget();
    await disposeQuietly(feed);
  }
}

function list(context: WatchContext): Promise<readonly ContainerSummary[]> {
  const { driver, signal } = context;
  return callDriver({ what: 'list containers', engine: driver.id, timeoutMs: listDeadlineMs, signal }, (callSignal) =>
    driver.listAllContainers({ signal: callSignal }),
  );
}

/** A listener that throws harms nobody else. */
function guardWatch(watch: ContainerWatch, { driver, logger }: WatchContext): Required<ContainerWatch> {
  const guard = (run: () => void): void => {
    try {
      run();
    } catch (error) {
      logger.error({ engine: driver.id, error }, 'a listener of container changes threw');
    }
  };
  return {
    onSync: (containers) => guard(() => watch.onSync(containers)),
    onEvent: (event) => guard(() => watch.onEvent(event)),
    onLost: (error) => guard(() => watch.onLost(error)),
    onStillLost: (error) => guard(() => watch.onStillLost?.(error)),
  };
}

function awaitAbort(signal: AbortSignal): { readonly aborted: Promise<undefined>; forget(): void } {
  let onAbort = (): void => {};
  const aborted = new Promise<undefined>((resolve) => {
    onAbort = () => resolve(undefined);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  // The signal outlives the connection: listeners of former ones would pile up on it.
  return { aborted, forget: () => signal.removeEventListener('abort', onAbort) };
}

async function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  await delay(durationMs, undefined, { signal }).catch(() => {});
}
