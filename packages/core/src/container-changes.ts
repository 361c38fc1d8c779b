import type { ContainerReference, ContainerStatus } from './container.js';
import type { ContainerChange, ContainerWatch } from './container-engine.js';
import type { EngineEvent, EngineEventAction } from './engine-contract.js';

const longestQueue = 1_024;

interface KnownContainer {
  readonly reference: ContainerReference;
  readonly status: ContainerStatus;
}

/**
 * Turns the hints of a watch into changes that are told once: what a list shows to be different is told as a change,
 * and what an event repeats is not. A reader who is too slow gets the net difference instead of a growing queue.
 */
export function createContainerChanges(start: (watch: ContainerWatch, signal: AbortSignal) => Promise<void>) {
  const controller = new AbortController();
  /** What is so. */
  const current = new Map<string, KnownContainer>();
  /** The last event of each container there is: an engine may tell one again. */
  const lastEvents = new Map<string, EngineEvent>();
  /** What the reader has been told. */
  const told = new Map<string, KnownContainer>();
  let queue: ContainerChange[] = [];
  let behind = false;
  let closed = false;
  let waiting: (() => void) | undefined;

  const wake = (): void => {
    waiting?.();
    waiting = undefined;
  };
  const push = (change: ContainerChange): void => {
    if (behind) return;
    if (queue.length >= longestQueue) {
      queue = [];
      behind = true;
    } else {
      queue.push(change);
    }
    wake();
  };

  const watch: ContainerWatch = {
    onSync(containers) {
      const listed = new Map(containers.map((found) => [keyOf(found.reference), found] as const));
      for (const change of difference(current, listed)) push(change);
      current.clear();
      for (const [key, { reference, status }] of listed) current.set(key, { reference, status });
      for (const key of lastEvents.keys()) if (!listed.has(key)) lastEvents.delete(key);
      if (behind) wake();
    },
    onEvent(event) {
      const key = keyOf(event.reference);
      if (isRepeated(event, lastEvents.get(key)) || isKnown(event, current.get(key))) return;
      if (event.action === 'removed') lastEvents.delete(key);
      else lastEvents.set(key, event);
      const status = statusAfter(event.action);
      if (event.action === 'removed') current.delete(key);
      else if (status !== undefined) current.set(key, { reference: event.reference, status });
      push({ ...event, origin: 'event' });
    },
    onLost() {},
  };

  const next = async (): Promise<IteratorResult<ContainerChange>> => {
    for (;;) {
      if (behind) {
        behind = false;
        queue = difference(told, current);
      }
      const change = queue.shift();
      if (change !== undefined) {
        remember(told, change);
        return { done: false, value: change };
      }
      if (closed) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        waiting = resolve;
      });
    }
  };
  const close = (): void => {
    closed = true;
    queue = [];
    behind = false;
    controller.abort();
    wake();
  };
  void start(watch, controller.signal).finally(() => {
    closed = true;
    wake();
  });

  const iterator: AsyncIterableIterator<ContainerChange> = {
    next,
    async return() {
      close();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return iterator;
    },
  };
  return iterator;
}

function keyOf(reference: ContainerReference): string {
  return `${reference.scope}/${reference.id}`;
}

function isKnown(event: EngineEvent, known: KnownContainer | undefined): boolean {
  if (event.action === 'removed') return known === undefined;
  if (event.action === 'created') return known !== undefined;
  const status = statusAfter(event.action);
  return status !== undefined && known?.status === status;
}

function isRepeated(event: EngineEvent, last: EngineEvent | undefined): boolean {
  if (last === undefined) return false;
  return event.timeMs < last.timeMs || (event.timeMs === last.timeMs && event.action === last.action);
}

function statusAfter(action: EngineEventAction): ContainerStatus | undefined {
  switch (action) {
    case 'created':
      return 'created';
    case 'started':
    case 'resumed':
      return 'running';
    case 'paused':
      return 'paused';
    case 'exited':
      return 'exited';
    default:
      return undefined;
  }
}

function actionFor(status: ContainerStatus, before: ContainerStatus | undefined): EngineEventAction {
  switch (status) {
    case 'created':
      return 'created';
    case 'running':
      return before === 'paused' ? 'resumed' : 'started';
    case 'paused':
      return 'paused';
    case 'exited':
    case 'dead':
      return 'exited';
    default:
      return 'updated';
  }
}

function difference(
  from: ReadonlyMap<string, KnownContainer>,
  to: ReadonlyMap<string, KnownContainer>,
): ContainerChange[] {
  const changes: ContainerChange[] = [];
  const timeMs = Date.now();
  for (const [key, { reference }] of from) {
    if (!to.has(key)) changes.push({ action: 'removed', reference, timeMs, origin: 'list' });
  }
  for (const [key, { reference, status }] of to) {
    const before = from.get(key)?.status;
    if (before !== status) changes.push({ action: actionFor(status, before), reference, timeMs, origin: 'list' });
  }
  return changes;
}

function remember(told: Map<string, KnownContainer>, change: ContainerChange): void {
  const key = keyOf(change.reference);
  const status = statusAfter(change.action);
  if (change.action === 'removed') told.delete(key);
  else if (status !== undefined) told.set(key, { reference: change.reference, status });
  else if (!told.has(key)) told.set(key, { reference: change.reference, status: 'unknown' });
}
