import { ClosedError } from '@crikit/core';
import { type ApiServerPodsOptions, createReadiness, followApiServer } from './api-server-pods.js';
import { claimOfMarks } from './claim-of-marks.js';
import type { PodSourceError } from './errors/pod-source-error.js';
import { followNode } from './follow-node.js';
import { connectInCluster, type InClusterPodsOptions, isInCluster } from './in-cluster-pods.js';
import { type KubeletPodsOptions, type KubeletPoll, pollKubelet } from './kubelet-pods.js';
import { createPodInventory, type PodInventory } from './pod-inventory.js';
import type { PodSource, PodSourceContext, PodSourceSession } from './pod-source.js';
import { createStateReporter } from './state-reporter.js';

export interface DefaultPodsOptions extends InClusterPodsOptions {
  /** How to ask the kubelet while the API server is away; `false`: not at all. Default: see `kubeletPods`. */
  readonly kubelet?: Omit<KubeletPodsOptions, 'keepWholeObjects'> | false;
  /** How long the API server may be away before the kubelet is asked. Default: 5 s. */
  readonly fallBackAfterMs?: number;
}

/**
 * What a store uses when it is given no source. In a cluster's pod: the API server, and the kubelet while the API server
 * does not tell of pods. Elsewhere: the containers alone, as `labelPods()`. A switch changes no pod whose content is the
 * same.
 */
export function defaultPods(options: DefaultPodsOptions = {}): PodSource {
  return {
    name: 'default',
    podOfContainer: claimOfMarks,
    open: (context) =>
      isInCluster(context.environment) ? openClusterPods(options, context) : openContainersOnly(context),
    openNode: (context) =>
      isInCluster(context.environment) ? followNode(describeApiServer(options), context) : undefined,
  };
}

function describeApiServer(options: DefaultPodsOptions): ApiServerPodsOptions {
  return { ...options, name: 'default', connect: (context) => connectInCluster(options, context) };
}

function openContainersOnly(context: PodSourceContext): PodSourceSession {
  let isClosed = false;
  const ready = Promise.resolve().then(() => {
    if (!isClosed) createStateReporter(context).report('live', 'containers');
  });
  return {
    ready,
    [Symbol.asyncDispose]: async () => {
      isClosed = true;
      await ready;
    },
  };
}

function openClusterPods(options: DefaultPodsOptions, context: PodSourceContext): PodSourceSession {
  const { clock, logger } = context;
  const gate = createReadiness();
  const { report } = createStateReporter(context);
  const inventory = createPodInventory({
    keepWholeObjects: options.keepWholeObjects ?? false,
    onUpdate: (update) => {
      context.onUpdate(update);
      gate.resolve();
    },
  });
  /** Who has told the inventory what it holds. */
  let teller: 'api-server' | 'kubelet' = 'api-server';
  let isApiServerLive = false;
  let isApiServerGivenUp = false;
  let isKubeletLive = false;
  let isClosed = false;
  let apiServerError: PodSourceError | undefined;
  let kubelet: KubeletPoll | undefined;
  let cancelFallBack: (() => void) | undefined;
  /** Polls that were ended and may still be at it. */
  const ending = new Set<Promise<void>>();

  const stopKubelet = (): void => {
    cancelFallBack?.();
    cancelFallBack = undefined;
    isKubeletLive = false;
    if (kubelet === undefined) return;
    const end = kubelet.close().finally(() => ending.delete(end));
    ending.add(end);
    kubelet = undefined;
  };

  const startKubelet = (): void => {
    cancelFallBack = undefined;
    if (isClosed || isApiServerLive || kubelet !== undefined || options.kubelet === false) return;
    logger.warn({ err: apiServerError }, 'the kubelet is asked for pods while the API server is away');
    const poll = pollKubelet(
      { ...(options.timings === undefined ? {} : { timings: options.timings }), ...options.kubelet },
      context,
      {
        startListing: () => {
          const listing = inventory.startListing();
          return {
            add: listing.add,
            commit: () => {
              if (kubelet !== poll || isApiServerLive) return;
              // What the API server's watch builds on is no more what the inventory holds.
              teller = 'kubelet';
              apiServer.relist();
              listing.commit();
            },
          };
        },
        onLive: () => {
          if (kubelet !== poll || isApiServerLive) return;
          isKubeletLive = true;
          report('live', 'kubelet', apiServerError);
        },
        onFailure: (error) => {
          if (kubelet !== poll || isApiServerLive) return;
          isKubeletLive = false;
          report('stale', 'kubelet', error);
          if (isApiServerGivenUp && !error.retryable) gate.reject(error);
        },
      },
    );
    kubelet = poll;
  };

  const apiServerInventory: PodInventory = {
    startListing: () => {
      const listing = inventory.startListing();
      return {
        add: listing.add,
        commit: () => {
          teller = 'api-server';
          stopKubelet();
          listing.commit();
        },
      };
    },
    change: (changes) => {
      // A watch that stood when the kubelet took over is on its way to its end.
      if (teller === 'api-server') inventory.change(changes);
    },
  };

  const apiServer = followApiServer(describeApiServer(options), context, {
    inventory: apiServerInventory,
    onLive: () => {
      isApiServerLive = teller === 'api-server';
      if (!isApiServerLive) return;
      apiServerError = undefined;
      stopKubelet();
      report('live', 'api-server');
    },
    onFailure: (error) => {
      isApiServerLive = false;
      apiServerError = error;
      if (!isKubeletLive) report('stale', 'api-server', error);
      if (kubelet === undefined && options.kubelet !== false) {
        cancelFallBack ??= clock.setTimer(startKubelet, options.fallBackAfterMs ?? 5_000);
      }
    },
    onFinal: (error) => {
      isApiServerGivenUp = true;
      apiServerError = error;
      report('stale', 'api-server', error);
      // The kubelet knows its own node's name.
      if (options.kubelet === false) gate.reject(error);
      else startKubelet();
    },
  });

  return {
    ready: gate.ready,
    hint: () => kubelet?.hint(),
    [Symbol.asyncDispose]: async () => {
      isClosed = true;
      gate.reject(new ClosedError('The pod source was closed before it had read the pods.', { applied: 'no' }));
      stopKubelet();
      await Promise.all([apiServer.close(), ...ending]);
    },
  };
}
