import { ClosedError, type KubernetesPod } from '@crikit/core';
import { claimOfMarks } from './claim-of-marks.js';
import { connectApiServer, convertConnectError } from './connect-api-server.js';
import type { PodSourceError } from './errors/pod-source-error.js';
import { followNode } from './follow-node.js';
import { type ListWatch, startListWatch } from './kubernetes-list-watch.js';
import type { KubernetesCredentials } from './kubernetes-request.js';
import { createPodInventory, type PodInventory } from './pod-inventory.js';
import type { PodSource, PodSourceContext, PodSourceSession } from './pod-source.js';
import { defaultPodSourceTimings, type PodSourceTimings } from './pod-source-timings.js';
import { createStateReporter } from './state-reporter.js';

/** What all sources that ask Kubernetes have in common. */
export interface KubernetesPodsOptions {
  /**
   * Whether pods are kept with all that the server tells of them, which costs some 35 KB a pod and makes each change of
   * a condition a change of the pod. Default: false: what core's `KubernetesPod` has.
   */
  readonly keepWholeObjects?: boolean;
  /** For tests, and for networks with habits of their own. */
  readonly timings?: Partial<PodSourceTimings>;
}

export interface ApiServerPodsOptions extends KubernetesPodsOptions {
  /** Name of the source. */
  readonly name: string;
  /**
   * Finds the server. Called until it succeeds, with growing pauses; a rejection with an error whose `retryable` is
   * false is final.
   */
  connect(context: Pick<PodSourceContext, 'environment' | 'hostRoot' | 'logger'>): Promise<ApiServerConnection>;
}

/** How to reach an API server. */
export interface ApiServerConnection {
  /** Its URL. */
  readonly server: string;
  /** The node whose pods are followed. */
  readonly nodeName: string;
  /** Asked before each request, so that what rotates is read anew. */
  credentials(): Promise<KubernetesCredentials>;
}

/** The pods of one node by list and watch on an API server that `connect` finds. */
export function apiServerPods(options: ApiServerPodsOptions): PodSource {
  return {
    name: options.name,
    podOfContainer: claimOfMarks,
    open: (context) => openApiServerPods(options, context),
    openNode: (context) => followNode(options, context),
  };
}

function openApiServerPods(options: ApiServerPodsOptions, context: PodSourceContext): PodSourceSession {
  const gate = createReadiness();
  const { report } = createStateReporter(context);
  const inventory = createPodInventory({
    keepWholeObjects: options.keepWholeObjects ?? false,
    onUpdate: (update) => {
      context.onUpdate(update);
      gate.resolve();
    },
  });
  const follower = followApiServer(options, context, {
    inventory,
    onLive: () => report('live', 'api-server'),
    onFailure: (error) => report('stale', 'api-server', error),
    onFinal: (error) => {
      report('stale', 'api-server', error);
      gate.reject(error);
    },
  });
  return {
    ready: gate.ready,
    [Symbol.asyncDispose]: async () => {
      gate.reject(new ClosedError('The pod source was closed before it had read the pods.', { applied: 'no' }));
      await follower.close();
    },
  };
}

export interface ApiServerSink {
  readonly inventory: PodInventory;
  readonly onLive: () => void;
  readonly onFailure: (error: PodSourceError) => void;
  /** No waiting can mend this; nothing else is told. */
  readonly onFinal: (error: PodSourceError) => void;
}

export interface ApiServerFollower {
  /** The next thing told is a whole list. */
  relist(): void;
  close(): Promise<void>;
}

/** Connects, then follows the pods into the inventory. */
export function followApiServer(
  options: ApiServerPodsOptions,
  context: PodSourceContext,
  { inventory, onLive, onFailure, onFinal }: ApiServerSink,
): ApiServerFollower {
  const { clock, logger } = context;
  const timings = { ...defaultPodSourceTimings, ...options.timings };
  const closing = new AbortController();
  const { signal } = closing;
  let listWatch: ListWatch | undefined;

  const run = async (): Promise<void> => {
    // Callbacks come after `open` has returned.
    await Promise.resolve();
    const connection = await connectApiServer(options, context, { signal, onFailure, onFinal });
    if (connection === undefined || signal.aborted) return;
    listWatch = startListWatch<KubernetesPod>({
      server: connection.server,
      credentials: () => connection.credentials(),
      path: '/api/v1/pods',
      fieldSelector: `spec.nodeName=${connection.nodeName}`,
      clock,
      timings,
      signal,
      startListing: () => inventory.startListing(),
      onChanges: (changes) => inventory.change(changes.map(({ kind, item }) => ({ kind, pod: item }))),
      onLive,
      onFailure: (error) => {
        logger.warn({ err: error, podSource: options.name }, 'the API server does not tell of pods');
        onFailure(error);
      },
    });
    await listWatch.ended;
  };
  const ended = run().catch((error: unknown) => {
    logger.error({ err: error, podSource: options.name }, 'the pod source failed');
    if (!signal.aborted) onFinal(convertConnectError(error, options.name));
  });

  return {
    relist: () => listWatch?.relist(),
    close: async () => {
      closing.abort();
      await ended;
    },
  };
}

/** The promise `ready` of a session. */
export interface Readiness {
  readonly ready: Promise<void>;
  resolve(): void;
  reject(error: Error): void;
}

export function createReadiness(): Readiness {
  let resolve = (): void => {};
  let reject = (_error: Error): void => {};
  const ready = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  ready.catch(() => {});
  return { ready, resolve, reject };
}
