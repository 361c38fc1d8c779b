import type { Container, Pod } from '@crikit/core';

interface EventBasics {
  /** The snapshot that the event belongs to; the store shows that one, or a later one, when the event is read. */
  readonly sequence: number;
  /** When the store saw it, in milliseconds since 1970. */
  readonly timeMs: number;
}

interface ContainerEventBasics extends EventBasics {
  /** When the engine says that it happened; absent when it was found by a list. */
  readonly engineTimeMs?: number;
}

export interface PodAddedEvent extends EventBasics {
  readonly type: 'pod-added';
  readonly pod: Pod;
}

export interface PodChangedEvent extends EventBasics {
  readonly type: 'pod-changed';
  readonly pod: Pod;
  readonly previous: Pod;
}

export interface PodRemovedEvent extends EventBasics {
  readonly type: 'pod-removed';
  /** As it was last known. */
  readonly pod: Pod;
}

export interface ContainerAddedEvent extends ContainerEventBasics {
  readonly type: 'container-added';
  readonly container: Container;
}

export interface ContainerChangedEvent extends ContainerEventBasics {
  readonly type: 'container-changed';
  readonly container: Container;
  readonly previous: Container;
}

/** Looking into the container found something; nothing happened to it. */
export interface ContainerEnrichedEvent extends EventBasics {
  readonly type: 'container-enriched';
  readonly container: Container;
  readonly previous: Container;
}

export interface ContainerRemovedEvent extends ContainerEventBasics {
  readonly type: 'container-removed';
  /** As it was last known. */
  readonly container: Container;
}

/** The reader was too slow: forget what was built from earlier events and start again from this state. */
export interface ResyncEvent extends EventBasics {
  readonly type: 'resync';
  readonly pods: readonly Pod[];
  /** Those that no pod owns included. */
  readonly containers: readonly Container[];
}

/** One change of what a store shows. */
export type MetaStoreEvent =
  | PodAddedEvent
  | PodChangedEvent
  | PodRemovedEvent
  | ContainerAddedEvent
  | ContainerChangedEvent
  | ContainerEnrichedEvent
  | ContainerRemovedEvent
  | ResyncEvent;
