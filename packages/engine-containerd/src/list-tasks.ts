import { setMaxListeners } from 'node:events';
import type { ContainerdClient } from './containerd-client.js';
import { type Process, Tasks } from './generated/tasks_pb.js';
import { codeOf, grpcStatus } from './map-containerd-error.js';
import { withDeadline } from './with-deadline.js';

/** The states of a task. */
export const taskStatus = { unknown: 0, created: 1, running: 2, stopped: 3, paused: 4, pausing: 5 } as const;

/** A container's task as the daemon shows it; `silent` when its shim did not answer in time. */
export type TaskLook = Process | 'none' | 'silent';

/** The longest that a shim which hangs may hold up the answer about all others. */
const totalDeadlineMs = 1_000;
/** containerd asks the shims one after the other: after this, they are asked one by one beside it. */
const hedgeAfterMs = 500;
const parallelGets = 128;

/**
 * The tasks of the given containers, in one call when every shim answers. Rejects when the daemon itself does not.
 * `hedgeAtOnce`: a shim is known to hang, so that nothing is gained by waiting for the one call.
 */
export async function listTasks(
  client: ContainerdClient,
  namespace: string,
  ids: readonly string[],
  signal: AbortSignal,
  hedgeAtOnce: boolean,
): Promise<Map<string, TaskLook>> {
  return withDeadline(signal, totalDeadlineMs, async (limited) => {
    const stop = new AbortController();
    const both = AbortSignal.any([limited, stop.signal]);
    // Every look-up listens to it.
    setMaxListeners(0, both);
    const list = client.call(Tasks.method.list, {}, { namespace, signal: both }).then(({ tasks }) => {
      // `container_id` is always empty here.
      const found = new Map<string, TaskLook>(tasks.map((task) => [task.id, task]));
      return new Map(ids.map((id) => [id, found.get(id) ?? 'none']));
    });
    list.catch(() => {});
    try {
      const early = hedgeAtOnce ? undefined : await within(list, hedgeAfterMs);
      if (early !== undefined) return early;
      const oneByOne = getTasks(client, namespace, ids, both, signal);
      oneByOne.catch(() => {});
      return await Promise.any([list, oneByOne]);
    } catch (error) {
      if (error instanceof AggregateError) throw error.errors.at(-1);
      throw error;
    } finally {
      stop.abort();
    }
  });
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
