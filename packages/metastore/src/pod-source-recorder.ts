import { type KubernetesPod, silentLogger } from '@crikit/core';
import { waitUntil } from '@crikit/engine-conformance';
import { type Clock, systemClock } from './clock.js';
import { podIdentity } from './pod-identity.js';
import type { PodSource, PodSourceSession, PodSourceState, PodUpdate } from './pod-source.js';

/** For tests: opens a source and keeps what it tells, as a store would. */
export interface PodSourceRecorder extends AsyncDisposable {
  readonly session: PodSourceSession;
  /** By identity. */
  readonly pods: ReadonlyMap<string, KubernetesPod>;
  readonly updates: readonly PodUpdate[];
  readonly states: readonly PodSourceState[];
  /** Timers of the source that wait. */
  readonly timers: number;
  /** Timers that it has ever set. */
  readonly timersSet: number;
  readonly names: readonly string[];
  until(what: string, holds: () => boolean): Promise<void>;
}

export function recordPodSource(
  source: PodSource,
  { environment = {}, keepUpdates = true }: { environment?: Record<string, string>; keepUpdates?: boolean } = {},
): PodSourceRecorder {
  const pods = new Map<string, KubernetesPod>();
  const updates: PodUpdate[] = [];
  const states: PodSourceState[] = [];
  let timers = 0;
  let timersSet = 0;
  const clock: Clock = {
    now: systemClock.now,
    setTimer: (run, delayMs) => {
      timers += 1;
      timersSet += 1;
      let isDone = false;
      const done = (): void => {
        if (!isDone) timers -= 1;
        isDone = true;
      };
      const cancel = systemClock.setTimer(() => {
        done();
        run();
      }, delayMs);
      return () => {
        done();
        cancel();
      };
    },
  };
  const put = (pod: KubernetesPod): void => {
    pods.set(podIdentity(pod) ?? '', pod);
  };
  if (source.open === undefined) throw new Error(`The source ${source.name} cannot be opened.`);
  const session = source.open({
    environment,
    hostRoot: '/',
    logger: silentLogger,
    clock,
    onUpdate: (update) => {
      if (keepUpdates) updates.push(update);
      if (update.kind === 'replace') {
        pods.clear();
        for (const pod of update.pods) put(pod);
        return;
      }
      for (const uid of update.removedUids) {
        if (!pods.delete(uid)) throw new Error(`Removed ${uid}, which was never told of.`);
      }
      for (const pod of update.put) put(pod);
    },
    onState: (state) => states.push(state),
  });
  return {
    session,
    pods,
    updates,
    states,
    get timersSet() {
      return timersSet;
    },
    get timers() {
      return timers;
    },
    get names() {
      return [...pods.values()].map(({ metadata }) => metadata?.name ?? '').sort();
    },
    until: (what, holds) => waitUntil(what, holds, 10_000),
    [Symbol.asyncDispose]: () => Promise.resolve(session[Symbol.asyncDispose]()),
  };
}
