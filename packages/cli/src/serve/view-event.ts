import type { MetaStoreEvent } from '@crikit/metastore';
import { type ContainerView, viewContainer } from './view-container.js';
import { type PodView, viewPod } from './view-pod.js';

/** A change as the HTTP interface tells it: that of the store, without what was before. */
export interface EventView {
  readonly type: MetaStoreEvent['type'];
  readonly sequence: number;
  readonly timeMs: number;
  readonly engineTimeMs?: number;
  readonly pod?: PodView;
  readonly container?: ContainerView;
  readonly pods?: readonly PodView[];
  readonly containers?: readonly ContainerView[];
}

export function viewEvent(event: MetaStoreEvent, nowMs: number): EventView {
  const { type, sequence, timeMs } = event;
  const basics = {
    ...{ type, sequence, timeMs },
    ...('engineTimeMs' in event && event.engineTimeMs !== undefined ? { engineTimeMs: event.engineTimeMs } : {}),
  };
  if ('pod' in event) return { ...basics, pod: viewPod(event.pod) };
  if ('container' in event) return { ...basics, container: viewContainer(event.container, nowMs) };
  return {
    ...basics,
    pods: event.pods.map(viewPod),
    containers: event.containers.map((container) => viewContainer(container, nowMs)),
  };
}
