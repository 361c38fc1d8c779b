/**
 * Follows one engine: a list at the start and after each reconnect, a look-up of exactly the containers that an event
 * names, a reconcile now and then. Answers are numbered when they are asked for, so that one that arrives late never
 * replaces a newer one.
 */

import { tracingChannel } from 'node:diagnostics_channel';
import { setMaxListeners } from 'node:events';
import {
  ClosedError,
  type ContainerDetail,
  type ContainerEngine,
  type ContainerReference,
  type ContainerSummary,
  type CrikitError,
  type DetailOutcome,
  EngineUnavailableError,
  isCrikitError,
  type Logger,
} from '@crikit/core';
import { createChangeQueue } from './change-queue.js';
import type { Clock } from './clock.js';
import { type ContainerFacts, containerKey, convertDetailToContainer } from './container-facts.js';
import type { EngineStatus } from './meta-store-status.js';
import type { PodClaim, PodSource } from './pod-source.js';

export interface EngineSyncOptions {
  readonly engine: ContainerEngine;
  readonly podSource: PodSource;
  readonly hostRoot: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly reconcileIntervalMs: number;
  /** What the engine says now of some containers (undefined: gone), and when the engine says that it happened. */
  onFacts(facts: ReadonlyMap<string, ContainerFacts | undefined>, engineTimes: ReadonlyMap<string, number>): void;
  /** The engine told of something, which is being looked up. */
  onEvent(): void;
}

export interface EngineSync {
  readonly engine: ContainerEngine;
  /** Resolves after the first sync, to undefined, or as soon as the engine cannot be heard, to the reason. */
  readonly firstSync: Promise<CrikitError | undefined>;
  status(): EngineStatus;
  /** Stops following; resolves when nothing of it is under way any more. */
  close(): Promise<void>;
}

interface ContainerRecord {
  readonly reference: ContainerReference;
  /** Number of the question whose answer this is. */
  answer: number;
  detail?: ContainerDetail;
  /** What a list said that is newer than `detail`. */
  listed?: ContainerSummary;
  failure?: CrikitError;
  failures: number;
  cancelRetry?: () => void;
}

/** Tells of each full comparison with an engine: its id, how many containers it listed and how many were inspected. */
const syncChannel = tracingChannel('crikit:sync');

/**
 * After this long a full sync asks again, pod by pod, for what has not been answered, and a resync shows what it has:
 * one slow container must not hide what happened to the others.
 */
const stragglerMs = 1_000;
/** … or after this long for each container, where there are many: dockerd takes about half of it under load. */
const stragglerMsEach = 5;
const firstRetryMs = 250;
const maxRetryMs = 30_000;
/** Part of an interval by which it varies, so that agents that started together do not stay together. */
const jitter = 0.1;

export function createEngineSync(options: EngineSyncOptions): EngineSync {
  const { engine, clock, logger } = options;
  const controller = new AbortController();
  // Every look-up under way listens to it; Node takes more than ten for a leak.
  setMaxListeners(0, controller.signal);
  const { signal } = controller;
  const records = new Map<string, ContainerRecord>();
  /** Answers that said that a container is gone, kept while an older question is under way. */
  const gone = new Map<string, number>();
  const asked = new Set<number>();
  const engineTimes = new Map<string, number>();
  const underWay = new Set<Promise<void>>();
  /** Containers whose answers a full sync waits for. */
  const awaited = new Set<{ readonly keys: Set<string>; readonly onAll: () => void }>();
  /** What changed before the first sync is complete; shown with it. */
  const early = new Set<string>();
  let questions = 0;
  /** Changes when the engine is lost and when it is back: work of an older epoch proves nothing any more. */
  let epoch = 0;
  let connections = 0;
  let connected = false;
  let synced = false;
  let staleSinceMs: number | undefined;
  let lastSyncMs: number | undefined;
  let lagMs: number | undefined;
  let lastError: CrikitError | undefined;
  let cancelReconcile: (() => void) | undefined;
  let reconciling = false;

  let settleFirstSync!: (reason: CrikitError | undefined) => void;
  const firstSync = new Promise<CrikitError | undefined>((resolve) => {
    settleFirstSync = resolve;
  });

  const queue = createChangeQueue<ContainerReference>({
    clock,
    run: (references) => lookUp(references),
    onError: (error) => logger.error({ err: error, engine: engine.id }, 'a look-up failed in an unforeseen way'),
  });

  const keyOf = (reference: ContainerReference): string => containerKey(engine.id, reference);

  const touch = (reference: ContainerReference): void => {
    const key = keyOf(reference);
    const record = records.get(key);
    const group = (record?.detail ?? record?.listed)?.kubernetes?.podUid ?? key;
    queue.touch(group, key, reference);
  };

  const ask = (): number => {
    questions += 1;
    asked.add(questions);
    return questions;
  };

  const answered = (number: number): void => {
    asked.delete(number);
    if (gone.size === 0) return;
    const oldest = asked.size === 0 ? Number.POSITIVE_INFINITY : Math.min(...asked);
    for (const [key, answer] of gone) if (answer < oldest) gone.delete(key);
  };

  const isLate = (key: string, number: number): boolean => number < (records.get(key)?.answer ?? gone.get(key) ?? 0);

  const remove = (key: string, number: number, changed: Set<string>): void => {
    const record = records.get(key);
    gone.set(key, number);
    if (record === undefined) return;
    record.cancelRetry?.();
    records.delete(key);
    changed.add(key);
  };

  const noteAnswer = (key: string): void => {
    for (const one of awaited) {
      one.keys.delete(key);
      if (one.keys.size === 0) one.onAll();
    }
  };

  const takeOutcome = (outcome: DetailOutcome, number: number, changed: Set<string>): void => {
    const key = keyOf(outcome.reference);
    noteAnswer(key);
    if (isLate(key, number)) return;
    if ('error' in outcome && outcome.error.code === 'NOT_FOUND') {
      remove(key, number, changed);
      return;
    }
    const record = records.get(key) ?? { reference: outcome.reference, answer: number, failures: 0 };
    records.set(key, record);
    record.cancelRetry?.();
    delete record.cancelRetry;
    if ('detail' in outcome) {
      record.answer = number;
      record.detail = outcome.detail;
      delete record.listed;
      delete record.failure;
      record.failures = 0;
      changed.add(key);
      return;
    }
    // Whatever failed because the engine is away is asked again when it is back.
    if (!connected) return;
    record.failures += 1;
    // The first failure may be the engine's end, of which the watch tells in a moment.
    if (record.detail === undefined || record.failures > 1) {
      record.failure = outcome.error;
      changed.add(key);
    }
    const delayMs = Math.min(maxRetryMs, firstRetryMs * 2 ** (record.failures - 1));
    record.cancelRetry = clock.setTimer(() => {
      delete record.cancelRetry;
      touch(record.reference);
    }, vary(delayMs));
    logger.debug(
      { err: outcome.error, engine: engine.id, containerId: record.reference.id, failures: record.failures },
      'the details of a container could not be read',
    );
  };

  /** Asks for details and takes in the answers; never rejects. */
  const inspect = async (references: readonly ContainerReference[], changed: Set<string>): Promise<void> => {
    const number = ask();
    let outcomes: readonly DetailOutcome[];
    try {
      outcomes = await engine.getContainerDetails(references, { signal });
    } catch (error) {
      const failure = asCrikitError(error, engine.id);
      outcomes = references.map((reference) => ({ reference, error: failure }));
    }
    if (!signal.aborted) for (const outcome of outcomes) takeOutcome(outcome, number, changed);
    answered(number);
  };

  const lookUp = async (references: readonly ContainerReference[]): Promise<void> => {
    if (!connected) return;
    const times = new Map<string, number>();
    for (const reference of references) {
      const key = keyOf(reference);
      const timeMs = engineTimes.get(key);
      if (timeMs !== undefined) times.set(key, timeMs);
      engineTimes.delete(key);
    }
    const changed = new Set<string>();
    await inspect(references, changed);
    show(changed, times);
  };

  const show = (changed: ReadonlySet<string>, times: ReadonlyMap<string, number> = new Map()): void => {
    if (signal.aborted) return;
    if (!synced) {
      for (const key of changed) early.add(key);
      return;
    }
    if (changed.size === 0) return;
    const facts = new Map<string, ContainerFacts | undefined>();
    for (const key of changed) {
      const record = records.get(key);
      facts.set(key, record === undefined ? undefined : factsOf(key, record));
    }
    options.onFacts(facts, times);
    for (const timeMs of times.values()) lagMs = clock.now() - timeMs;
  };

  const factsOf = (key: string, record: ContainerRecord): ContainerFacts | undefined => {
    const told = lastTold(record);
    if (told === undefined) return undefined;
    const claim = claimOf(told);
    return {
      key,
      container: convertDetailToContainer(engine, told, options.hostRoot),
      idSchemes: engine.containerIdSchemes,
      ...(told.kubernetes === undefined ? {} : { marks: told.kubernetes }),
      ...(claim === undefined ? {} : { claim }),
      ...(record.failure === undefined ? {} : { failure: record.failure }),
    };
  };

  const claimOf = (told: ContainerSummary): PodClaim | undefined => {
    try {
      return options.podSource.podOfContainer(told);
    } catch (error) {
      const { id } = told.reference;
      logger.error({ err: error, engine: engine.id, containerId: id }, 'the pod source threw for a container');
      return undefined;
    }
  };

  /** Brings the records in line with a list; gives those whose details must be asked for. */
  const takeList = (
    list: readonly ContainerSummary[],
    number: number,
    changed: Set<string>,
  ): readonly ContainerReference[] => {
    const listed = new Set(list.map(({ reference }) => keyOf(reference)));
    for (const key of [...records.keys()]) {
      if (!listed.has(key) && !isLate(key, number)) remove(key, number, changed);
    }
    const suspects: ContainerReference[] = [];
    for (const summary of list) {
      const key = keyOf(summary.reference);
      if (isLate(key, number)) continue;
      const record = records.get(key);
      if (record === undefined) {
        gone.delete(key);
        records.set(key, { reference: summary.reference, answer: number, listed: summary, failures: 0 });
      } else if (isProven(record, summary)) {
        continue;
      } else {
        record.listed = summary;
      }
      suspects.push(summary.reference);
    }
    return suspects;
  };

  const sync = (list: readonly ContainerSummary[], number: number, startedEpoch: number): Promise<void> => {
    const changed = new Set<string>();
    const suspects = takeList(list, number, changed);
    const context = { engine: engine.id, listed: list.length, inspected: suspects.length };
    return syncChannel.tracePromise(() => inspectSuspects(suspects, changed, startedEpoch), context);
  };

  const inspectSuspects = async (
    suspects: readonly ContainerReference[],
    changed: Set<string>,
    startedEpoch: number,
  ): Promise<void> => {
    const flush = (): void => {
      show(changed);
      changed.clear();
    };
    if (suspects.length > 0) await askUntilAnswered(suspects, changed, flush);
    if (epoch === startedEpoch && connected) {
      synced = true;
      lastSyncMs = clock.now();
      lastError = undefined;
      for (const key of early) changed.add(key);
      early.clear();
    }
    flush();
  };

  /** One call for all; what has no answer after a while is asked for again, so that one that hangs holds up nobody. */
  const askUntilAnswered = (
    suspects: readonly ContainerReference[],
    changed: Set<string>,
    flush: () => void,
  ): Promise<void> =>
    new Promise((resolve) => {
      const finish = (): void => {
        cancelStraggler();
        awaited.delete(waiting);
        resolve();
      };
      const waiting = { keys: new Set(suspects.map(keyOf)), onAll: finish };
      awaited.add(waiting);
      const cancelStraggler = clock.setTimer(
        () => {
          for (const reference of suspects) if (waiting.keys.has(keyOf(reference))) touch(reference);
          flush();
        },
        Math.max(stragglerMs, suspects.length * stragglerMsEach),
      );
      void inspect(suspects, changed).then(() => {
        // Late answers, to a sync that is over, are shown as well.
        flush();
        finish();
      });
    });

  const reconcile = async (): Promise<void> => {
    const startedEpoch = epoch;
    const number = ask();
    try {
      const list = await engine.listAllContainers({ signal });
      if (epoch === startedEpoch && connected) await sync(list, number, startedEpoch);
    } catch (error) {
      if (signal.aborted) return;
      lastError = asCrikitError(error, engine.id);
      logger.warn({ err: error, engine: engine.id }, 'the periodic reconcile failed');
    } finally {
      answered(number);
    }
  };

  const scheduleReconcile = (): void => {
    cancelReconcile?.();
    cancelReconcile = clock.setTimer(() => {
      scheduleReconcile();
      if (!connected || reconciling) return;
      reconciling = true;
      track(
        reconcile().finally(() => {
          reconciling = false;
        }),
      );
    }, vary(options.reconcileIntervalMs));
  };

  const track = (work: Promise<void>): void => {
    const guarded = work
      .catch((error: unknown) => logger.error({ err: error, engine: engine.id }, 'a sync failed in an unforeseen way'))
      .finally(() => underWay.delete(guarded));
    underWay.add(guarded);
  };

  const lose = (error: CrikitError): void => {
    epoch += 1;
    if (connected || staleSinceMs === undefined) staleSinceMs = clock.now();
    connected = false;
    lastError = error;
    engineTimes.clear();
    for (const record of records.values()) {
      record.cancelRetry?.();
      delete record.cancelRetry;
    }
    settleFirstSync(error);
  };

  const watch = engine.watch(
    {
      onSync: (list) => {
        // An engine without events is listed again and again without ever being lost.
        if (!connected) {
          epoch += 1;
          connections += 1;
          connected = true;
        }
        reconciling = true;
        const number = ask();
        const startedEpoch = epoch;
        track(
          sync(list, number, startedEpoch).finally(() => {
            answered(number);
            if (epoch !== startedEpoch) return;
            reconciling = false;
            staleSinceMs = undefined;
            settleFirstSync(undefined);
          }),
        );
      },
      onEvent: ({ reference, timeMs }) => {
        engineTimes.set(keyOf(reference), timeMs);
        touch(reference);
        options.onEvent();
      },
      onLost: lose,
      // Why it is not back says more than how it went.
      onStillLost: (error) => {
        lastError = error;
      },
    },
    { signal },
  );
  track(
    watch.then(
      () => {
        if (!signal.aborted) lose(new ClosedError('The engine was closed.', { engine: engine.id }));
      },
      (error: unknown) => lose(asCrikitError(error, engine.id)),
    ),
  );
  scheduleReconcile();

  return {
    engine,
    firstSync,
    status: () => ({
      id: engine.id,
      type: engine.type,
      state: staleSinceMs !== undefined ? 'stale' : synced ? 'live' : 'syncing',
      connections,
      containers: records.size,
      failingContainers: [...records.values()].filter(({ failures }) => failures > 0).length,
      ...(engine.version === undefined ? {} : { version: engine.version }),
      ...(staleSinceMs === undefined ? {} : { staleSinceMs }),
      ...(lastSyncMs === undefined ? {} : { ageMs: staleSinceMs === undefined ? 0 : clock.now() - staleSinceMs }),
      ...(lagMs === undefined ? {} : { lagMs }),
      ...(lastSyncMs === undefined ? {} : { lastSyncMs }),
      ...(lastError === undefined ? {} : { error: { code: lastError.code, message: lastError.message } }),
    }),
    close: async () => {
      controller.abort();
      queue.close();
      cancelReconcile?.();
      for (const record of records.values()) record.cancelRetry?.();
      settleFirstSync(new ClosedError('The store was closed.', { engine: engine.id }));
      await Promise.all(underWay);
    },
  };
}

function isProven(record: ContainerRecord, summary: ContainerSummary): boolean {
  if (record.detail === undefined || record.failures > 0) return false;
  return summary.revision !== undefined && summary.revision === record.detail.revision;
}

/** The detail; where a newer list contradicts it and the details cannot be read, with the list's word on the status. */
function lastTold({ detail, listed, failure }: ContainerRecord): ContainerSummary | ContainerDetail | undefined {
  if (detail === undefined) return failure === undefined ? undefined : listed;
  if (listed === undefined || listed.status === detail.status) return detail;
  const { pid, ...rest } = detail;
  return listed.status === 'running' && pid !== undefined
    ? { ...rest, pid, status: listed.status }
    : { ...rest, status: listed.status };
}

function vary(delayMs: number): number {
  return delayMs * (1 - jitter + 2 * jitter * Math.random());
}

function asCrikitError(error: unknown, engine: string): CrikitError {
  if (isCrikitError(error)) return error;
  return new EngineUnavailableError(`The engine failed in an unforeseen way: ${String(error)}.`, {
    engine,
    cause: error,
  });
}
