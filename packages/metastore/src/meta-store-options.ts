import type { EngineChoice, Logger, SidecarPredicate, SidecarRule } from '@crikit/core';
import type { EnrichmentChoice } from './built-in-enrichers.js';
import type { Clock } from './clock.js';
import type { PodSource } from './pod-source.js';

export interface MetaStoreOptions {
  /**
   * `'all'`: every registered engine that answers, also one that starts later; types (`['docker']`); features that an
   * engine must have (`{ require: ['events'] }`); or definitions (`[docker({ socketPath })]`) and connected engines,
   * which then stay the caller's to close. Default: `'all'`.
   */
  readonly engines?: EngineChoice;
  /**
   * Where the store learns of pods. Default: `defaultPods()`: in a cluster its API server, and the kubelet while that is
   * away; elsewhere the containers alone.
   */
  readonly pods?: PodSource;
  /** Where the node's root is mounted for this process. Default: HOSTFS of the environment, else `/`. */
  readonly hostRoot?: string;
  /** Which containers are sidecars: an expression, rules or a function. Default: `name:sidecar`. */
  readonly sidecars?: string | readonly SidecarRule[] | SidecarPredicate;
  /** Expression for a pod's app, tried before the standard labels: `label:team-app,env:APP_NAME`. Default: none. */
  readonly app?: string;
  /** Expression for a pod's hostname, tried before the spec's. Default: `label:HOSTNAME`. */
  readonly hostname?: string;
  /** Whether pods in phase Succeeded or Failed are shown. Default: false. */
  readonly trackFinishedPods?: boolean;
  /**
   * How long look-ups go on answering for what is gone, with `deletedAt`, so that late data still finds its container and
   * pod. 0: not at all. Default: 15 s.
   */
  readonly gracePeriodMs?: number;
  /**
   * Name of this node: pods of other nodes, which a source might tell of, are left out. The sources of this package ask
   * for their own node's pods only and need no such help. Default: all that the source tells of.
   */
  readonly nodeName?: string;
  /**
   * Whether the Node object is followed, for `localAgentMeta()`, where the source of pods asks an API server. It needs
   * get, list and watch on nodes. Default: true.
   */
  readonly watchNode?: boolean;
  /** Where settings are read: DOCKER_HOST, NODE_NAME, KUBERNETES_SERVICE_HOST, … Default: this process's environment. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What is found out about running biz containers, off the path of the syncs; `false` for nothing. Default: all but provisioning. */
  readonly enrichment?: EnrichmentChoice | false;
  /** Any pino-shaped logger. Default: says nothing. */
  readonly logger?: Logger;
  /** Name that execs carry in their environment as `_FROM`; `false` leaves it out. Default: `crikit`. */
  readonly agentName?: string | false;
  /** Between two comparisons of everything with what the engines list, give or take a tenth. Default: 60 s. */
  readonly reconcileIntervalMs?: number;
  /** For tests. Default: the system's. */
  readonly clock?: Clock;
}

export interface StartOptions {
  /** Gives up: `start` rejects and the store is closed. */
  readonly signal?: AbortSignal;
  /**
   * Reject, and close the store, unless there is at least one engine and each one that was found, and the source of pods,
   * has been read in full. Default: false: the store runs with what there is, and takes up the rest when it comes.
   */
  readonly requireReady?: boolean;
}
