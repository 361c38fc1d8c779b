import { randomBytes } from 'node:crypto';
import { fromBinary } from '@bufbuild/protobuf';
import { type Any, timestampMs } from '@bufbuild/protobuf/wkt';
import {
  type DriverCall,
  type EngineEvent,
  EngineUnavailableError,
  type EventFeed,
  linkSignals,
  OperationAbortedError,
} from '@crikit/core';
import type { ContainerMemory } from './container-memory.js';
import { toIsoTime } from './container-records.js';
import type { ContainerdClient } from './containerd-client.js';
import {
  ContainerCreateSchema,
  ContainerDeleteSchema,
  ContainerUpdateSchema,
  TaskExitSchema,
  TaskOOMSchema,
  TaskPausedSchema,
  TaskResumedSchema,
  TaskStartSchema,
} from './generated/event-payloads_pb.js';
import { type Envelope, Events } from './generated/events_pb.js';
import { mapContainerdError } from './map-containerd-error.js';

export interface EventsContext {
  readonly client: ContainerdClient;
  readonly engine: string;
  readonly namespaces: readonly string[];
  readonly memory: ContainerMemory;
}

const topics = '^/(tasks/(start|exit|oom|paused|resumed)|containers/(create|delete|update))$';
const markerPauseMs = 5;

/**
 * Subscribes, and resolves once an event of our own has come back: containerd begins to deliver some time after it has
 * taken the call, and repeats nothing.
 */
export async function openContainerdEvents(
  { client, engine, namespaces, memory }: EventsContext,
  onEvent: (event: EngineEvent) => void,
  { signal }: DriverCall,
): Promise<EventFeed> {
  const markerTopic = `/crikit/${randomBytes(12).toString('hex')}`;
  const [markerNamespace = 'k8s.io'] = namespaces;
  const filters = [
    ...namespaces.map((namespace) => `namespace==${namespace},topic~=${JSON.stringify(topics)}`),
    `topic==${JSON.stringify(markerTopic)}`,
  ];
  if (signal.aborted) {
    throw new OperationAbortedError('Subscribing to events was given up before it began.', {
      engine,
      applied: 'no',
      cause: signal.reason,
    });
  }
  const stream = client.stream(Events.method.subscribe, { filters });

  let markLive = (): void => {};
  const live = new Promise<void>((resolve) => {
    markLive = resolve;
  });
  let markEnded = (_end: Awaited<EventFeed['ended']>): void => {};
  const ended: EventFeed['ended'] = new Promise((resolve) => {
    markEnded = resolve;
  });
  let isDisposed = false;
  stream.on('data', (envelope: Envelope) => {
    if (envelope.topic === markerTopic) {
      markLive();
      return;
    }
    const event = convertContainerdEvent(envelope, memory);
    if (event !== undefined && !isDisposed) onEvent(event);
  });
  const lost = (cause: unknown): void => {
    if (isDisposed) markEnded({});
    else {
      markEnded({
        error:
          cause === undefined
            ? new EngineUnavailableError('The event stream of containerd ended.', {
                engine,
                retryable: true,
                applied: 'no',
              })
            : mapContainerdError(cause, { engine, what: 'follow its events', changes: false }),
      });
    }
  };
  stream.on('error', lost);
  stream.on('end', () => lost(undefined));
  const dispose = (): void => {
    isDisposed = true;
    markEnded({});
    stream.cancel();
  };

  const publishing = linkSignals([signal]);
  const aborted = new Promise<never>((_, reject) => {
    publishing.signal.addEventListener('abort', () => reject(publishing.signal.reason), { once: true });
  });
  aborted.catch(() => {});
  try {
    await Promise.race([
      live,
      ended.then(({ error }) => {
        throw error;
      }),
      publishUntilSeen(client, markerNamespace, markerTopic, publishing.signal),
      aborted,
    ]);
  } catch (error) {
    dispose();
    throw mapContainerdError(error, { engine, what: 'subscribe to events', changes: false });
  } finally {
    publishing.unlink();
    publishing.abort();
  }
  return {
    ended,
    async [Symbol.asyncDispose]() {
      dispose();
    },
  };
}

/** Never resolves; rejects when the daemon does not take the marker. */
async function publishUntilSeen(
  client: ContainerdClient,
  namespace: string,
  topic: string,
  signal: AbortSignal,
): Promise<never> {
  while (!signal.aborted) {
    const event = { typeUrl: 'containerd.events.ContainerUpdate', value: new Uint8Array() };
    try {
      await client.call(Events.method.publish, { topic, event }, { namespace, signal });
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, markerPauseMs));
  }
  return new Promise(() => {});
}

/** Undefined for what is no change of a container, such as the end of an exec. */
export function convertContainerdEvent(envelope: Envelope, memory: ContainerMemory): EngineEvent | undefined {
  const { topic, namespace: scope, event } = envelope;
  if (event === undefined) return undefined;
  const timeMs = envelope.timestamp === undefined ? Date.now() : Math.floor(timestampMs(envelope.timestamp));
  const told = (action: EngineEvent['action'], id: string, exitCode?: number): EngineEvent => ({
    action,
    reference: { scope, id },
    timeMs,
    ...(exitCode === undefined ? {} : { exitCode }),
  });
  try {
    return readEvent(topic, event, {
      told,
      onCreated: (id) => memory.onCreated(scope, id),
      onRemoved: (id) => memory.onRemoved(scope, id),
      onStarted: (id) => memory.onStarted(scope, id, toIsoTime(envelope.timestamp) ?? new Date(timeMs).toISOString()),
      onExited: (id, exitCode) => memory.onExited(scope, id, exitCode),
    });
  } catch {
    // A payload of another form tells nothing that could be passed on.
    return undefined;
  }
}

interface EventActions {
  told(action: EngineEvent['action'], id: string, exitCode?: number): EngineEvent;
  onCreated(id: string): void;
  onRemoved(id: string): void;
  onStarted(id: string): void;
  onExited(id: string, exitCode: number): void;
}

function readEvent(topic: string, { value }: Any, actions: EventActions): EngineEvent | undefined {
  const { told } = actions;
  switch (topic) {
    case '/containers/create': {
      const { id } = fromBinary(ContainerCreateSchema, value);
      actions.onCreated(id);
      return told('created', id);
    }
    case '/containers/update':
      return told('updated', fromBinary(ContainerUpdateSchema, value).id);
    case '/containers/delete': {
      const { id } = fromBinary(ContainerDeleteSchema, value);
      actions.onRemoved(id);
      return told('removed', id);
    }
    case '/tasks/start': {
      const { containerId } = fromBinary(TaskStartSchema, value);
      actions.onStarted(containerId);
      return told('started', containerId);
    }
    case '/tasks/exit': {
      const { containerId, id, exitStatus } = fromBinary(TaskExitSchema, value);
      // The end of an exec, not of the container.
      if (id !== containerId) return undefined;
      actions.onExited(containerId, exitStatus);
      return told('exited', containerId, exitStatus);
    }
    case '/tasks/oom':
      return told('out-of-memory', fromBinary(TaskOOMSchema, value).containerId);
    case '/tasks/paused':
      return told('paused', fromBinary(TaskPausedSchema, value).containerId);
    case '/tasks/resumed':
      return told('resumed', fromBinary(TaskResumedSchema, value).containerId);
    default:
      return undefined;
  }
}
