export type { Clock } from './clock.js';
export { createMetaStore } from './create-meta-store.js';
export { type LabelPodsOptions, labelPods } from './label-pods.js';
export type { EventsOptions, MetaStore, StoreTarget } from './meta-store.js';
export type {
  ContainerAddedEvent,
  ContainerChangedEvent,
  ContainerRemovedEvent,
  MetaStoreEvent,
  PodAddedEvent,
  PodChangedEvent,
  PodRemovedEvent,
  ResyncEvent,
} from './meta-store-event.js';
export type { MetaStoreOptions, StartOptions } from './meta-store-options.js';
export type { EngineStatus, MetaStoreStatus } from './meta-store-status.js';
export type { PodClaim, PodSource } from './pod-source.js';
