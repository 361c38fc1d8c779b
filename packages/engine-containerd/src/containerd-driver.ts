import { setMaxListeners } from 'node:events';
import { access, readFile, readlink } from 'node:fs/promises';
import { posix } from 'node:path';
import {
  ContainerNotRunningError,
  type ContainerReference,
  type ContainerRoot,
  type ContainerSummary,
  type CrikitError,
  type DetailOutcome,
  type DriverExecRequest,
  type EngineContext,
  type EngineDriver,
  EngineTimeoutError,
  EngineUnavailableError,
  type ExecField,
  type ExecHandle,
  hostPath,
  isContainerNotRunningError,
  isPathNotFoundError,
  linkSignals,
  NoSuchContainerError,
  openContainerRoot,
  type ProbeAttempt,
  ProtocolError,
  UnsupportedError,
} from '@crikit/core';
import { createContainerMemory } from './container-memory.js';
import { type ContainerRecord, createContainerRecords } from './container-records.js';
import { type ExecUser, isNumericUser, resolveUser, type UserFiles } from './container-users.js';
import { type ContainerdClient, createContainerdClient } from './containerd-client.js';
import { openContainerdEvents } from './containerd-events.js';
import { startContainerdExec } from './containerd-exec.js';
import { type ContainerdOptions, DEFAULT_NAMESPACES } from './containerd-options.js';
import {
  convertContainerdDetail,
  convertContainerdSummary,
  findStateDirectory,
  type KnownContainer,
} from './convert-containerd-container.js';
import { createExecFifos, type ExecFifos } from './exec-fifos.js';
import { Containers } from './generated/containers_pb.js';
import { createStartLimits } from './limit-starts.js';
import { getTask, isAlive, listTasks, type TaskLook } from './list-tasks.js';
import { codeOf, grpcStatus, mapContainerdError } from './map-containerd-error.js';
import { probeContainerdEndpoints } from './probe-containerd.js';
import { readContainerdSource, readStoredSandboxSource } from './read-containerd-source.js';
import { createStoredSandboxes, type StoredSandbox } from './stored-sandboxes.js';

/** containerd 1.6 stalls for minutes when one shim has to start more at once. */
const parallelStartsPerSandbox = 8;
const parallelExecStarts = 64;
const parallelDetails = 32;
/** From this many on, one list is cheaper than looking each up. */
const listFrom = 9;
const closeDeadlineMs = 2_000;
const largestUserFileBytes = 1024 * 1024;

const execFields: ReadonlySet<ExecField> = new Set(['user', 'workingDir', 'env', 'tty', 'stdin']);

/** Connects to the first endpoint that answers. Rejects with what was tried when none does. */
export async function connectContainerd(options: ContainerdOptions, context: EngineContext): Promise<EngineDriver> {
  const probed = await probeContainerdEndpoints(options, context);
  const found = probed.find(({ attempt }) => attempt.outcome === 'ok');
  if (found === undefined) throw noEndpoint(probed.map(({ attempt }) => attempt));
  const { path } = found.endpoint;
  const engine = `containerd:${path}`;
  const fifos = await createExecFifos({
    engine,
    directory: options.fifoDirectory ?? posix.join(pathOnNode(posix.dirname(path), context.hostRoot), 'fifo'),
    hostRoot: context.hostRoot,
    logger: context.logger,
  });
  return createContainerdDriver({
    client: createContainerdClient(path),
    engine,
    version: found.version,
    socketPath: path,
    namespaces: options.namespaces ?? DEFAULT_NAMESPACES,
    hostRoot: context.hostRoot,
    fifos,
  });
}

export interface ContainerdDriverParts {
  readonly client: ContainerdClient;
  readonly engine: string;
  readonly version: string | undefined;
  /** As this process sees it. */
  readonly socketPath: string;
  readonly namespaces: readonly string[];
  readonly hostRoot: string;
  readonly fifos: ExecFifos;
}

/** A container, or why there is none. */
type Lookup = KnownContainer | { readonly error: CrikitError };

export function createContainerdDriver(parts: ContainerdDriverParts): EngineDriver {
  const { client, engine, namespaces, hostRoot, fifos } = parts;
  const records = createContainerRecords();
  const sandboxes = createStoredSandboxes(client);
  const memory = createContainerMemory();
  const limitStarts = createStartLimits(parallelStartsPerSandbox);
  const closing = new AbortController();
  // One listener for each exec that runs is no leak.
  setMaxListeners(0, closing.signal);
  const background = new Set<Promise<unknown>>();
  const [defaultScope = ''] = namespaces;
  /** Namespaces in which a shim was silent at the last look. */
  const hanging = new Set<string>();
  let stateDirectory: string | undefined;

  const know = (record: ContainerRecord, task: TaskLook): KnownContainer => {
    const { namespace, id } = record;
    if (task === 'none') memory.onSeenWithoutTask(namespace, id);
    else if (task !== 'silent' && isAlive(task)) memory.onSeenAlive(namespace, id);
    return { record, task, memory: memory.recall(namespace, id) };
  };

  const listNamespace = async (namespace: string, signal: AbortSignal): Promise<KnownContainer[]> => {
    const work = linkSignals([signal]);
    try {
      return await readNamespace(namespace, work.signal);
    } finally {
      work.unlink();
      work.abort();
    }
  };

  const readNamespace = async (namespace: string, signal: AbortSignal): Promise<KnownContainer[]> => {
    const listed = client.call(Containers.method.list, {}, { namespace, signal });
    const tasksListed = listTasks(client, namespace, signal, hanging.has(namespace));
    const sandboxesListed = sandboxes.list(namespace, signal);
    sandboxesListed.catch(() => {});
    const { containers } = await listed;
    const ids = containers.map(({ id }) => id);
    const tasks = await tasksListed.of(ids);
    if ([...tasks.values()].includes('silent')) hanging.add(namespace);
    else hanging.delete(namespace);
    const present = new Set(ids);
    const onlyStored = (await sandboxesListed).filter(({ container }) => !present.has(container.id));
    for (const { container } of onlyStored) present.add(container.id);
    records.keepOnly(namespace, present);
    memory.keepOnly(namespace, present);
    return [
      ...containers.map((container) => know(records.remember(namespace, container), tasks.get(container.id) ?? 'none')),
      ...(await Promise.all(onlyStored.map((stored) => knowStored(namespace, stored, signal)))),
    ];
  };

  const knowStored = async (
    namespace: string,
    { container, sandboxer }: StoredSandbox,
    signal: AbortSignal,
  ): Promise<KnownContainer> => {
    const task = await sandboxes.look(namespace, container.id, sandboxer, signal);
    return know(records.remember(namespace, container, sandboxer), task);
  };

  const listAll = async (signal: AbortSignal): Promise<KnownContainer[]> => {
    try {
      return (await Promise.all(namespaces.map((namespace) => listNamespace(namespace, signal)))).flat();
    } catch (error) {
      throw mapContainerdError(error, { engine, what: 'list containers', changes: false });
    }
  };

  const getRecord = async ({ scope, id }: ContainerReference, signal: AbortSignal): Promise<ContainerRecord> => {
    const { container } = await client.call(Containers.method.get, { id }, { namespace: scope, signal });
    if (container === undefined) throw noSuchContainer(engine, id);
    return records.remember(scope, container);
  };

  const lookUp = async (reference: ContainerReference, signal: AbortSignal): Promise<Lookup> => {
    const { scope, id } = reference;
    try {
      const [record, task] = await Promise.all([getRecord(reference, signal), getTask(client, scope, id, signal)]);
      return know(record, task);
    } catch (error) {
      if (codeOf(error) === grpcStatus.notFound) {
        const stored = await sandboxes.find(scope, id, signal).catch(() => undefined);
        if (stored !== undefined) return knowStored(scope, stored, signal);
        records.forget(scope, id);
      }
      return { error: mapContainerdError(error, { engine, what: `inspect container ${id}`, changes: false }) };
    }
  };

  const lookUpMany = async (references: readonly ContainerReference[], signal: AbortSignal): Promise<Lookup[]> => {
    if (references.length < listFrom) return Promise.all(references.map((reference) => lookUp(reference, signal)));
    const scopes = [...new Set(references.map(({ scope }) => scope))];
    const listed = await Promise.all(scopes.map((scope) => listNamespace(scope, signal))).catch((error: unknown) => {
      throw mapContainerdError(error, { engine, what: 'inspect containers', changes: false });
    });
    const known = new Map(
      listed.flat().map((container) => [keyOf(container.record.namespace, container.record.id), container]),
    );
    return references.map(({ scope, id }) => known.get(keyOf(scope, id)) ?? { error: noSuchContainer(engine, id) });
  };

  const sandboxOf = async (
    { namespace, cri }: ContainerRecord,
    signal: AbortSignal,
  ): Promise<ContainerRecord | undefined> => {
    if (cri?.sandboxId === undefined) return undefined;
    const known = records.find(namespace, cri.sandboxId);
    if (known !== undefined) return known;
    try {
      return await getRecord({ scope: namespace, id: cri.sandboxId }, signal);
    } catch {
      const stored = await sandboxes.find(namespace, cri.sandboxId, signal).catch(() => undefined);
      return stored === undefined ? undefined : records.remember(namespace, stored.container, stored.sandboxer);
    }
  };

  const findState = async (known: KnownContainer): Promise<string | undefined> => {
    stateDirectory ??=
      findStateDirectory(known.record) ??
      (await findStateOfShim(known, hostRoot)) ??
      (await findStateBesideSocket(known, parts.socketPath, hostRoot));
    return stateDirectory;
  };

  const detailOf = async (
    lookup: Lookup,
    reference: ContainerReference,
    signal: AbortSignal,
  ): Promise<DetailOutcome> => {
    if ('error' in lookup) return { reference, error: lookup.error };
    if (lookup.task === 'silent') {
      const error = new EngineTimeoutError(`The shim of container ${reference.id} does not answer.`, {
        engine,
        applied: 'no',
        retryable: true,
        remedy: 'Look whether its containerd-shim process hangs.',
      });
      return { reference, error };
    }
    const sandbox = await sandboxOf(lookup.record, signal);
    return { reference, detail: convertContainerdDetail(lookup, sandbox, await findState(lookup)) };
  };

  const userOf = async (wanted: string, record: ContainerRecord, signal: AbortSignal): Promise<ExecUser> => {
    const about = { engine, container: record.id };
    const own = record.spec.process?.user;
    // The default of every exec: worth no look into the container's files.
    if (wanted === '0') {
      return { uid: 0, gid: 0, additionalGids: own?.uid === 0 ? (own.additionalGids ?? [0]) : [0] };
    }
    const files = await readUserFiles(record, signal).catch((error: unknown) => {
      if (isNumericUser(wanted)) return { passwd: undefined, group: undefined };
      if (isContainerNotRunningError(error)) throw error;
      throw new UnsupportedError(`Could not look up user '${wanted}' in container ${record.id}: ${messageOf(error)}.`, {
        engine,
        applied: 'no',
        cause: error,
        remedy: 'Give the user by number, or let the agent see the node’s /proc and read other processes’ roots.',
      });
    });
    return resolveUser(wanted, files, about);
  };

  const readUserFiles = async (record: ContainerRecord, signal: AbortSignal): Promise<UserFiles> => {
    const task = await getTask(client, record.namespace, record.id, signal);
    if (typeof task === 'string' || !isAlive(task)) {
      throw new ContainerNotRunningError(`Container ${record.id} is not running.`, { engine, applied: 'no' });
    }
    const root = await openContainerRoot({ hostRoot, containerId: record.id, pid: task.pid });
    try {
      return {
        passwd: await readUserFile(root, '/etc/passwd', signal),
        group: await readUserFile(root, '/etc/group', signal),
      };
    } finally {
      await root.close();
    }
  };

  const refuseSandbox = async ({ scope, id }: ContainerReference, what: string, signal: AbortSignal): Promise<void> => {
    if ((await sandboxes.find(scope, id, signal).catch(() => undefined)) === undefined) return;
    throw new UnsupportedError(
      `Could not ${what}: it is a pod's sandbox, and of its runtime those are no containers.`,
      {
        engine,
        applied: 'no',
        remedy: 'Run it in one of the containers of the pod.',
      },
    );
  };

  const startExec = async (
    reference: ContainerReference,
    request: DriverExecRequest,
    signal: AbortSignal,
  ): Promise<ExecHandle> => {
    const what = `start ${JSON.stringify(request.cmd[0])} in container ${reference.id}`;
    let current: Promise<ContainerRecord> | undefined;
    const confirm = (): Promise<ContainerRecord> => {
      current ??= getRecord(reference, signal).catch(async (error: unknown) => {
        if (codeOf(error) === grpcStatus.notFound) await refuseSandbox(reference, what, signal);
        throw mapContainerdError(error, { engine, what, changes: false });
      });
      return current;
    };
    const record = records.find(reference.scope, reference.id) ?? (await confirm());
    if (request.stdin && fifos.kind === 'file') {
      throw new UnsupportedError(`Could not ${what}: without a program that makes pipes there is no stdin.`, {
        engine,
        applied: 'no',
        remedy: 'Install `mkfifo` (coreutils or busybox) beside the agent.',
      });
    }
    const context = {
      client,
      engine,
      fifos,
      limitStarts,
      closing: closing.signal,
      background(work: Promise<unknown>) {
        const kept = work.catch(() => {}).finally(() => background.delete(kept));
        background.add(kept);
      },
    };
    const start = async (of: ContainerRecord): Promise<ExecHandle | undefined> => {
      const user = await userOf(request.user ?? '0', of, signal).catch(async (error: unknown) => {
        await confirm();
        throw mapContainerdError(error, { engine, what, changes: false });
      });
      return startContainerdExec(context, of, confirm, user, request, signal);
    };
    const handle = (await start(record)) ?? (await start(await confirm()));
    if (handle !== undefined) return handle;
    throw new ProtocolError(`Could not ${what}: the container changes all the time.`, {
      engine,
      applied: 'no',
      retryable: true,
    });
  };

  return {
    id: engine,
    ...(parts.version === undefined ? {} : { version: parts.version }),
    containerIdSchemes: ['containerd'],
    locality: 'this-kernel',
    limits: { parallelDetails, parallelExecStarts },
    execFields,
    defaultScope,

    async listAllContainers({ signal }): Promise<readonly ContainerSummary[]> {
      return (await listAll(signal)).map(convertContainerdSummary);
    },

    async getContainerDetails(of, { signal }) {
      // Every look-up listens to it.
      setMaxListeners(0, signal);
      if (of === 'all') {
        const known = await listAll(signal);
        return Promise.all(
          known.map((container) => {
            const { namespace: scope, id } = container.record;
            return detailOf(container, { scope, id }, signal);
          }),
        );
      }
      const lookups = await lookUpMany(of, signal);
      return Promise.all(
        of.map((reference, index) => {
          const lookup = lookups[index] ?? { error: noSuchContainer(engine, reference.id) };
          return detailOf(lookup, reference, signal);
        }),
      );
    },

    async getSource({ scope, id }, { signal }) {
      return readContainerdSource(client, scope, id, signal).catch(async (error: unknown) => {
        if (codeOf(error) === grpcStatus.notFound) {
          const stored = await readStoredSandboxSource(client, scope, id, signal).catch(() => undefined);
          if (stored !== undefined) return stored;
        }
        throw mapContainerdError(error, { engine, what: `inspect container ${id}`, changes: false });
      });
    },

    startExec: (of, request, { signal }) => startExec(of, request, signal),

    features: {
      events: {
        openEvents: (onEvent, call) => openContainerdEvents({ client, engine, namespaces, memory }, onEvent, call),
      },
    },

    async [Symbol.asyncDispose]() {
      closing.abort();
      let timer: NodeJS.Timeout | undefined;
      await Promise.race([
        Promise.all(background),
        new Promise((resolve) => {
          timer = setTimeout(resolve, closeDeadlineMs);
        }),
      ]);
      clearTimeout(timer);
      client.close();
      await fifos.close();
    },
  };
}

/** Undefined when it is not there. */
async function readUserFile(root: ContainerRoot, path: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await root.readFile(path, { maxBytes: largestUserFileBytes, signal })).toString();
  } catch (error) {
    if (isPathNotFoundError(error)) return undefined;
    throw error;
  }
}

function keyOf(namespace: string, id: string): string {
  return `${namespace}/${id}`;
}

function noSuchContainer(engine: string, id: string): NoSuchContainerError {
  return new NoSuchContainerError(`There is no container ${id}.`, { engine, applied: 'no' });
}

/** The node's own name of a path that this process may see below the host root. */
function pathOnNode(path: string, hostRoot: string): string {
  const root = posix.normalize(hostRoot).replace(/\/+$/, '');
  return root !== '' && path.startsWith(`${root}/`) ? path.slice(root.length) : path;
}

/** A shim works in the folder of the first container that it had to serve, inside the daemon's state directory. */
async function findStateOfShim({ record, task }: KnownContainer, hostRoot: string): Promise<string | undefined> {
  // In another mount namespace the kernel shows other names for the same folders.
  if (typeof task === 'string' || hostRoot !== '/') return undefined;
  try {
    const status = await readFile(`/proc/${task.pid}/status`, 'utf8');
    const shim = /^PPid:\s*(\d+)$/m.exec(status)?.[1];
    const folder = await readlink(`/proc/${shim}/cwd`);
    const [, state, namespace] = /^(\/.+)\/io\.containerd\.runtime\.v2\.task\/([^/]+)\/[^/]+$/.exec(folder) ?? [];
    return namespace === record.namespace ? state : undefined;
  } catch {
    return undefined;
  }
}

async function findStateBesideSocket(
  { record, task }: KnownContainer,
  socketPath: string,
  hostRoot: string,
): Promise<string | undefined> {
  if (typeof task === 'string') return undefined;
  const state = pathOnNode(posix.dirname(socketPath), hostRoot);
  const folder = posix.join(state, 'io.containerd.runtime.v2.task', record.namespace, record.id);
  try {
    await access(hostPath(hostRoot, folder));
    return state;
  } catch {
    return undefined;
  }
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
}

function noEndpoint(attempts: readonly ProbeAttempt[]): EngineUnavailableError {
  const tried = attempts.map(({ message, remedy }) => (remedy === undefined ? message : `${message} ${remedy}`));
  return new EngineUnavailableError(`No containerd answers. Tried: ${tried.join(' ')}`, {
    engine: 'containerd',
    applied: 'no',
    retryable: true,
    remedy: 'Start containerd, or give `address`.',
  });
}
