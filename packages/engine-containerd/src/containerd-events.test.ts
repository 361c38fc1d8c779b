import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createContainerMemory } from './container-memory.js';
import { convertContainerdEvent } from './containerd-events.js';
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
import { type Envelope, EnvelopeSchema } from './generated/events_pb.js';

const timeMs = 1_795_439_733_250;

function envelope<Schema extends DescMessage>(
  topic: string,
  schema: Schema,
  payload: MessageInitShape<Schema>,
): Envelope {
  return create(EnvelopeSchema, {
    topic,
    namespace: 'k8s.io',
    timestamp: timestampFromMs(timeMs),
    event: { typeUrl: schema.typeName, value: toBinary(schema, create(schema, payload)) },
  });
}

describe('events', () => {
  test.each([
    ['/containers/create', ContainerCreateSchema, { id: 'c' }, { action: 'created' }],
    ['/containers/update', ContainerUpdateSchema, { id: 'c' }, { action: 'updated' }],
    ['/containers/delete', ContainerDeleteSchema, { id: 'c' }, { action: 'removed' }],
    ['/tasks/start', TaskStartSchema, { containerId: 'c', pid: 7 }, { action: 'started' }],
    [
      '/tasks/exit',
      TaskExitSchema,
      { containerId: 'c', id: 'c', exitStatus: 137 },
      { action: 'exited', exitCode: 137 },
    ],
    ['/tasks/oom', TaskOOMSchema, { containerId: 'c' }, { action: 'out-of-memory' }],
    ['/tasks/paused', TaskPausedSchema, { containerId: 'c' }, { action: 'paused' }],
    ['/tasks/resumed', TaskResumedSchema, { containerId: 'c' }, { action: 'resumed' }],
  ] as const)('%s is told', (topic, schema, payload, expected) => {
    const told = convertContainerdEvent(envelope(topic, schema as DescMessage, payload), createContainerMemory());
    expect(told).toEqual({ reference: { scope: 'k8s.io', id: 'c' }, timeMs, ...expected });
  });

  test('the end of an exec is none', () => {
    const memory = createContainerMemory();
    const exit = envelope('/tasks/exit', TaskExitSchema, { containerId: 'c', id: 'exec-1', exitStatus: 0 });
    expect(convertContainerdEvent(exit, memory)).toBeUndefined();
    expect(memory.recall('k8s.io', 'c')).toEqual({});
  });

  test('payloads of another form, and other topics, are none', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('/tasks/exit', '/tasks/start', '/containers/create', '/x'),
        fc.uint8Array(),
        (topic, value) => {
          const event = create(EnvelopeSchema, { topic, namespace: 'n', event: { typeUrl: 'x', value } });
          const told = convertContainerdEvent(event, createContainerMemory());
          expect(told === undefined || typeof told.reference.id === 'string').toBe(true);
          if (topic === '/x') expect(told).toBeUndefined();
        },
      ),
    );
  });
});

describe('what is remembered', () => {
  test('is the creation until the start, then the start, then the end with its code', () => {
    const memory = createContainerMemory();
    const of = () => memory.recall('k8s.io', 'c');
    convertContainerdEvent(envelope('/containers/create', ContainerCreateSchema, { id: 'c' }), memory);
    expect(of()).toEqual({ created: true });
    convertContainerdEvent(envelope('/tasks/start', TaskStartSchema, { containerId: 'c' }), memory);
    const startedAt = new Date(timeMs).toISOString();
    expect(of()).toEqual({ startedAt });
    const exit = { containerId: 'c', id: 'c', exitStatus: 3 };
    convertContainerdEvent(envelope('/tasks/exit', TaskExitSchema, exit), memory);
    expect(of()).toEqual({ startedAt, exited: { exitCode: 3 } });
    memory.onSeenWithoutTask('k8s.io', 'c');
    expect(of()).toEqual({ startedAt, exited: { exitCode: 3 } });
    memory.onSeenAlive('k8s.io', 'c');
    expect(of()).toEqual({ startedAt });
    convertContainerdEvent(envelope('/containers/delete', ContainerDeleteSchema, { id: 'c' }), memory);
    expect(of()).toEqual({});
  });

  test('without events is the end of a task that was seen alive, without a code', () => {
    const memory = createContainerMemory();
    memory.onSeenWithoutTask('n', 'c');
    expect(memory.recall('n', 'c')).toEqual({});
    memory.onSeenAlive('n', 'c');
    memory.onSeenWithoutTask('n', 'c');
    expect(memory.recall('n', 'c')).toEqual({ exited: {} });
    memory.keepOnly('n', new Set());
    expect(memory.recall('n', 'c')).toEqual({});
  });
});
