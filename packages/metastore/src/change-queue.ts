/**
 * Merges changes into look-ups, group by group: the first change acts at once, those that arrive while its look-up is
 * under way run together when it ends. A group that changes without pause is slowed down, so that one container in a
 * crash loop costs no more than one look-up a second.
 */
import type { Clock } from './clock.js';

/** A group with more changes than this in {@link busyWindowMs} … */
const busyChanges = 10;
const busyWindowMs = 10_000;
/** … gets at most one look-up in this time. */
const busyPauseMs = 1_000;

export interface ChangeQueueOptions<Item> {
  /** One look-up for what changed in a group. Its rejection is passed to `onError`. */
  run(items: readonly Item[]): Promise<void>;
  onError(error: unknown): void;
  readonly clock: Clock;
  /** Look-ups under way at once, over all groups. Default: 16. */
  readonly maxParallel?: number;
}

export interface ChangeQueue<Item> {
  /** `key` tells items of a group apart: the same one twice before its look-up is one. */
  touch(group: string, key: string, item: Item): void;
  /** Forgets what waits and clears the timers. */
  close(): void;
}

interface Group<Item> {
  pending: Map<string, Item>;
  running: boolean;
  waiting: boolean;
  cancelTimer: (() => void) | undefined;
  /** When its look-ups of the last window began. */
  starts: number[];
}

export function createChangeQueue<Item>(options: ChangeQueueOptions<Item>): ChangeQueue<Item> {
  const { clock } = options;
  const maxParallel = options.maxParallel ?? 16;
  const groups = new Map<string, Group<Item>>();
  const waiting: string[] = [];
  let running = 0;
  let closed = false;

  const pump = (name: string, group: Group<Item>): void => {
    if (closed || group.running || group.waiting || group.cancelTimer !== undefined || group.pending.size === 0) return;
    const pauseMs = pauseBefore(group);
    if (pauseMs > 0) {
      group.cancelTimer = clock.setTimer(() => {
        group.cancelTimer = undefined;
        pump(name, group);
      }, pauseMs);
      return;
    }
    if (running >= maxParallel) {
      group.waiting = true;
      waiting.push(name);
      return;
    }
    void start(name, group);
  };

  const pauseBefore = (group: Group<Item>): number => {
    const now = clock.now();
    group.starts = group.starts.filter((start) => start > now - busyWindowMs);
    if (group.starts.length < busyChanges) return 0;
    return (group.starts.at(-1) ?? 0) + busyPauseMs - now;
  };

  const start = async (name: string, group: Group<Item>): Promise<void> => {
    const items = [...group.pending.values()];
    group.pending = new Map();
    group.running = true;
    group.starts.push(clock.now());
    running += 1;
    // Last in the map's order, so that the groups that rest come first.
    groups.delete(name);
    groups.set(name, group);
    forgetResting();
    try {
      await options.run(items);
    } catch (error) {
      options.onError(error);
    }
    running -= 1;
    group.running = false;
    pump(name, group);
    const next = waiting.shift();
    const nextGroup = next === undefined ? undefined : groups.get(next);
    if (next !== undefined && nextGroup !== undefined) {
      nextGroup.waiting = false;
      pump(next, nextGroup);
    }
  };

  const forgetResting = (): void => {
    for (const [name, group] of groups) {
      const isResting = !group.running && !group.waiting && group.pending.size === 0;
      if (!isResting || (group.starts.at(-1) ?? 0) > clock.now() - busyWindowMs) return;
      groups.delete(name);
    }
  };

  return {
    touch: (name, key, item) => {
      if (closed) return;
      let group = groups.get(name);
      if (group === undefined) {
        group = { pending: new Map(), running: false, waiting: false, cancelTimer: undefined, starts: [] };
        groups.set(name, group);
      }
      group.pending.set(key, item);
      pump(name, group);
    },
    close: () => {
      closed = true;
      for (const group of groups.values()) group.cancelTimer?.();
      groups.clear();
      waiting.length = 0;
    },
  };
}
