import type { Container, Pod } from '@crikit/core';
import { containerKey } from './container-facts.js';
import type { MetaStoreEvent } from './meta-store-event.js';

/** For tests: what the events say that there is. Throws where they contradict themselves. */
export function replayEvents(events: readonly MetaStoreEvent[]): {
  pods: Map<string, Pod>;
  containers: Map<string, Container>;
} {
  const pods = new Map<string, Pod>();
  const containers = new Map<string, Container>();
  for (const event of events) {
    switch (event.type) {
      case 'pod-added':
        insist(!pods.has(event.pod.uid), event);
        pods.set(event.pod.uid, event.pod);
        break;
      case 'pod-changed':
        insist(pods.get(event.pod.uid) === event.previous, event);
        pods.set(event.pod.uid, event.pod);
        break;
      case 'pod-removed':
        insist(pods.get(event.pod.uid) === event.pod, event);
        pods.delete(event.pod.uid);
        break;
      case 'container-added':
        insist(!containers.has(keyOf(event.container)), event);
        containers.set(keyOf(event.container), event.container);
        break;
      case 'container-changed':
      case 'container-enriched':
        insist(containers.get(keyOf(event.container)) === event.previous, event);
        containers.set(keyOf(event.container), event.container);
        break;
      case 'container-removed':
        insist(containers.get(keyOf(event.container)) === event.container, event);
        containers.delete(keyOf(event.container));
        break;
      case 'resync':
        throw new Error('this reader is quick enough');
    }
  }
  return { pods, containers };
}

function insist(holds: boolean, { type, sequence }: MetaStoreEvent): void {
  if (!holds) throw new Error(`The event ${type} of snapshot ${sequence} contradicts those before it.`);
}

const keyOf = (container: Container): string => containerKey(container.engineId, container);
