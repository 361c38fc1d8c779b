import { create } from '@bufbuild/protobuf';
import { withDeadline } from '@crikit/core';
import { parseJson } from './container-records.js';
import type { ContainerdClient } from './containerd-client.js';
import { type Container, ContainerSchema } from './generated/containers_pb.js';
import { Controller, type Sandbox, Store } from './generated/sandbox-store_pb.js';
import { ProcessSchema } from './generated/tasks_pb.js';
import { type TaskLook, taskStatus } from './list-tasks.js';
import { codeOf, grpcStatus, isConnectionLost } from './map-containerd-error.js';

/** A pod sandbox of the store that containerd has since 1.7; those of some runtimes are no containers. */
export interface StoredSandbox {
  /** As if it were a container. */
  readonly container: Container;
  /** What runs it. */
  readonly sandboxer: string;
}

export interface StoredSandboxes {
  /** Those of a namespace; none where the daemon has no such store. Rejects when the signal aborts. */
  list(namespace: string, signal: AbortSignal): Promise<readonly StoredSandbox[]>;
  /** Undefined when it is unknown, or there is no store. */
  find(namespace: string, id: string, signal: AbortSignal): Promise<StoredSandbox | undefined>;
  /** Its process, as a task; `none` when the daemon does not say. */
  look(namespace: string, id: string, sandboxer: string, signal: AbortSignal): Promise<TaskLook>;
}

const deadlineMs = 1_000;

export function createStoredSandboxes(client: ContainerdClient): StoredSandboxes {
  let isAbsent = false;
  /** What a list that fails is answered with: nothing has gone because the store is silent. */
  const last = new Map<string, readonly StoredSandbox[]>();
  const ask = async <Value>(
    signal: AbortSignal,
    run: (limited: AbortSignal) => Promise<Value>,
    otherwise: Value,
  ): Promise<Value> => {
    if (isAbsent) return otherwise;
    try {
      return await withDeadline(signal, deadlineMs, run);
    } catch (error) {
      if (signal.aborted || isConnectionLost(error)) throw error;
      if (codeOf(error) === grpcStatus.unimplemented) isAbsent = true;
      return otherwise;
    }
  };
  return {
    list: (namespace, signal) =>
      ask(
        signal,
        async (limited) => {
          const { list } = await client.call(Store.method.list, {}, { namespace, signal: limited });
          const found = list.map(convertSandbox);
          last.set(namespace, found);
          return found;
        },
        last.get(namespace) ?? [],
      ),
    find: (namespace, id, signal) =>
      ask(
        signal,
        async (limited) => {
          const request = { sandboxId: id };
          const { sandbox } = await client.call(Store.method.get, request, { namespace, signal: limited });
          return sandbox === undefined ? undefined : convertSandbox(sandbox);
        },
        undefined,
      ),
    async look(namespace, id, sandboxer, signal) {
      try {
        return await withDeadline(signal, deadlineMs, async (limited) => {
          const request = { sandboxId: id, sandboxer };
          const { pid, state } = await client.call(Controller.method.status, request, { namespace, signal: limited });
          const status = statusOfState.get(state);
          return status === undefined ? 'none' : create(ProcessSchema, { id, pid, status });
        });
      } catch (error) {
        if (signal.aborted || isConnectionLost(error)) throw error;
        return (error as { code?: unknown }).code === 'TIMEOUT' ? 'silent' : 'none';
      }
    },
  };
}

const statusOfState: ReadonlyMap<string, number> = new Map([
  ['SANDBOX_READY', taskStatus.running],
  ['SANDBOX_NOTREADY', taskStatus.stopped],
]);

function convertSandbox(sandbox: Sandbox): StoredSandbox {
  const { sandboxId: id, sandboxer, runtime, spec, labels, createdAt, updatedAt, extensions } = sandbox;
  const { metadata } = extensions;
  return {
    sandboxer,
    container: create(ContainerSchema, {
      id,
      labels: { ...labelsOfPod(metadata?.value), ...labels },
      ...(runtime === undefined
        ? {}
        : {
            runtime: { name: runtime.name, ...(runtime.options === undefined ? {} : { options: runtime.options }) },
          }),
      ...(spec === undefined ? {} : { spec }),
      ...(createdAt === undefined ? {} : { createdAt }),
      ...(updatedAt === undefined ? {} : { updatedAt }),
      // The same content as in the extension of a sandbox that is a container.
      extensions: metadata === undefined ? {} : { 'io.cri-containerd.sandbox.metadata': metadata },
    }),
  };
}

/** A sandbox that is a container has them as its own. */
function labelsOfPod(metadata: Uint8Array | undefined): Record<string, string> {
  const { Metadata } = (parseJson(metadata) ?? {}) as { Metadata?: { Config?: { labels?: unknown } } };
  const labels = Metadata?.Config?.labels;
  if (typeof labels !== 'object' || labels === null) return {};
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
