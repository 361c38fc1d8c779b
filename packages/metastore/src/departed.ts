/**
 * What is shown no more, kept for a while, so that data about it that arrives late still finds its container and pod.
 */
import type { Container, Pod } from '@crikit/core';
import type { Clock } from './clock.js';
import { emptySnapshot, nextSnapshot, type Snapshot, type SnapshotChange } from './snapshot.js';

export interface DepartedOptions {
  readonly gracePeriodMs: number;
  readonly clock: Clock;
  /** These containers, by key, are forgotten for good. */
  readonly onForgotten: (keys: readonly string[]) => void;
}

export interface Departed {
  /** Takes up what a change removes, and lets go of what is back. */
  take(previous: Snapshot, change: SnapshotChange): void;
  /** All that has departed within the grace period, each with `deletedAt`. */
  readonly snapshot: Snapshot;
  /** Ends the timer; what is kept stays. */
  close(): void;
}

interface Departure {
  readonly dueMs: number;
  readonly containers: ReadonlyMap<string, Container>;
  readonly pods: ReadonlyMap<string, Pod>;
}

export function createDeparted({ gracePeriodMs, clock, onForgotten }: DepartedOptions): Departed {
  let snapshot = emptySnapshot;
  /** The oldest first. */
  let departures: Departure[] = [];
  let cancelTimer: (() => void) | undefined;
  let closed = false;

  const change = (next: SnapshotChange): void => {
    if (next.containers.size > 0 || next.pods.size > 0) snapshot = nextSnapshot(snapshot, next, clock.now());
  };

  const schedule = (): void => {
    const [oldest] = departures;
    if (closed || cancelTimer !== undefined || oldest === undefined) return;
    cancelTimer = clock.setTimer(
      () => {
        cancelTimer = undefined;
        forget();
        schedule();
      },
      Math.max(0, oldest.dueMs - clock.now()),
    );
  };

  const forget = (): void => {
    const now = clock.now();
    const due = departures.filter(({ dueMs }) => dueMs <= now);
    departures = departures.slice(due.length);
    const containers = new Map<string, undefined>();
    const pods = new Map<string, undefined>();
    for (const departure of due) {
      // One that came back and went again meanwhile has a term of its own.
      for (const [key, kept] of departure.containers) {
        if (snapshot.containersByKey.get(key) === kept) containers.set(key, undefined);
      }
      for (const [uid, kept] of departure.pods) if (snapshot.podsByUid.get(uid) === kept) pods.set(uid, undefined);
    }
    change({ containers, pods });
    onForgotten([...containers.keys()]);
  };

  return {
    get snapshot() {
      return snapshot;
    },
    take: (previous, { containers, pods }) => {
      const deletedAt = new Date(clock.now()).toISOString();
      const gone = departing(containers, previous.containersByKey, deletedAt);
      const gonePods = departing(pods, previous.podsByUid, deletedAt);
      if (gracePeriodMs <= 0) {
        onForgotten([...gone.keys()]);
        return;
      }
      change({
        containers: new Map([...returned(containers, snapshot.containersByKey), ...gone]),
        pods: new Map([...returned(pods, snapshot.podsByUid), ...gonePods]),
      });
      if (gone.size === 0 && gonePods.size === 0) return;
      departures.push({ dueMs: clock.now() + gracePeriodMs, containers: gone, pods: gonePods });
      schedule();
    },
    close: () => {
      closed = true;
      cancelTimer?.();
      cancelTimer = undefined;
    },
  };
}

function departing<Value extends object>(
  changes: ReadonlyMap<string, Value | undefined>,
  shown: ReadonlyMap<string, Value>,
  deletedAt: string,
): ReadonlyMap<string, Value> {
  const gone = new Map<string, Value>();
  for (const [key, next] of changes) {
    const last = shown.get(key);
    if (next === undefined && last !== undefined) gone.set(key, Object.freeze({ ...last, deletedAt }));
  }
  return gone;
}

function returned<Value>(
  changes: ReadonlyMap<string, Value | undefined>,
  departed: ReadonlyMap<string, Value>,
): ReadonlyMap<string, undefined> {
  const back = new Map<string, undefined>();
  for (const [key, next] of changes) if (next !== undefined && departed.has(key)) back.set(key, undefined);
  return back;
}
