import { setMaxListeners } from 'node:events';
import { callDriver } from './call-driver.js';
import { type CopyableFacts, canCopy } from './can-copy.js';
import type { ContainerReference, ContainerStatus, MountPoint } from './container.js';
import { createContainerChanges } from './container-changes.js';
import type { CallOptions, ContainerEngine, ContainerTarget } from './container-engine.js';
import type { CopyContext, CopyFacts } from './copy-files.js';
import type { EngineDefinition, EngineDriver } from './engine-contract.js';
import { ClosedError } from './errors/closed-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { NoSuchContainerError } from './errors/no-such-container-error.js';
import type { ExecSession } from './exec-session.js';
import type { ExecSessionPool } from './exec-session-pool.js';
import { defaultHostRoot, hostPath } from './host-path.js';
import { linkSignals } from './link-signals.js';
import { type Logger, silentLogger } from './logger.js';
import type { PodNetwork } from './pod-network.js';
import { createPodConnector, createPodHttpAgent } from './pod-network-http.js';
import type { PortForward } from './pod-network-port-forward.js';
import type { ExecContext } from './run-exec.js';
import { createSemaphore } from './semaphore.js';
import { trace } from './tracing.js';
import { watchContainers } from './watch-containers.js';

export interface ContainerEngineOptions {
  /** Where the node's root is mounted for this process. Default: HOSTFS of the environment, else `/`. */
  readonly hostRoot?: string;
  readonly logger?: Logger;
  /** Name that execs carry in their environment as `_FROM`, beside `_TS`; `false` leaves both out. Default: `crikit`. */
  readonly agentName?: string | false;
  /** Between two lists, for engines that have no events. Default: 5 s. */
  readonly pollIntervalMs?: number;
}

const listDeadlineMs = 10_000;
const detailsDeadlineMs = 5_000;
const detailsPerDeadline = 50;
const closeDeadlineMs = 5_000;

/** Makes of a driver the engine that users see, with everything that all engines have in common. */
export function createContainerEngine(
  definition: EngineDefinition,
  driver: EngineDriver,
  options: ContainerEngineOptions = {},
): ContainerEngine {
  const logger = options.logger ?? silentLogger;
  const closing = new AbortController();
  // Every call under way listens to it; Node takes more than ten for a leak.
  setMaxListeners(0, closing.signal);
  const engine = driver.id;
  let closed: Promise<void> | undefined;
  let machinery: typeof import('./machinery.js') | undefined;
  const execContext: ExecContext = {
    driver,
    hostRoot: options.hostRoot ?? defaultHostRoot(),
    agentName: options.agentName === false ? undefined : (options.agentName ?? 'crikit'),
    limitStarts: createSemaphore(driver.limits.parallelExecStarts),
  };
  // What a program may never use is loaded at its first use: importing this package is to cost next to nothing.
  let pool: Promise<ExecSessionPool> | undefined;
  const openPool = (): Promise<ExecSessionPool> => {
    pool ??= import('./machinery.js').then(({ createExecSessionPool }) => createExecSessionPool(execContext));
    return pool;
  };
  let network: Promise<PodNetwork> | undefined;
  const openNetwork = (): Promise<PodNetwork> => {
    const { hostRoot } = execContext;
    network ??= import('./machinery.js').then(({ createPodNetwork }) =>
      createPodNetwork({ engine: self, hostRoot, locality: driver.locality }),
    );
    return network;
  };
  const sessions = new Set<ExecSession>();
  const forwards = new Set<PortForward>();

  const requireOpen = (): void => {
    if (closing.signal.aborted) {
      throw new ClosedError('This engine was closed.', { engine, applied: 'no', remedy: 'Connect a new one.' });
    }
  };
  const referenceOf = (target: ContainerTarget): ContainerReference => {
    requireOpen();
    return toReference(target, driver.defaultScope ?? '');
  };
  const call = <Value>(
    what: string,
    deadlineMs: number,
    callOptions: CallOptions | undefined,
    run: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value> => {
    requireOpen();
    const signals = [closing.signal, ...(callOptions?.signal === undefined ? [] : [callOptions.signal])];
    const timeoutMs = callOptions?.timeoutMs ?? deadlineMs;
    return callDriver({ what, engine, timeoutMs, signal: signals }, run);
  };
  const copyContext = (target: ContainerTarget): CopyContext => {
    const reference = referenceOf(target);
    return {
      exec: execContext,
      reference,
      known: typeof target === 'object' ? knownFacts(target as ContainerFacts, execContext.hostRoot) : undefined,
      async getFacts(signal) {
        const detail = await self.getContainerDetail(reference, signal === undefined ? {} : { signal });
        return factsOfDetail(detail, execContext.hostRoot);
      },
    };
  };

  const self: ContainerEngine = {
    id: engine,
    type: definition.type,
    version: driver.version,
    containerIdSchemes: driver.containerIdSchemes,

    async listAllContainers(callOptions) {
      return call('list containers', listDeadlineMs, callOptions, (signal) => driver.listAllContainers({ signal }));
    },

    async getContainerDetail(container, callOptions) {
      const reference = referenceOf(container);
      const [outcome] = await self.getContainerDetails([reference], callOptions);
      if (outcome === undefined) {
        throw new NoSuchContainerError(`There is no container ${reference.id}.`, { engine, applied: 'no' });
      }
      if ('error' in outcome) throw outcome.error;
      return outcome.detail;
    },

    async getContainerDetails(of, callOptions) {
      requireOpen();
      const references = of === 'all' ? of : of.map(referenceOf);
      if (references.length === 0) return [];
      const batches = references === 'all' ? 4 : Math.ceil(references.length / detailsPerDeadline);
      return trace('details', { engine, count: references === 'all' ? 'all' : references.length }, () =>
        call('inspect containers', detailsDeadlineMs * batches, callOptions, (signal) =>
          driver.getContainerDetails(references, { signal }),
        ),
      );
    },

    async getSource(container, callOptions) {
      const reference = referenceOf(container);
      return call(`inspect container ${reference.id}`, detailsDeadlineMs, callOptions, (signal) =>
        driver.getSource(reference, { signal }),
      );
    },

    async exec(container, request) {
      const reference = referenceOf(container);
      return trace('exec', { engine, container: reference.id, command: request.cmd }, async () => {
        if (request.reuse === true) return (await openPool()).exec(reference, request);
        // An import takes its time even when the module is loaded.
        machinery ??= await import('./machinery.js');
        return machinery.runExec(execContext, reference, request);
      });
    },

    async openSession(container, sessionOptions = {}) {
      const reference = referenceOf(container);
      const session = await trace('session', { engine, container: reference.id }, async () => {
        const { openExecSession } = await import('./machinery.js');
        return openExecSession(execContext, reference, sessionOptions);
      });
      if (closing.signal.aborted) {
        await session.close();
        requireOpen();
      }
      sessions.add(session);
      return {
        container: reference,
        exec: async (request) =>
          trace('exec', { engine, container: reference.id, command: request.cmd, session: true }, () =>
            session.exec(request),
          ),
        async close() {
          sessions.delete(session);
          await session.close();
        },
        async [Symbol.asyncDispose]() {
          sessions.delete(session);
          await session.close();
        },
      };
    },

    async execAsync(container, request) {
      const reference = referenceOf(container);
      return trace('exec', { engine, container: reference.id, command: request.cmd, streaming: true }, async () => {
        const { runExecAsync } = await import('./machinery.js');
        return runExecAsync(execContext, reference, request);
      });
    },

    async dial(container, target, dialOptions) {
      const reference = referenceOf(container);
      const context = { engine, container: reference.id, ...target };
      return trace('dial', context, async () => (await openNetwork()).dial(reference, target, dialOptions));
    },

    httpAgent(container, dialOptions) {
      return createPodHttpAgent((target) => self.dial(container, target, dialOptions));
    },

    connector(container, dialOptions) {
      return createPodConnector((target) => self.dial(container, target, dialOptions));
    },

    async portForward(container, port, { viaExec, ...forwardOptions } = {}) {
      requireOpen();
      const target = typeof port === 'number' ? { port } : port;
      const { openPortForward } = await import('./machinery.js');
      const forward = await openPortForward(
        () => self.dial(container, target, viaExec === undefined ? {} : { viaExec }),
        forwardOptions,
      );
      forwards.add(forward);
      void forward.closed.then(() => forwards.delete(forward));
      return forward;
    },

    async copyToContainer(container, source, destination, copyOptions = {}) {
      const context = copyContext(container);
      const { id } = context.reference;
      return trace('copy', { engine, container: id, direction: 'in', source, destination }, async () => {
        const { copyIntoContainer } = await import('./machinery.js');
        return copyIntoContainer(context, source, destination, copyOptions);
      });
    },

    async copyFromContainer(container, source, destination, copyOptions = {}) {
      const context = copyContext(container);
      const { id } = context.reference;
      return trace('copy', { engine, container: id, direction: 'out', source, destination }, async () => {
        const { copyOutOfContainer } = await import('./machinery.js');
        return copyOutOfContainer(context, source, destination, copyOptions);
      });
    },

    supports(feature, container) {
      if (feature !== 'copy') {
        return driver.features[feature] !== undefined && container?.withheld?.[feature] === undefined;
      }
      return canCopy(driver, partialFacts(container ?? {}));
    },

    feature(name) {
      return driver.features[name];
    },

    async watch(watch, { signal }) {
      requireOpen();
      const linked = linkSignals([signal, closing.signal]);
      try {
        await watchContainers(watch, {
          driver,
          logger,
          signal: linked.signal,
          pollIntervalMs: options.pollIntervalMs ?? 5_000,
        });
      } finally {
        linked.unlink();
      }
    },

    events(eventOptions = {}) {
      requireOpen();
      return createContainerChanges(async (watch, signal) => {
        const linked = linkSignals([signal, eventOptions.signal]);
        try {
          await self.watch(watch, { signal: linked.signal });
        } finally {
          linked.unlink();
        }
      });
    },

    close() {
      closed ??= (async () => {
        closing.abort();
        await Promise.all([
          network?.then((opened) => opened.close()),
          pool?.then((opened) => opened.close()),
          ...[...forwards].map((forward) => forward.close()),
          ...[...sessions].map((session) => session.close()),
        ]);
        await callDriver(
          { what: 'close the engine', engine, timeoutMs: closeDeadlineMs },
          () => driver[Symbol.asyncDispose]() as Promise<void>,
        ).catch((error) => logger.warn({ engine, error }, 'closing an engine failed'));
      })();
      return closed;
    },

    [Symbol.asyncDispose]() {
      return self.close();
    },
  };
  return self;
}

function toReference(target: ContainerTarget, defaultScope: string): ContainerReference {
  const reference =
    typeof target === 'string'
      ? { scope: defaultScope, id: target }
      : 'reference' in target
        ? target.reference
        : { scope: target.scope, id: target.id };
  if (typeof reference.id !== 'string' || reference.id === '' || /[/\0]/.test(reference.id)) {
    throw new InvalidArgumentError(`'${String(reference.id)}' is no container id.`);
  }
  return reference;
}

/** What a store's container, a detail or a summary tells; nothing about what is not there. */
interface ContainerFacts {
  readonly state?: { readonly status: ContainerStatus; readonly pid: number };
  readonly status?: ContainerStatus;
  readonly pid?: number;
  readonly runtime?: string;
  readonly mounts?: readonly MountPoint[];
  readonly withheld?: Readonly<Record<string, string>>;
}

function partialFacts({ state, status, pid, runtime, withheld }: ContainerFacts): CopyableFacts {
  return { status: state?.status ?? status, pid: state?.pid ?? pid, runtime, withheld };
}

/** Of a store's container, whose paths are below the host root already, or of a detail; undefined for less than that. */
function knownFacts(target: ContainerFacts, hostRoot: string): CopyFacts | undefined {
  const { state, status, runtime, mounts, withheld } = target;
  if (mounts === undefined || withheld === undefined) return undefined;
  if (state !== undefined) return { status: state.status, pid: state.pid, runtime, mounts, withheld };
  return status === undefined ? undefined : factsOfDetail({ ...target, status, mounts, withheld }, hostRoot);
}

function factsOfDetail(
  {
    status,
    pid = 0,
    runtime,
    mounts,
    withheld,
  }: Required<Pick<ContainerFacts, 'status' | 'mounts' | 'withheld'>> & ContainerFacts,
  hostRoot: string,
): CopyFacts {
  return {
    status,
    pid,
    runtime,
    withheld,
    mounts: mounts.map((mount) =>
      mount.source.startsWith('/') ? { ...mount, source: hostPath(hostRoot, mount.source) } : mount,
    ),
  };
}
