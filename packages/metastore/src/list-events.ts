import type { MetaStoreEvent } from './meta-store-event.js';
import type { Snapshot, SnapshotChange } from './snapshot.js';

/** What brought a change about. */
export interface EventOrigin {
  /** When engines say that it happened, by container. Default: not known. */
  readonly engineTimes?: ReadonlyMap<string, number>;
  /** Whether it comes from looking into containers, and nothing happened to them. Default: false. */
  readonly enriched?: boolean;
}

const noTimes: ReadonlyMap<string, number> = new Map();

/**
 * What happened between two snapshots, in an order that a reader can follow: what is gone first (containers before
 * their pods), so that a pod that was made anew under the same name is removed before it is added.
 */
export function listEvents(
  previous: Snapshot,
  next: Snapshot,
  change: SnapshotChange,
  { engineTimes = noTimes, enriched = false }: EventOrigin,
): readonly MetaStoreEvent[] {
  const basics = { sequence: next.sequence, timeMs: next.timeMs };
  const timed = (key: string): typeof basics & { engineTimeMs?: number } => {
    const engineTimeMs = engineTimes.get(key);
    return engineTimeMs === undefined ? basics : { ...basics, engineTimeMs };
  };
  const events: MetaStoreEvent[] = [];
  for (const [key, container] of change.containers) {
    const old = previous.containersByKey.get(key);
    if (container === undefined && old !== undefined) {
      events.push({ type: 'container-removed', container: old, ...timed(key) });
    }
  }
  for (const [uid, pod] of change.pods) {
    const old = previous.podsByUid.get(uid);
    if (pod === undefined && old !== undefined) events.push({ type: 'pod-removed', pod: old, ...basics });
  }
  for (const [uid, pod] of change.pods) {
    if (pod !== undefined && !previous.podsByUid.has(uid)) events.push({ type: 'pod-added', pod, ...basics });
  }
  for (const [key, container] of change.containers) {
    if (container !== undefined && !previous.containersByKey.has(key)) {
      events.push({ type: 'container-added', container, ...timed(key) });
    }
  }
  for (const [key, container] of change.containers) {
    const old = previous.containersByKey.get(key);
    if (container !== undefined && old !== undefined) {
      events.push(
        enriched
          ? { type: 'container-enriched', container, previous: old, ...basics }
          : { type: 'container-changed', container, previous: old, ...timed(key) },
      );
    }
  }
  for (const [uid, pod] of change.pods) {
    const old = previous.podsByUid.get(uid);
    if (pod !== undefined && old !== undefined) events.push({ type: 'pod-changed', pod, previous: old, ...basics });
  }
  return events;
}

/** The state of a snapshot as the events that lead to it from nothing. */
export function* listPresentState({ sequence, timeMs, pods, containers }: Snapshot): Generator<MetaStoreEvent> {
  for (const pod of pods) yield { type: 'pod-added', pod, sequence, timeMs };
  for (const container of containers) {
    yield { type: 'container-added', container, sequence, timeMs };
  }
}
