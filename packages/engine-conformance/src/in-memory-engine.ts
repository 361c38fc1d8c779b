/**
 * An engine without a daemon: its containers live in memory and do what the test or the demo says. It keeps the
 * driver contract honestly, so that what is proven on it is worth something, and it can be made to fail in every way
 * that a daemon does.
 */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { setTimeout as delayFor } from 'node:timers/promises';
import {
  ContainerNotRunningError,
  ContainerPausedError,
  type ContainerReference,
  type CrikitError,
  type DetailOutcome,
  type DriverCall,
  ENGINE_CONTRACT_VERSION,
  type EngineDefinition,
  type EngineDriver,
  type EngineEvent,
  type EngineEventAction,
  EngineUnavailableError,
  type EventFeed,
  InvalidArgumentError,
  isCrikitError,
  type KubernetesMarks,
  NoSuchContainerError,
  OperationAbortedError,
  ProtocolError,
} from '@crikit/core';
import { packInMemoryFiles, unpackInMemoryFiles } from './in-memory-engine-archive.js';
import {
  convertHeldToDetail,
  convertHeldToSummary,
  type HeldContainer,
  holdContainer,
  type InMemoryContainer,
} from './in-memory-engine-container.js';
import { builtInCommands, type InMemoryCommand, startInMemoryExec } from './in-memory-engine-exec.js';

export interface InMemoryEngineOptions {
  /** Default: `memory`. */
  readonly type?: string;
  /** Tells engines of one type apart; part of the engine's id. Default: `1`. */
  readonly name?: string;
  readonly version?: string;
  /** Default: the type. */
  readonly containerIdSchemes?: readonly string[];
  /** What there is at the start. Default: nothing. */
  readonly containers?: readonly InMemoryContainer[];
  /** Programs by the first word of a command, beside `true`, `false`, `echo`, `env`, `cat` and `sleep`. */
  readonly commands?: Readonly<Record<string, InMemoryCommand>>;
  /** Whether summaries have a `revision`. Default: true. */
  readonly revisions?: boolean;
  /** Whether the engine has the feature `events`. Default: true. */
  readonly events?: boolean;
  /** Whether the engine has the feature `archive`. Default: true. */
  readonly archive?: boolean;
}

export type InMemoryCall = 'probe' | 'connect' | 'list' | 'details' | 'source' | 'exec' | 'events' | 'archive';

export interface InMemoryPodContainer extends Omit<InMemoryContainer, 'kubernetes'> {
  /** Name in the pod's spec. */
  readonly k8sName: string;
}

export interface InMemoryPodOptions {
  readonly namespace: string;
  readonly name: string;
  /** Default: derived from namespace and name. */
  readonly uid?: string;
  /** Labels of the pod: its sandbox carries them. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly containers?: readonly InMemoryPodContainer[];
  /** Default: `engine`. */
  readonly trust?: KubernetesMarks['trust'];
  /** Of the sandbox and of containers that do not say. Default: `running`. */
  readonly status?: InMemoryContainer['status'];
}

export interface InMemoryPod {
  readonly uid: string;
  readonly sandboxId: string;
  /** Ids by name in the spec. */
  readonly containers: Readonly<Record<string, string>>;
}

export interface InMemoryEngineControl {
  readonly engineId: string;
  /** Every call that reached the driver. */
  readonly calls: Readonly<Record<InMemoryCall, number>>;
  /** Ids of the containers that details were asked for, in order; clear it with `inspected.length = 0`. */
  readonly inspected: string[];
  /** Ids of the containers there are. */
  containerIds(): readonly string[];
  /** Makes a container and tells its events. Returns its id. */
  addContainer(container?: InMemoryContainer): string;
  /** Makes a sandbox and the containers of a pod, as a kubelet would. */
  addPod(pod: InMemoryPodOptions): InMemoryPod;
  startContainer(id: string): void;
  pauseContainer(id: string): void;
  resumeContainer(id: string): void;
  /** Default exit code: 0. */
  stopContainer(id: string, exitCode?: number): void;
  removeContainer(id: string): void;
  /** Sends an event to whoever listens, whether or not it is true. */
  emit(event: EngineEvent): void;
  /** From now on nothing is told (`'drop'`), told later (`'hold'`, until `'tell'`), or told at once (`'tell'`, the default). */
  setEvents(mode: 'tell' | 'hold' | 'drop'): void;
  /** Ends the event streams, as a daemon does that dies; everything else goes on. */
  endEvents(): void;
  /** The daemon dies: streams end, calls are refused. Containers live on and may change meanwhile. */
  goAway(): void;
  comeBack(): void;
  /** From now on answers of this kind take so long. 0 for at once. */
  delay(call: InMemoryCall, delayMs: number): void;
  /**
   * The next `times` answers of this kind (default: all), or details of one container, are made and then kept back until
   * the function that is returned is called.
   */
  hold(call: InMemoryCall, options?: { times?: number; containerId?: string }): () => void;
  /** The next `times` calls of this kind (default: all), or details of one container, fail; `undefined` ends it. */
  fail(call: InMemoryCall, error: CrikitError | undefined, options?: { times?: number; containerId?: string }): void;
}

export interface InMemoryEngine {
  readonly definition: EngineDefinition;
  readonly control: InMemoryEngineControl;
}

/** Makes an engine whose containers live in memory. */
export function createInMemoryEngine(options: InMemoryEngineOptions = {}): InMemoryEngine {
  const type = options.type ?? 'memory';
  const engineId = `${type}:${options.name ?? '1'}`;
  const withRevision = options.revisions ?? true;
  const withEvents = options.events ?? true;
  const withArchive = options.archive ?? true;
  const commands = { ...builtInCommands, ...options.commands };

  const containers = new Map<string, HeldContainer>();
  const calls: Record<InMemoryCall, number> = {
    probe: 0,
    connect: 0,
    list: 0,
    details: 0,
    source: 0,
    exec: 0,
    events: 0,
    archive: 0,
  };
  const inspected: string[] = [];
  const delays = new Map<InMemoryCall, number>();
  const failures = new Map<string, { error: CrikitError; left: number }>();
  const holds = new Map<string, Set<{ readonly released: Promise<void>; left: number }>>();
  const feeds = new Set<{ tell: (event: EngineEvent) => void; end: (error?: CrikitError) => void }>();
  let eventsMode: 'tell' | 'hold' | 'drop' = 'tell';
  const heldEvents: EngineEvent[] = [];
  let engineLife = new AbortController();
  let made = 0;
  let execs = 0;

  const unavailable = (): EngineUnavailableError =>
    new EngineUnavailableError('The in-memory engine is away.', {
      engine: engineId,
      retryable: true,
      applied: 'no',
      remedy: 'Call comeBack().',
    });

  const failIfTold = (key: string): void => {
    const failure = failures.get(key);
    if (failure === undefined) return;
    failure.left -= 1;
    if (failure.left <= 0) failures.delete(key);
    throw failure.error;
  };

  const waitIfHeld = async (key: string, signal: AbortSignal): Promise<void> => {
    for (const hold of [...(holds.get(key) ?? [])]) {
      if (hold.left <= 0) continue;
      hold.left -= 1;
      await raceSignal(hold.released, signal);
    }
  };

  const serve = async <Answer>(
    call: InMemoryCall,
    signal: AbortSignal,
    answer: () => Answer | Promise<Answer>,
  ): Promise<Answer> => {
    calls[call] += 1;
    if (signal.aborted) throw aborted();
    const life = engineLife.signal;
    if (life.aborted) throw unavailable();
    failIfTold(call);
    const value = await answer();
    const delayMs = delays.get(call) ?? 0;
    if (delayMs > 0) await raceSignal(delayFor(delayMs), signal);
    await waitIfHeld(call, signal);
    if (life.aborted) throw unavailable();
    return value;
  };

  const find = (reference: ContainerReference): HeldContainer => {
    const held = containers.get(reference.id);
    if (held === undefined || held.reference.scope !== reference.scope) {
      throw new NoSuchContainerError(`There is no container ${reference.id}.`, { engine: engineId, applied: 'no' });
    }
    return held;
  };

  const findById = (id: string): HeldContainer => {
    const held = containers.get(id);
    if (held === undefined) throw new InvalidArgumentError(`The in-memory engine has no container ${id}.`);
    return held;
  };

  const tell = (event: EngineEvent): void => {
    if (eventsMode === 'drop' || engineLife.signal.aborted) return;
    if (eventsMode === 'hold') {
      heldEvents.push(event);
      return;
    }
    for (const feed of [...feeds]) feed.tell(event);
  };

  const changed = (held: HeldContainer, action: EngineEventAction): void => {
    held.revision += 1;
    tell({
      action,
      reference: { ...held.reference },
      timeMs: Date.now(),
      ...(action === 'exited' && held.exitCode !== undefined ? { exitCode: held.exitCode } : {}),
    });
  };

  const endFeeds = (error?: CrikitError): void => {
    for (const feed of [...feeds]) feed.end(error);
  };

  const driver: EngineDriver = {
    id: engineId,
    version: options.version ?? '1.0.0',
    containerIdSchemes: options.containerIdSchemes ?? [type],
    locality: 'elsewhere',
    limits: { parallelDetails: 16, parallelExecStarts: 16 },
    execFields: new Set(['user', 'workingDir', 'env', 'tty', 'stdin']),
    features: {
      ...(withEvents ? { events: { openEvents } } : {}),
      ...(withArchive ? { archive: { getArchive, putArchive } } : {}),
    },
    listAllContainers: async ({ signal }) =>
      await serve('list', signal, () =>
        [...containers.values()].map((held) => convertHeldToSummary(held, withRevision)),
      ),
    getContainerDetails: async (of, { signal }) =>
      await serve('details', signal, async () => {
        const references = of === 'all' ? [...containers.values()].map((held) => held.reference) : [...of];
        inspected.push(...references.map(({ id }) => id));
        return await Promise.all(references.map((reference) => detailOf(reference, signal)));
      }),
    getSource: async (of, { signal }) => await serve('source', signal, () => ({ ...find(of).given })),
    startExec: async (of, request, { signal }) =>
      await serve('exec', signal, () => {
        const held = find(of);
        if (held.status === 'paused') {
          throw new ContainerPausedError(`Container ${of.id} is paused.`, { engine: engineId, applied: 'no' });
        }
        if (held.status !== 'running') {
          throw new ContainerNotRunningError(`Container ${of.id} does not run.`, { engine: engineId, applied: 'no' });
        }
        const program = request.cmd[0] ?? '';
        execs += 1;
        return startInMemoryExec({
          id: `exec-${execs}`,
          engineId,
          containerId: of.id,
          containerEnv: held.given.env ?? {},
          command: Object.hasOwn(commands, program) ? commands[program] : undefined,
          request,
          containerLife: held.life.signal,
          engineLife: engineLife.signal,
        });
      }),
    [Symbol.asyncDispose]: async () => endFeeds(),
  };

  async function openEvents(onEvent: (event: EngineEvent) => void, { signal }: DriverCall): Promise<EventFeed> {
    await serve('events', signal, () => {});
    let end!: (ended: { error?: CrikitError }) => void;
    const ended = new Promise<{ error?: CrikitError }>((resolve) => {
      end = resolve;
    });
    const feed = {
      tell: onEvent,
      end: (error?: CrikitError) => {
        feeds.delete(feed);
        end(error === undefined ? {} : { error });
      },
    };
    feeds.add(feed);
    return { ended, [Symbol.asyncDispose]: async () => feed.end() };
  }

  async function getArchive(of: ContainerReference, path: string, { signal }: DriverCall): Promise<Readable> {
    return await serve('archive', signal, () => packInMemoryFiles(find(of).files, path));
  }

  async function putArchive(
    of: ContainerReference,
    directory: string,
    tar: Readable,
    { signal }: DriverCall,
  ): Promise<void> {
    await serve('archive', signal, () => unpackInMemoryFiles(find(of).files, directory, tar));
  }

  async function detailOf(reference: ContainerReference, signal: AbortSignal): Promise<DetailOutcome> {
    try {
      failIfTold(detailsKey(reference.id));
      const detail = convertHeldToDetail(find(reference), withRevision);
      await waitIfHeld(detailsKey(reference.id), signal);
      return { reference, detail };
    } catch (error) {
      return {
        reference,
        error: isCrikitError(error) ? error : new ProtocolError(String(error), { engine: engineId, cause: error }),
      };
    }
  }

  const setStatus = (held: HeldContainer, status: HeldContainer['status']): void => {
    held.status = status;
    if (status === 'running' && held.pid === 0) {
      made += 1;
      held.pid = 100_000 + made;
      held.startedAt = new Date().toISOString();
      held.exitCode = undefined;
      held.life = new AbortController();
    }
    if (status === 'exited' || status === 'dead') {
      held.pid = 0;
      held.life.abort();
    }
  };

  const control: InMemoryEngineControl = {
    engineId,
    calls,
    inspected,
    containerIds: () => [...containers.keys()],
    addContainer: (given = {}) => {
      made += 1;
      const held = holdContainer(given, engineId, made);
      if (containers.has(held.reference.id)) {
        throw new InvalidArgumentError(`The in-memory engine already has a container ${held.reference.id}.`);
      }
      containers.set(held.reference.id, held);
      changed(held, 'created');
      const status = given.status ?? 'created';
      if (status === 'created') return held.reference.id;
      setStatus(held, 'running');
      changed(held, 'started');
      if (status === 'running') return held.reference.id;
      setStatus(held, status);
      if (status === 'exited' || status === 'dead') held.exitCode = given.exitCode;
      changed(held, status === 'paused' ? 'paused' : status === 'exited' ? 'exited' : 'updated');
      return held.reference.id;
    },
    addPod: (pod) => {
      const uid = pod.uid ?? podUid(`${pod.namespace}/${pod.name}`);
      const marks = {
        podUid: uid,
        namespace: pod.namespace,
        podName: pod.name,
        trust: pod.trust ?? 'engine',
      } as const;
      const status = pod.status ?? 'running';
      const sandboxId = control.addContainer({
        name: `k8s_POD_${pod.name}_${pod.namespace}_${uid}_0`,
        image: 'pause',
        networkMode: 'none',
        status,
        labels: { ...pod.labels },
        kubernetes: { kind: 'sandbox', ...marks },
      });
      const ids: Record<string, string> = {};
      for (const { k8sName, ...container } of pod.containers ?? []) {
        ids[k8sName] = control.addContainer({
          name: `k8s_${k8sName}_${pod.name}_${pod.namespace}_${uid}_0`,
          status,
          networkMode: `container:${sandboxId}`,
          ...container,
          kubernetes: { kind: 'container', ...marks, containerName: k8sName, sandboxId },
        });
      }
      return { uid, sandboxId, containers: ids };
    },
    startContainer: (id) => {
      const held = findById(id);
      setStatus(held, 'running');
      changed(held, 'started');
    },
    pauseContainer: (id) => {
      const held = findById(id);
      setStatus(held, 'paused');
      changed(held, 'paused');
    },
    resumeContainer: (id) => {
      const held = findById(id);
      setStatus(held, 'running');
      changed(held, 'resumed');
    },
    stopContainer: (id, exitCode = 0) => {
      const held = findById(id);
      setStatus(held, 'exited');
      held.exitCode = exitCode;
      changed(held, 'exited');
    },
    removeContainer: (id) => {
      const held = findById(id);
      if (held.pid !== 0) control.stopContainer(id, 137);
      containers.delete(id);
      changed(held, 'removed');
    },
    emit: tell,
    setEvents: (mode) => {
      eventsMode = mode;
      if (mode === 'hold') return;
      for (const event of heldEvents.splice(0)) tell(event);
    },
    endEvents: () => endFeeds(unavailable()),
    goAway: () => {
      engineLife.abort();
      endFeeds(unavailable());
    },
    comeBack: () => {
      if (engineLife.signal.aborted) engineLife = new AbortController();
    },
    delay: (call, delayMs) => {
      delays.set(call, delayMs);
    },
    hold: (call, { times = Number.POSITIVE_INFINITY, containerId } = {}) => {
      const key = containerId === undefined ? call : detailsKey(containerId);
      let release!: () => void;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const hold = { released, left: times };
      const all = holds.get(key) ?? new Set();
      holds.set(key, all.add(hold));
      return () => {
        all.delete(hold);
        release();
      };
    },
    fail: (call, error, { times = Number.POSITIVE_INFINITY, containerId } = {}) => {
      const key = containerId === undefined ? call : detailsKey(containerId);
      if (error === undefined) failures.delete(key);
      else failures.set(key, { error, left: times });
    },
  };
  for (const container of options.containers ?? []) control.addContainer(container);

  const definition: EngineDefinition = {
    contractVersion: ENGINE_CONTRACT_VERSION,
    type,
    packageName: '@crikit/engine-conformance',
    packageVersion: '1.0.0',
    possibleFeatures: [...(withEvents ? (['events'] as const) : []), ...(withArchive ? (['archive'] as const) : [])],
    probe: async ({ signal }) => {
      const attempt = { endpoint: engineId, origin: 'option' } as const;
      try {
        await serve('probe', signal, () => {});
        const message = 'The in-memory engine answers.';
        return {
          status: 'available',
          version: '1.0.0',
          attempts: [{ ...attempt, step: 'done', outcome: 'ok', message }],
        };
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        return {
          status: 'failed',
          attempts: [{ ...attempt, step: 'connect', outcome: 'failed', code: 'ECONNREFUSED', message }],
        };
      }
    },
    connect: async ({ signal }) => await serve('connect', signal, () => driver),
  };
  return { definition, control };
}

function detailsKey(containerId: string): string {
  return `details of ${containerId}`;
}

function podUid(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

function aborted(): OperationAbortedError {
  return new OperationAbortedError('The call to the in-memory engine was aborted.', { applied: 'no' });
}

async function raceSignal(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw aborted();
  let onAbort!: () => void;
  const abortion = new Promise<never>((_, reject) => {
    onAbort = () => reject(aborted());
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([work, abortion]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
