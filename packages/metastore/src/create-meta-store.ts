import {
  ClosedError,
  type Container,
  type ContainerEngine,
  type CrikitError,
  createEngineSelector,
  DEFAULT_HOSTNAME_RULES,
  DEFAULT_SIDECAR_RULES,
  defaultHostRoot,
  EngineUnavailableError,
  InvalidArgumentError,
  NoEngineError,
  NoPodError,
  NoSuchContainerError,
  OperationAbortedError,
  parseMetadataRules,
  parseSidecarRules,
  silentLogger,
} from '@crikit/core';
import { chooseEnrichers } from './built-in-enrichers.js';
import { systemClock } from './clock.js';
import { type ContainerFacts, containerKey } from './container-facts.js';
import { createContainerFiles } from './container-files.js';
import { createEngineSync, type EngineSync } from './engine-sync.js';
import { createEnrichment } from './enrich-containers.js';
import { createEnrichedFacts } from './enriched-facts.js';
import { createEventStreams } from './event-stream.js';
import { findContainerByCid } from './find-container.js';
import { findPodByName, findPodBySandboxId } from './find-pod.js';
import type { JoinRules } from './join-pod.js';
import { labelPods } from './label-pods.js';
import { type EventOrigin, listEvents } from './list-events.js';
import type { MetaStore, StoreTarget } from './meta-store.js';
import type { MetaStoreOptions, StartOptions } from './meta-store-options.js';
import type { MetaStoreStatus } from './meta-store-status.js';
import { createPodAssembler } from './pod-assembler.js';
import { emptySnapshot, nextSnapshot, type Snapshot } from './snapshot.js';

const defaultReconcileIntervalMs = 60_000;

/** Makes a store; nothing is read before `start`. Throws `InvalidArgumentError` for expressions that cannot be read. */
export function createMetaStore(options: MetaStoreOptions = {}): MetaStore {
  const logger = options.logger ?? silentLogger;
  const clock = options.clock ?? systemClock;
  const podSource = options.pods ?? labelPods();
  const hostRoot = options.hostRoot ?? defaultHostRoot();
  const reconcileIntervalMs = options.reconcileIntervalMs ?? defaultReconcileIntervalMs;
  if (!(reconcileIntervalMs > 0)) throw new InvalidArgumentError('reconcileIntervalMs must be more than 0.');

  const assembler = createPodAssembler({
    rules: readRules(options),
    trackFinishedPods: options.trackFinishedPods ?? false,
  });
  let snapshot: Snapshot = emptySnapshot;
  const streams = createEventStreams(() => snapshot);
  const listeners = new Set<{ readonly call: () => void }>();
  const attributes = new Map<string, Map<string, unknown>>();
  const syncs: EngineSync[] = [];
  let state: MetaStoreStatus['state'] = 'new';
  let started: Promise<void> | undefined;
  let closed: Promise<void> | undefined;

  const enrichment = createEnrichment({
    enrichers: chooseEnrichers(options.enrichment ?? {}, { clock, logger }),
    ...{ hostRoot, clock, logger },
    podOf: (container) => self.getPodOf(container),
    exec: (container, request) => self.exec(container, request),
    onValues: (keys) => show(enrichedFacts.again(keys), { enriched: true }),
  });
  const enrichedFacts = createEnrichedFacts(enrichment.valuesOf);

  const takeFacts = (
    facts: ReadonlyMap<string, ContainerFacts | undefined>,
    engineTimes: ReadonlyMap<string, number>,
  ): void => show(enrichedFacts.take(facts), { engineTimes });

  const show = (facts: ReadonlyMap<string, ContainerFacts | undefined>, origin: EventOrigin): void => {
    const change = assembler.apply(facts, snapshot);
    if (change.pods.size === 0 && change.containers.size === 0) return;
    const previous = snapshot;
    snapshot = nextSnapshot(previous, change, clock.now());
    for (const [key, container] of change.containers) if (container === undefined) attributes.delete(key);
    streams.publish(listEvents(previous, snapshot, change, origin));
    if (change.pods.size > 0) for (const listener of [...listeners]) notify(listener.call);
    enrichment.update(change.containers);
  };

  const notify = (listener: () => unknown): void => {
    const report = (error: unknown): void => logger.error({ err: error }, 'a listener of pod changes failed');
    try {
      // An async listener gives a promise, although its type does not say so.
      Promise.resolve(listener()).catch(report);
    } catch (error) {
      report(error);
    }
  };

  const selector = createEngineSelector({
    ...(options.engines === undefined ? {} : { engines: options.engines }),
    ...(options.agentName === undefined ? {} : { agentName: options.agentName }),
    hostRoot,
    logger,
    onEngine: (engine) => {
      if (state === 'closed') return;
      if (syncs.some((sync) => sync.engine.id === engine.id)) {
        logger.warn({ engine: engine.id }, 'an engine was found twice; the second is not followed');
        return;
      }
      syncs.push(
        createEngineSync({ engine, podSource, hostRoot, clock, logger, reconcileIntervalMs, onFacts: takeFacts }),
      );
    },
  });
  const engines = (): readonly ContainerEngine[] => syncs.map(({ engine }) => engine);

  const requireOpen = (): void => {
    if (state === 'closed') throw new ClosedError('This store was closed.', { applied: 'no' });
  };

  const engineById = (id: string): ContainerEngine | undefined => engines().find((engine) => engine.id === id);

  const findTarget = (target: StoreTarget): Container => {
    const found = typeof target === 'string' ? findContainerByCid(snapshot, target, engines()) : findSame(target);
    if (found !== undefined) return found;
    const id = typeof target === 'string' ? target : target.id;
    throw new NoSuchContainerError(`The store knows no container '${id}'.`, { applied: 'no', retryable: true });
  };

  const findSame = (target: Exclude<StoreTarget, string>): Container | undefined => {
    if ('engineId' in target) return snapshot.containersByKey.get(containerKey(target.engineId, target));
    return engines()
      .map(({ id }) => snapshot.containersByKey.get(containerKey(id, target)))
      .find((container) => container !== undefined);
  };

  /** The target as the store knows it now, with its engine. */
  const route = (target: StoreTarget): { engine: ContainerEngine; container: Container } => {
    requireOpen();
    const container = findTarget(target);
    const engine = engineById(container.engineId);
    if (engine === undefined) throw new NoSuchContainerError(`Container ${container.id} has no engine any more.`);
    return { engine, container };
  };

  const start = async ({ signal, requireReady = false }: StartOptions): Promise<void> => {
    requireOpen();
    state = 'starting';
    const firstSyncs = async (): Promise<void> => {
      await selector.start();
      requireOpen();
      if (syncs.length === 0) {
        const reports = selector.reports();
        // Nothing to wait for: no engine package is imported, or none of the types that were asked for.
        if (reports.every(({ packageName }) => packageName === 'none')) throw new NoEngineError(reports);
        logger.warn({ reports }, 'no engine was found; the store goes on looking');
      }
      const failures = await Promise.all(syncs.map((sync) => sync.firstSync));
      requireOpen();
      if (!requireReady) return;
      const failure = failures.find((reason): reason is CrikitError => reason !== undefined);
      if (failure !== undefined) throw failure;
      if (syncs.length === 0) throw new NoEngineError(selector.reports());
    };
    try {
      await raceSignal(firstSyncs(), signal);
      state = 'running';
    } catch (error) {
      await self.close();
      throw error;
    }
  };

  const self: MetaStore = {
    start: (startOptions = {}) => {
      started ??= start(startOptions);
      return started;
    },
    close: () => {
      closed ??= (async () => {
        state = 'closed';
        streams.close();
        listeners.clear();
        await enrichment.close();
        await Promise.all(syncs.map((sync) => sync.close()));
        await selector.close();
      })();
      return closed;
    },
    [Symbol.asyncDispose]: () => self.close(),

    getAllPods: () => snapshot.pods,
    getPod: (namespace, name) => findPodByName(snapshot, namespace, name),
    getPodOrThrow: (namespace, name) => {
      const pod = findPodByName(snapshot, namespace, name);
      if (pod === undefined) throw new NoPodError(`${namespace}/${name}`);
      return pod;
    },
    getPodByUid: (uid) => snapshot.podsByUid.get(uid),
    getPodBySandboxId: (sandboxId) => findPodBySandboxId(snapshot, sandboxId),
    getPodBySandboxIdOrThrow: (sandboxId) => {
      const pod = findPodBySandboxId(snapshot, sandboxId);
      if (pod === undefined) throw new NoPodError(`with sandbox ${sandboxId}`);
      return pod;
    },
    getPodOf: ({ podUid }) => (podUid === undefined ? undefined : snapshot.podsByUid.get(podUid)),
    getContainerByCid: (cid) => findContainerByCid(snapshot, cid, engines()),
    getContainersByName: (name) =>
      (snapshot.keysByName.get(name) ?? []).flatMap((key) => snapshot.containersByKey.get(key) ?? []),
    getAllContainers: ({ withoutPod = false } = {}) =>
      withoutPod
        ? snapshot.containers
        : snapshot.containers.filter(({ podUid }) => podUid !== undefined && snapshot.podsByUid.has(podUid)),

    attributes: (cid) => {
      const container = findContainerByCid(snapshot, cid, engines());
      if (container === undefined) return undefined;
      const key = containerKey(container.engineId, container);
      let values = attributes.get(key);
      if (values === undefined) {
        values = new Map();
        attributes.set(key, values);
      }
      return values;
    },

    onAnyPodChanged: (listener) => {
      // Wrapped, so that the same function added twice is two listeners.
      const entry = { call: listener };
      listeners.add(entry);
      return () => {
        listeners.delete(entry);
      };
    },
    events: (eventsOptions = {}) => streams.open(eventsOptions),
    status: () => {
      const engineStates = syncs.map((sync) => sync.status());
      return {
        state,
        ready:
          state === 'running' && engineStates.length > 0 && engineStates.every((engine) => engine.state === 'live'),
        podSource: podSource.name,
        engines: engineStates,
        reports: selector.reports(),
        sequence: snapshot.sequence,
        ...(snapshot.sequence === 0 ? {} : { snapshotMs: snapshot.timeMs }),
        pods: snapshot.pods.length,
        containers: snapshot.containers.length,
      };
    },

    engine: (container) => {
      if (container !== undefined) return route(container).engine;
      requireOpen();
      const [first, ...others] = engines();
      if (first === undefined) {
        throw new EngineUnavailableError('The store has no engine.', { applied: 'no', retryable: true });
      }
      if (others.length > 0) {
        throw new InvalidArgumentError(
          `The store has several engines (${engines()
            .map(({ id }) => id)
            .join(', ')}): say which by naming a container.`,
        );
      }
      return first;
    },
    exec: async (target, request) => {
      const { engine, container } = route(target);
      return engine.exec(container, request);
    },
    execAsync: async (target, request) => {
      const { engine, container } = route(target);
      return engine.execAsync(container, request);
    },
    copyToContainer: async (target, source, destination, copyOptions) => {
      const { engine, container } = route(target);
      return engine.copyToContainer(container, source, destination, copyOptions);
    },
    copyFromContainer: async (target, source, destination, copyOptions) => {
      const { engine, container } = route(target);
      return engine.copyFromContainer(container, source, destination, copyOptions);
    },
    ...createContainerFiles({
      hostRoot,
      findTarget: (target) => route(target).container,
      snapshot: () => snapshot,
    }),
  };
  return self;
}

function readRules({ sidecars = DEFAULT_SIDECAR_RULES, app = '', hostname }: MetaStoreOptions): JoinRules {
  return {
    sidecars: typeof sidecars === 'string' ? parseSidecarRules(sidecars) : sidecars,
    app: parseMetadataRules(app),
    hostname: parseMetadataRules(hostname ?? DEFAULT_HOSTNAME_RULES),
  };
}

async function raceSignal(work: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return work;
  let onAbort: (() => void) | undefined;
  const abortion = new Promise<never>((_, reject) => {
    onAbort = () =>
      reject(new OperationAbortedError('The start of the store was aborted.', { cause: signal.reason, applied: 'no' }));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([work, abortion]);
  } finally {
    work.catch(() => {});
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort);
  }
}
