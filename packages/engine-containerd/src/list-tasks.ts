import { setMaxListeners } from 'node:events';
import { withDeadline } from '@crikit/core';
import type { ContainerdClient } from './containerd-client.js';
import { type Process, Tasks } from './generated/tasks_pb.js';
import { codeOf, grpcStatus, isConnectionLost } from './map-containerd-error.js';

/** The states of a task. */
export const taskStatus = { unknown: 0, created: 1, running: 2, stopped: 3, paused: 4, pausing: 5 } as const;

/** A container's task as the daemon shows it; `silent` when its shim did not answer in time. */
export type TaskLook = Process | 'none' | 'silent';

/** The longest that a shim which hangs may hold up the answer about all others. */
const totalDeadlineMs = 1_000;
/** containerd asks the shims one after the other: after this, they are asked one by one beside it. */
const hedgeAfterMs = 500;
const parallelGets = 128;

export interface TaskList {
  /** The tasks of the given containers. Rejects when the daemon itself does not answer. */
  of(ids: readonly string[]): Promise<Map<string, TaskLook>>;
}

/**
 * Asks for all tasks of a namespace in one call, at once; whose they are may be learnt meanwhile. `hedgeAtOnce`: a shim
 * is known to hang, so that nothing is gained by waiting for the one call. Whoever aborts the signal afterwards ends
 * what may still be under way.
 */
export function listTasks(
  client: ContainerdClient,
  namespace: string,
  signal: AbortSignal,
  hedgeAtOnce: boolean,
): TaskList {
  const startedAt = performance.now();
  const list = client.call(Tasks.method.list, {}, { namespace, signal }).then(
    // `container_id` is always empty here.
    ({ tasks }) => new Map<string, TaskLook>(tasks.map((task) => [task.id, task])),
  );
  // One strange shim may fail the whole call.
  const listOrNothing = list.catch((error: unknown) => {
    if (signal.aborted || isConnectionLost(error)) throw error;
    return undefined;
  });
  listOrNothing.catch(() => {});
  return {
    async of(ids) {
      const spentMs = (): number => performance.now() - startedAt;
      const early = await within(listOrNothing, hedgeAtOnce ? 0 : Math.max(0, hedgeAfterMs - spentMs()));
      if (early !== undefined || ids.length === 0) return early ?? new Map();
      return withDeadline(
        signal,
        Math.max(totalDeadlineMs - hedgeAfterMs, totalDeadlineMs - spentMs()),
        async (limited) => {
          // Every look-up listens to it.
          setMaxListeners(0, limited);
          const oneByOne = getTasks(client, namespace, ids, limited, signal);
          oneByOne.catch(() => {});
          try {
            return await Promise.any([list, oneByOne]);
          } catch (error) {
            throw error instanceof AggregateError ? error.errors.at(-1) : error;
          }
        },
      );
    },
  };
}

/** One container's task, `silent` after the same time. */
export async function getTask(
  client: ContainerdClient,
  namespace: string,
  id: string,
  signal: AbortSignal,
): Promise<TaskLook> {
  return withDeadline(signal, totalDeadlineMs, (limited) => getOne(client, namespace, id, limited, signal));
}

/** True for a task whose container has a process. */
export function isAlive(task: Process): boolean {
  return task.status === taskStatus.running || task.status === taskStatus.paused || task.status === taskStatus.pausing;
}

async function getTasks(
  client: ContainerdClient,
  namespace: string,
  ids: readonly string[],
  signal: AbortSignal,
  callerSignal: AbortSignal,
): Promise<Map<string, TaskLook>> {
  const looks = new Map<string, TaskLook>();
  const waiting = [...ids];
  // Those that hang keep their places, so there must be more places than a few pods have containers.
  const work = async (): Promise<void> => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      looks.set(id, await getOne(client, namespace, id, signal, callerSignal));
    }
  };
  await Promise.all(Array.from({ length: parallelGets }, work));
  return looks;
}

async function getOne(
  client: ContainerdClient,
  namespace: string,
  id: string,
  signal: AbortSignal,
  callerSignal: AbortSignal,
): Promise<TaskLook> {
  try {
    const { process } = await client.call(Tasks.method.get, { containerId: id }, { namespace, signal });
    return process ?? 'none';
  } catch (error) {
    if (callerSignal.aborted) throw error;
    if (signal.aborted) return 'silent';
    const code = codeOf(error);
    if (code === grpcStatus.notFound) return 'none';
    // The shim's own connection is gone or late; the daemon's would be noticed by the other call.
    if (code === grpcStatus.deadlineExceeded || code === grpcStatus.unknown) return 'silent';
    throw error;
  }
}

async function within<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
