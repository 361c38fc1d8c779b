import type { Any } from '@bufbuild/protobuf/wkt';
import { parseJson, toIsoTime } from './container-records.js';
import type { ContainerdClient } from './containerd-client.js';
import { Containers } from './generated/containers_pb.js';
import { Store } from './generated/sandbox-store_pb.js';
import { getTask, taskStatus } from './list-tasks.js';

/** A container and its task as containerd has them, with the JSON inside opened: plain data. Rejects like a call. */
export async function readContainerdSource(
  client: ContainerdClient,
  namespace: string,
  id: string,
  signal: AbortSignal,
): Promise<unknown> {
  const [{ container }, task] = await Promise.all([
    client.call(Containers.method.get, { id }, { namespace, signal }),
    getTask(client, namespace, id, signal),
  ]);
  if (container === undefined) throw new Error('an empty reply');
  const { createdAt, updatedAt, spec, extensions, runtime, sandbox } = container;
  return {
    id: container.id,
    namespace,
    labels: container.labels,
    image: container.image,
    runtime: {
      name: runtime?.name ?? '',
      ...(runtime?.options === undefined ? {} : { options: open(runtime.options) }),
    },
    ...(spec === undefined ? {} : { spec: parseJson(spec.value) }),
    extensions: Object.fromEntries(Object.entries(extensions).map(([key, value]) => [key, open(value)])),
    sandbox,
    createdAt: toIsoTime(createdAt),
    updatedAt: toIsoTime(updatedAt),
    ...(typeof task === 'string'
      ? { task }
      : {
          task: {
            pid: task.pid,
            status: Object.entries(taskStatus).find(([, value]) => value === task.status)?.[0] ?? task.status,
            stdin: task.stdin,
            stdout: task.stdout,
            stderr: task.stderr,
            terminal: task.terminal,
            exitStatus: task.exitStatus,
            exitedAt: toIsoTime(task.exitedAt),
          },
        }),
  };
}

/** A pod sandbox that is no container, as containerd has it. */
export async function readStoredSandboxSource(
  client: ContainerdClient,
  namespace: string,
  id: string,
  signal: AbortSignal,
): Promise<unknown> {
  const { sandbox } = await client.call(Store.method.get, { sandboxId: id }, { namespace, signal });
  if (sandbox === undefined) return undefined;
  const { spec, extensions, runtime, createdAt, updatedAt } = sandbox;
  return {
    id: sandbox.sandboxId,
    namespace,
    labels: sandbox.labels,
    runtime: {
      name: runtime?.name ?? '',
      ...(runtime?.options === undefined ? {} : { options: open(runtime.options) }),
    },
    ...(spec === undefined ? {} : { spec: parseJson(spec.value) }),
    extensions: Object.fromEntries(Object.entries(extensions).map(([key, value]) => [key, open(value)])),
    sandboxer: sandbox.sandboxer,
    createdAt: toIsoTime(createdAt),
    updatedAt: toIsoTime(updatedAt),
  };
}

function open({ typeUrl, value }: Any): unknown {
  return { typeUrl, value: parseJson(value) ?? Buffer.from(value).toString('base64') };
}
