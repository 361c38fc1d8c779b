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
  type KubernetesNode,
  NoEngineError,
  NoPodError,
  NoSuchContainerError,
  OperationAbortedError,
  type Pod,
  parseMetadataRules,
  parseSidecarRules,
  silentLogger,
} from '@crikit/core';
import { chooseEnrichers } from './built-in-enrichers.js';
import { systemClock } from './clock.js';
import { type ContainerFacts, containerKey } from './container-facts.js';
import { createContainerFiles } from './container-files.js';
import { defaultPods } from './default-pods.js';
import { createDeparted } from './departed.js';
import { createEngineSync, type EngineSync } from './engine-sync.js';
import { createEnrichment } from './enrich-containers.js';
import { createEnrichedFacts } from './enriched-facts.js';
import { createEventStreams } from './event-stream.js';
import { explainContainer } from './explain-container.js';
import { findContainerByCid } from './find-container.js';
import { findPodByName, findPodBySandboxId, findPodsByIp } from './find-pod.js';
import type { JoinRules } from './join-pod.js';
import { type EventOrigin, listEvents } from './list-events.js';
import { describeLocalAgent } from './local-agent-meta.js';
import type { MetaStore, StoreTarget, WaitTarget } from './meta-store.js';
import type { MetaStoreOptions, StartOptions } from './meta-store-options.js';
import type { MetaStoreStatus } from './meta-store-status.js';
import { type AssemblerInput, createPodAssembler } from './pod-assembler.js';
import type { PodUpdate } from './pod-source.js';
import { createPodSourceSync } from './pod-source-sync.js';
import { emptySnapshot, nextSnapshot, type Snapshot } from './snapshot.js';
import { createWaiters, type WaitOptions } from './waiters.js';

const defaultReconcileIntervalMs = 60_000;
const defaultGracePeriodMs = 15_000;

/** Makes a store; nothing is read before `start`. Throws `InvalidArgumentError` for expressions that cannot be read. */
export function createMetaStore(options: MetaStoreOptions = {}): MetaStore {
  const logger = options.logger ?? silentLogger;
  const clock = options.clock ?? systemClock;
  const podSource = options.pods ?? defaultPods();
  const environment = options.environment ?? process.env;
  const hostRoot = options.hostRoot ?? defaultHostRoot();
  const reconcileIntervalMs = options.reconcileIntervalMs ?? defaultReconcileIntervalMs;
  if (!(reconcileIntervalMs > 0)) throw new InvalidArgumentError('reconcileIntervalMs must be more than 0.');
  const gracePeriodMs = options.gracePeriodMs ?? defaultGracePeriodMs;
  if (!(gracePeriodMs >= 0)) throw new InvalidArgumentError('gracePeriodMs must not be less than 0.');

  const assembler = createPodAssembler({
    rules: readRules(options),
    trackFinishedPods: options.trackFinishedPods ?? false,
    nodeName: options.nodeName,
  });
  let snapshot: Snapshot = emptySnapshot;
  const streams = createEventStreams(() => snapshot);
  const listeners = new Set<{ readonly call: () => void }>();
  const attributes = new Map<string, Map<string, unknown>>();
  const departed = createDeparted({
    gracePeriodMs,
    clock,
    onForgotten: (keys) => {
      for (const key of keys) if (!snapshot.containersByKey.has(key)) attributes.delete(key);
    },
  });
  const waiters = createWaiters(clock);
  let node: KubernetesNode | undefined;
  let nodeFollower: AsyncDisposable | undefined;
  const syncs: EngineSync[] = [];
  let state: MetaStoreStatus['state'] = 'new';
  let started: Promise<void> | undefined;
  let closed: Promise<void> | undefined;

  const enrichment = createEnrichment({
    enrichers: chooseEnrichers(options.enrichment ?? {}, { clock, logger }),
    ...{ hostRoot, clock, logger },
    podOf: (container) => self.getPodOf(container),
    exec: (container, request) => self.exec(container, request),
    onValues: (keys) => show({ facts: enrichedFacts.again(keys) }, { enriched: true }),
  });
  const enrichedFacts = createEnrichedFacts(enrichment.valuesOf);

  /** What waits for the other half, so that the first snapshot has both containers and pods. */
  const held = { facts: new Map<string, ContainerFacts | undefined>(), updates: [] as PodUpdate[] };
  const heldTimes = new Map<string, number>();
  let hasContainers = false;
  let hasPods = podSource.open === undefined;
  let isHolding = true;

  const takeFacts = (
    told: ReadonlyMap<string, ContainerFacts | undefined>,
    engineTimes: ReadonlyMap<string, number>,
  ): void => {
    const facts = enrichedFacts.take(told);
    if (!isHolding) {
      show({ facts }, { engineTimes });
      return;
    }
    for (const [key, next] of facts) held.facts.set(key, next);
    for (const [key, timeMs] of engineTimes) heldTimes.set(key, timeMs);
    hasContainers = true;
    showHeld();
  };

  const sourceSync = createPodSourceSync({
    podSource,
    environment,
    hostRoot,
    clock,
    logger,
    onUpdate: (update) => {
      if (isHolding) held.updates.push(update);
      else show({ updates: [update] });
    },
    onLive: (isSourceLive) => {
      if (!isHolding) show({ isSourceLive });
    },
  });

  const showHeld = (): void => {
    if (!isHolding || !hasContainers || !hasPods) return;
    isHolding = false;
    show({ ...held, isSourceLive: sourceSync.status().state === 'live' }, { engineTimes: heldTimes });
    held.facts.clear();
    held.updates.length = 0;
    heldTimes.clear();
  };

  const show = (input: AssemblerInput, origin: EventOrigin = {}): void => {
    const change = assembler.apply(input, snapshot);
    if (change.pods.size === 0 && change.containers.size === 0) return;
    const previous = snapshot;
    snapshot = nextSnapshot(previous, change, clock.now());
    departed.take(previous, change);
    streams.publish(listEvents(previous, snapshot, change, origin));
    if (change.pods.size > 0) for (const listener of [...listeners]) notify(listener.call);
    waiters.check();
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
    environment,
    hostRoot,
    logger,
    onEngine: (engine) => {
      if (state === 'closed') return;
      if (syncs.some((sync) => sync.engine.id === engine.id)) {
        logger.warn({ engine: engine.id }, 'an engine was found twice; the second is not followed');
        return;
      }
      syncs.push(
        createEngineSync({
          engine,
          podSource,
          hostRoot,
          clock,
          logger,
          reconcileIntervalMs,
          onFacts: takeFacts,
          onEvent: sourceSync.hint,
        }),
      );
    },
  });
  const engines = (): readonly ContainerEngine[] => syncs.map(({ engine }) => engine);

  const requireOpen = (): void => {
    if (state === 'closed') throw new ClosedError('This store was closed.', { applied: 'no' });
  };

  const engineById = (id: string): ContainerEngine | undefined => engines().find((engine) => engine.id === id);

  const findTarget = (target: StoreTarget): Container => {
    const found = typeof target === 'string' ? findContainerByCid(snapshot, target, engines) : findSame(target);
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
      if (options.watchNode ?? true) nodeFollower = openNode();
      const firstPods = sourceSync.open().then((reason) => {
        hasPods = true;
        showHeld();
        return reason;
      });
      await selector.start();
      requireOpen();
      if (syncs.length === 0) {
        const reports = selector.reports();
        // Nothing to wait for: no engine package is imported, or none of the types that were asked for.
        if (reports.every(({ packageName }) => packageName === 'none')) throw new NoEngineError(reports);
        logger.warn({ reports }, 'no engine was found; the store goes on looking');
      }
      const failures: (CrikitError | undefined)[] = await Promise.all(syncs.map((sync) => sync.firstSync));
      hasContainers = true;
      showHeld();
      failures.push(await firstPods);
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

  const openNode = (): AsyncDisposable | undefined => {
    try {
      return podSource.openNode?.({
        environment,
        hostRoot,
        logger,
        clock,
        onNode: (next) => {
          if (state !== 'closed') node = next;
        },
      });
    } catch (error) {
      logger.error({ err: error, podSource: podSource.name }, 'the pod source threw when asked for the node');
      return undefined;
    }
  };

  const findPodByUid = (uid: string): Pod | undefined =>
    snapshot.podsByUid.get(uid) ?? departed.snapshot.podsByUid.get(uid);
  const findAnyPodBySandboxId = (sandboxId: string): Pod | undefined => {
    const found = findPodBySandboxId(snapshot, sandboxId) ?? findPodBySandboxId(departed.snapshot, sandboxId);
    if (found !== undefined) return found;
    // The pod lives, and this sandbox of it is gone.
    const { keysById, keysByShortId, containersByKey } = departed.snapshot;
    for (const key of keysById.get(sandboxId) ?? keysByShortId.get(sandboxId) ?? []) {
      const { role, podUid } = containersByKey.get(key) ?? {};
      if (role === 'sandbox' && podUid !== undefined) return findPodByUid(podUid);
    }
    return undefined;
  };
  const findAnyContainer = (cid: string): Container | undefined =>
    findContainerByCid(snapshot, cid, engines) ?? findContainerByCid(departed.snapshot, cid, engines);

  const waitFor = (target: WaitTarget, waitOptions: WaitOptions = {}): Promise<Container | Pod> => {
    const noContainer = (what: string) => () =>
      new NoSuchContainerError(`The store came to know no container ${what} within ${waitOptions.timeoutMs} ms.`, {
        applied: 'no',
        retryable: true,
      });
    if ('cid' in target) {
      const find = (): Container | undefined => findContainerByCid(snapshot, target.cid, engines);
      return waiters.wait<Container | Pod>(find, waitOptions, noContainer(`'${target.cid}'`));
    }
    if ('pid' in target) {
      const find = (): Container | undefined => self.getContainerByPid(target.pid);
      return waiters.wait<Container | Pod>(find, waitOptions, noContainer(`of process ${target.pid}`));
    }
    if ('podUid' in target) {
      const find = (): Pod | undefined => snapshot.podsByUid.get(target.podUid);
      return waiters.wait<Container | Pod>(find, waitOptions, () => new NoPodError(`with uid ${target.podUid}`));
    }
    const { namespace, name } = target.pod;
    const find = (): Pod | undefined => findPodByName(snapshot, namespace, name);
    return waiters.wait<Container | Pod>(find, waitOptions, () => new NoPodError(`${namespace}/${name}`));
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
        waiters.close();
        departed.close();
        await enrichment.close();
        await Promise.all([
          ...syncs.map((sync) => sync.close()),
          sourceSync.close(),
          nodeFollower?.[Symbol.asyncDispose](),
        ]);
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
    getPodByUid: findPodByUid,
    getPodBySandboxId: findAnyPodBySandboxId,
    getPodBySandboxIdOrThrow: (sandboxId) => {
      const pod = findAnyPodBySandboxId(sandboxId);
      if (pod === undefined) throw new NoPodError(`with sandbox ${sandboxId}`);
      return pod;
    },
    getPodsByIp: (ip, { hostNetwork = false } = {}) => findPodsByIp(snapshot, ip, hostNetwork),
    getPodOf: ({ podUid }) => (podUid === undefined ? undefined : findPodByUid(podUid)),
    getContainerByCid: findAnyContainer,
    getContainersByName: (name) =>
      (snapshot.keysByName.get(name) ?? []).flatMap((key) => snapshot.containersByKey.get(key) ?? []),
    getAllContainers: ({ withoutPod = false } = {}) =>
      withoutPod
        ? snapshot.containers
        : snapshot.containers.filter(({ podUid }) => podUid !== undefined && snapshot.podsByUid.has(podUid)),

    attributes: (cid) => {
      const container = findAnyContainer(cid);
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
    waitFor: waitFor as MetaStore['waitFor'],
    explain: (cid) =>
      explainContainer(cid, {
        snapshot,
        departed: departed.snapshot,
        status: self.status(),
        engines: engines(),
        assembler,
      }),
    localAgentMeta: () =>
      describeLocalAgent({
        environment,
        nodeName: options.nodeName,
        node,
        findPod: (namespace, name) => findPodByName(snapshot, namespace, name),
      }),
    status: () => {
      const sourceState = sourceSync.status();
      const engineStates = syncs.map((sync) => sync.status());
      return {
        state,
        ready:
          state === 'running' &&
          sourceState.state === 'live' &&
          engineStates.length > 0 &&
          engineStates.every((engine) => engine.state === 'live'),
        podSource: sourceState,
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
    openSession: async (target, sessionOptions) => {
      const { engine, container } = route(target);
      return engine.openSession(container, sessionOptions);
    },
    dial: async (target, dialTarget, dialOptions) => {
      const { engine, container } = route(target);
      return engine.dial(container, dialTarget, dialOptions);
    },
    httpAgent: (target, dialOptions) => {
      const { engine, container } = route(target);
      return engine.httpAgent(container, dialOptions);
    },
    connector: (target, dialOptions) => {
      const { engine, container } = route(target);
      return engine.connector(container, dialOptions);
    },
    portForward: async (target, port, forwardOptions) => {
      const { engine, container } = route(target);
      return engine.portForward(container, port, forwardOptions);
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
