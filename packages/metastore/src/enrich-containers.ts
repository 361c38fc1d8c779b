/**
 * Runs enrichers on running biz containers, off the path of the syncs: what is due is collected into batches that share
 * one pass over the node's /proc, few containers are worked on at once, each run has a deadline that holds whatever the
 * enricher does, and what is found is handed over in one piece.
 */
import { tracingChannel } from 'node:diagnostics_channel';
import { isDeepStrictEqual } from 'node:util';
import {
  type Container,
  type ContainerEnrichments,
  type ContainerRoot,
  type ExecRequest,
  type ExecResult,
  isBiz,
  isCrikitError,
  isRunning,
  type Logger,
  linkSignals,
  openRootOfContainer,
  type Pod,
} from '@crikit/core';
import type { Clock } from './clock.js';
import type { AnyEnricher, Enricher, EnricherContext } from './enricher.js';
import { createProcessPass, type ProcessPass } from './process-pass.js';

export interface EnrichmentOptions {
  readonly enrichers: readonly AnyEnricher[];
  readonly hostRoot: string;
  readonly clock: Clock;
  readonly logger: Logger;
  podOf(container: Container): Pod | undefined;
  exec(container: Container, request: ExecRequest): Promise<ExecResult>;
  /** New values for these containers: `valuesOf` has them. */
  onValues(keys: ReadonlySet<string>): void;
}

export interface Enrichment {
  /** Takes notice of containers that are shown from now on (undefined: not any more). Starts nothing by itself. */
  update(containers: ReadonlyMap<string, Container | undefined>): void;
  /** What was found of this container since it was started; undefined when that is nothing. */
  valuesOf(key: string, container: Container): ContainerEnrichments | undefined;
  /** Ends all runs; resolves when nothing is under way any more but what does not listen to its signal. */
  close(): Promise<void>;
}

/** Tells of each run: engine, container, enricher; `error` when it failed. */
const enrichChannel = tracingChannel('crikit:enrich');

/** Most of the work are file system calls, for which Node has four threads. */
const maxParallel = 4;
/** Between the starts of two batches, so that containers that come one by one do not cost a pass over /proc each. */
const batchIntervalMs = 250;
/** What is found within this time is shown in one step. */
const gatherMs = 50;
const firstRetryMs = 1_000;
const maxRetryMs = 60_000;

type AnyContext = EnricherContext<never>;

/** One start of a container: all that is found belongs to it. */
interface Subject {
  readonly key: string;
  readonly pid: number;
  readonly startedAt: string | undefined;
  container: Container;
  values: Readonly<Record<string, unknown>>;
  readonly tasks: readonly Task[];
  isRunning: boolean;
  /** Aborts when the container does not run any more. Made when there is work: a node's first look is at hundreds of them. */
  active: AbortController | undefined;
  isWorkedOn: boolean;
}

interface Task {
  readonly enricher: AnyEnricher;
  /** `idle`: done, failed for good, or not to be done for this container. */
  state: 'due' | 'running' | 'waiting' | 'idle';
  failures: number;
  cancelTimer: (() => void) | undefined;
  /** A run that has not ended, be it over for us. */
  hanging: Promise<unknown> | undefined;
  memory: Map<string, unknown>;
  applied: boolean;
}

export function createEnrichment(options: EnrichmentOptions): Enrichment {
  const { clock, logger, hostRoot } = options;
  const closing = new AbortController();
  const subjects = new Map<string, Subject>();
  const due = new Set<Subject>();
  const jobs = new Set<Promise<void>>();
  const found = new Map<Subject, Record<string, unknown>>();
  const queue: { readonly subject: Subject; readonly pass: ProcessPass }[] = [];
  /** What is refreshed at the same intervals is refreshed together, so that one pass over /proc serves all. */
  const refreshes = new Map<number, { readonly tasks: Map<Task, Subject>; readonly cancel: () => void }>();
  let lastBatchMs = Number.NEGATIVE_INFINITY;
  let cancelBatch: (() => void) | undefined;
  let cancelGather: (() => void) | undefined;

  const startSubject = (key: string, container: Container): void => {
    const tasks = options.enrichers.map(
      (enricher): Task => ({
        enricher,
        state: 'idle',
        failures: 0,
        cancelTimer: undefined,
        hanging: undefined,
        memory: new Map(),
        applied: false,
      }),
    );
    const { pid, startedAt } = container.state;
    const subject: Subject = {
      ...{ key, pid, startedAt, container, tasks, values: {}, isRunning: true, active: undefined, isWorkedOn: false },
    };
    subjects.set(key, subject);
    for (const task of tasks) {
      if (!applies(task.enricher, container)) continue;
      if (task.enricher.initial !== undefined) note(subject, task.enricher.name, task.enricher.initial);
      makeDue(subject, task);
    }
  };

  const stop = (subject: Subject): void => {
    subject.isRunning = false;
    subject.active?.abort();
    subject.active = undefined;
    due.delete(subject);
    found.delete(subject);
    for (const task of subject.tasks) {
      task.cancelTimer?.();
      task.cancelTimer = undefined;
      // What was not finished is taken up again when the container goes on.
      if (task.state !== 'idle') task.applied = false;
      task.state = 'idle';
      task.memory = new Map();
    }
  };

  const resume = (subject: Subject): void => {
    subject.isRunning = true;
    for (const task of subject.tasks) {
      task.failures = 0;
      if (task.applied && task.enricher.refreshMs === undefined) continue;
      if (applies(task.enricher, subject.container)) makeDue(subject, task);
    }
  };

  const applies = (enricher: AnyEnricher, container: Container): boolean => {
    try {
      return enricher.appliesTo(container);
    } catch (error) {
      logger.error({ err: error, enricher: enricher.name, containerId: container.id }, 'an enricher threw');
      return false;
    }
  };

  const makeDue = (subject: Subject, task: Task): void => {
    task.cancelTimer = undefined;
    task.applied = true;
    task.state = 'due';
    due.add(subject);
    scheduleBatch();
  };

  const makeDueIn = (subject: Subject, task: Task, delayMs: number): void => {
    task.state = 'waiting';
    task.cancelTimer = clock.setTimer(() => makeDue(subject, task), delayMs);
  };

  const makeDueWithOthers = (subject: Subject, task: Task, refreshMs: number): void => {
    task.state = 'waiting';
    let refresh = refreshes.get(refreshMs);
    if (refresh === undefined) {
      const tasks = new Map<Task, Subject>();
      const cancel = clock.setTimer(() => {
        refreshes.delete(refreshMs);
        for (const [each, owner] of tasks) makeDue(owner, each);
      }, refreshMs);
      refresh = { tasks, cancel };
      refreshes.set(refreshMs, refresh);
    }
    const { tasks, cancel } = refresh;
    tasks.set(task, subject);
    task.cancelTimer = () => {
      tasks.delete(task);
      if (tasks.size > 0) return;
      cancel();
      refreshes.delete(refreshMs);
    };
  };

  const scheduleBatch = (): void => {
    if (cancelBatch !== undefined || closing.signal.aborted) return;
    const waitMs = lastBatchMs + batchIntervalMs - clock.now();
    // Never in the turn in which a sync told of it: what follows the sync goes first.
    if (waitMs > 0) {
      cancelBatch = clock.setTimer(startBatch, waitMs);
    } else {
      const turn = setImmediate(startBatch);
      cancelBatch = () => clearImmediate(turn);
    }
  };

  const startBatch = (): void => {
    cancelBatch = undefined;
    lastBatchMs = clock.now();
    const ready = [...due].filter(({ isWorkedOn }) => !isWorkedOn);
    const containerIds = new Set(ready.flatMap(({ container }) => relatedIds(container)));
    const pass = createProcessPass(containerIds, { hostRoot, signal: closing.signal });
    for (const subject of ready) {
      due.delete(subject);
      subject.isWorkedOn = true;
      queue.push({ subject, pass });
    }
    pump();
  };

  const pump = (): void => {
    while (jobs.size < maxParallel) {
      const next = queue.shift();
      if (next === undefined) return;
      const job = work(next.subject, next.pass)
        .catch((error: unknown) => logger.error({ err: error }, 'an enrichment failed in an unforeseen way'))
        .finally(() => {
          jobs.delete(job);
          next.subject.isWorkedOn = false;
          if (due.has(next.subject)) scheduleBatch();
          pump();
        });
      jobs.add(job);
    }
  };

  const work = async (subject: Subject, pass: ProcessPass): Promise<void> => {
    if (!subject.isRunning) return;
    subject.active ??= new AbortController();
    const { active } = subject;
    let root: Promise<ContainerRoot> | undefined;
    const openRoot = (): Promise<ContainerRoot> => {
      root ??= openRootOfContainer(subject.container, { hostRoot });
      return root;
    };
    try {
      for (const task of subject.tasks) {
        if (active.signal.aborted) return;
        if (task.state !== 'due') continue;
        if (applies(task.enricher, withFound(subject))) await run(subject, task, { active, openRoot, pass });
        else Object.assign(task, { state: 'idle', applied: false });
      }
    } finally {
      await root?.then(
        (opened) => opened.close(),
        () => {},
      );
    }
  };

  const withFound = (subject: Subject): Container => {
    const values = found.get(subject);
    return values === undefined ? subject.container : { ...values, ...subject.container };
  };

  interface Surroundings {
    readonly active: AbortController;
    readonly pass: ProcessPass;
    openRoot(): Promise<ContainerRoot>;
  }

  const run = async (subject: Subject, task: Task, { active, openRoot, pass }: Surroundings): Promise<void> => {
    const { enricher } = task;
    if (task.hanging !== undefined) {
      fail(subject, task, Object.assign(new Error('its former run has not ended'), { retryable: true }));
      return;
    }
    task.state = 'running';
    const container = withFound(subject);
    const pod = options.podOf(container);
    const linked = linkSignals([active.signal]);
    const { signal } = linked;
    let isOver = false;
    const isCurrent = (): boolean => !isOver && !active.signal.aborted;
    const context: AnyContext = {
      container,
      ...(pod === undefined ? {} : { pod }),
      hostRoot,
      openRoot,
      listProcesses: (containerId = container.id) => pass.processesOf(containerId),
      exec: async (request) => {
        const own = linkSignals([signal, request.signal]);
        try {
          // Several enrichers ask one container, and ask it again when it starts anew or is refreshed.
          return await options.exec(container, { reuse: true, ...request, signal: own.signal });
        } finally {
          own.unlink();
        }
      },
      report: (value) => {
        // After its deadline a run may still say how it ended, if no other one has begun.
        if (!active.signal.aborted && (!isOver || task.state === 'waiting')) note(subject, enricher.name, value);
      },
      memory: task.memory,
    };
    const { id, engineId } = container;
    const running = enrichChannel.tracePromise(
      // The types of the value and of the context fit for each enricher, which the compiler cannot see for all at once.
      async (): Promise<unknown> => (enricher as unknown as Enricher).run(context, signal),
      { engine: engineId, container: id, enricher: enricher.name },
    );
    const hanging = running.then(
      () => {
        if (task.hanging === hanging) task.hanging = undefined;
      },
      () => {
        if (task.hanging === hanging) task.hanging = undefined;
      },
    );
    task.hanging = hanging;
    const cancelDeadline = clock.setTimer(
      () => linked.abort(new DOMException(`It took longer than ${enricher.timeoutMs} ms.`, 'TimeoutError')),
      enricher.timeoutMs,
    );
    try {
      const value = await untilAborted(running, signal);
      if (!isCurrent()) return;
      task.failures = 0;
      note(subject, enricher.name, value);
      if (enricher.refreshMs === undefined) task.state = 'idle';
      else makeDueWithOthers(subject, task, enricher.refreshMs);
    } catch (error) {
      if (isCurrent()) fail(subject, task, error);
    } finally {
      isOver = true;
      cancelDeadline();
      linked.unlink();
    }
  };

  const fail = (subject: Subject, task: Task, error: unknown): void => {
    const { enricher } = task;
    task.failures += 1;
    const isExpected = isCrikitError(error) || isRetryable(error);
    logger[isExpected ? 'debug' : 'error'](
      { err: error, enricher: enricher.name, containerId: subject.container.id, failures: task.failures },
      'a container could not be enriched',
    );
    if (isRetryable(error)) makeDueIn(subject, task, Math.min(maxRetryMs, firstRetryMs * 2 ** (task.failures - 1)));
    else if (enricher.refreshMs !== undefined) makeDueWithOthers(subject, task, enricher.refreshMs);
    else task.state = 'idle';
  };

  const note = (subject: Subject, name: string, value: unknown): void => {
    const values = found.get(subject) ?? {};
    values[name] = value;
    found.set(subject, values);
    cancelGather ??= clock.setTimer(handOver, gatherMs);
  };

  const handOver = (): void => {
    cancelGather = undefined;
    const keys = new Set<string>();
    for (const [subject, values] of found) {
      const next = { ...subject.values };
      for (const [name, value] of Object.entries(values)) {
        if (isDeepStrictEqual(next[name], value)) continue;
        keys.add(subject.key);
        if (value === undefined) delete next[name];
        else next[name] = value;
      }
      subject.values = Object.freeze(next);
    }
    found.clear();
    if (keys.size > 0) options.onValues(keys);
  };

  const takeUp = (key: string, container: Container): void => {
    const subject = subjects.get(key);
    if (!isBiz(container) || !isRunning(container)) {
      if (subject?.isRunning === true) stop(subject);
      if (subject !== undefined) subject.container = container;
      return;
    }
    if (subject === undefined || !isSameRun(subject, container)) {
      if (subject !== undefined) stop(subject);
      startSubject(key, container);
      return;
    }
    subject.container = container;
    if (!subject.isRunning) {
      resume(subject);
      return;
    }
    for (const task of subject.tasks) {
      if (!task.applied && task.state === 'idle' && applies(task.enricher, container)) makeDue(subject, task);
    }
  };

  return {
    update: (containers) => {
      if (closing.signal.aborted) return;
      for (const [key, container] of containers) {
        if (container !== undefined) {
          takeUp(key, container);
          continue;
        }
        const subject = subjects.get(key);
        if (subject === undefined) continue;
        stop(subject);
        subjects.delete(key);
      }
    },
    valuesOf: (key, container) => {
      const subject = subjects.get(key);
      if (subject === undefined) return undefined;
      return !isRunning(container) || isSameRun(subject, container) ? subject.values : undefined;
    },
    close: async () => {
      closing.abort();
      for (const subject of subjects.values()) stop(subject);
      cancelBatch?.();
      cancelGather?.();
      queue.length = 0;
      await Promise.all(jobs);
    },
  };
}

/** Those whose processes may tell something about it. */
function relatedIds({ id, sandboxId, pidMode }: Container): readonly string[] {
  const shared = /^container:(.+)$/.exec(pidMode ?? '')?.[1];
  return [id, ...(sandboxId === undefined ? [] : [sandboxId]), ...(shared === undefined ? [] : [shared])];
}

/** An engine may come to know only later when a container was started. */
function isSameRun({ pid, startedAt }: Subject, { state }: Container): boolean {
  return (
    pid === state.pid && (startedAt === undefined || state.startedAt === undefined || startedAt === state.startedAt)
  );
}

function isRetryable(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  return (error as { retryable?: unknown }).retryable === true || (error as Error).name === 'TimeoutError';
}

/** Whatever the work does, it is over when the signal aborts; the rejection is the signal's reason. */
async function untilAborted<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let onAbort: (() => void) | undefined;
  const abortion = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, abortion]);
  } finally {
    work.catch(() => {});
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
