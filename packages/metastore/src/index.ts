export {
  type ApiServerConnection,
  type ApiServerPodsOptions,
  apiServerPods,
  type KubernetesPodsOptions,
} from './api-server-pods.js';
export type { EnrichmentChoice } from './built-in-enrichers.js';
export type { Clock } from './clock.js';
export { createMetaStore } from './create-meta-store.js';
export { type DefaultPodsOptions, defaultPods } from './default-pods.js';
export { type DiagnoseOptions, diagnose } from './diagnose.js';
export { findSocketMount, type SocketMount } from './diagnose-socket-mount.js';
export type { Diagnosis, DiagnosisFinding, DiagnosisFindingId, DiagnosisSeverity } from './diagnosis.js';
export type { AnyEnricher, Enricher, EnricherContext } from './enricher.js';
export {
  isPodSourceError,
  PodSourceError,
  type PodSourceErrorCode,
  type PodSourceErrorOptions,
} from './errors/pod-source-error.js';
export type { ContainerExplanation } from './explain-container.js';
export { type InClusterPodsOptions, inClusterPods } from './in-cluster-pods.js';
export { type KubeletPodsOptions, kubeletPods } from './kubelet-pods.js';
export type { KubernetesCredentials, KubernetesTls } from './kubernetes-request.js';
export { type LabelPodsOptions, labelPods } from './label-pods.js';
export type { LocalAgentMeta } from './local-agent-meta.js';
export type { EventsOptions, MetaStore, StoreTarget, WaitForContainer, WaitForPod } from './meta-store.js';
export type {
  ContainerAddedEvent,
  ContainerChangedEvent,
  ContainerEnrichedEvent,
  ContainerRemovedEvent,
  MetaStoreEvent,
  PodAddedEvent,
  PodChangedEvent,
  PodRemovedEvent,
  ResyncEvent,
} from './meta-store-event.js';
export type { MetaStoreOptions, StartOptions } from './meta-store-options.js';
export type { EngineStatus, MetaStoreStatus, PodSourceStatus } from './meta-store-status.js';
export { podIdentity } from './pod-identity.js';
export type {
  NodeContext,
  PodClaim,
  PodSource,
  PodSourceContext,
  PodSourceSession,
  PodSourceState,
  PodUpdate,
} from './pod-source.js';
export type { PodSourceTimings } from './pod-source-timings.js';
export type { HelperOptions } from './provision-helper.js';
export { readTimeZoneRootByExec } from './time-zone-root-by-exec.js';
export type { WaitOptions } from './waiters.js';
