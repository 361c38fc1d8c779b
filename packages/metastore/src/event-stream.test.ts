import type { Container } from '@crikit/core';
import { expect, test } from 'vitest';
import { createEventStreams } from './event-stream.js';
import { listEvents } from './list-events.js';
import type { MetaStoreEvent } from './meta-store-event.js';
import { emptySnapshot, nextSnapshot, type Snapshot, type SnapshotChange } from './snapshot.js';

function makeContainer(name: string, pid = 1): Container {
  return {
    engineId: 'memory:1',
    engineType: 'memory',
    scope: '',
    id: name,
    shortId: name,
    name,
    state: { status: 'running', pid },
    labels: {},
    env: {},
    mounts: [],
    withheld: {},
  };
}

function makeStreams() {
  let snapshot: Snapshot = emptySnapshot;
  const streams = createEventStreams(() => snapshot);
  const put = (...containers: Container[]): void => {
    const change: SnapshotChange = {
      pods: new Map(),
      containers: new Map(containers.map((container) => [container.id, container])),
    };
    const previous = snapshot;
    snapshot = nextSnapshot(previous, change, 1);
    streams.publish(listEvents(previous, snapshot, change, {}));
  };
  return { streams, put, current: () => snapshot };
}

function describeResult(result: IteratorResult<MetaStoreEvent>): string {
  if (result.done === true) return 'done';
  const event = result.value;
  if (event.type === 'resync') return `resync ${event.containers.map(({ name }) => name).join(' ')}`;
  return `${event.type} ${'container' in event ? event.container.name : event.pod.name}`;
}

test('a reader gets what exists, then changes, also those from before it began to read', async () => {
  const { streams, put } = makeStreams();
  put(makeContainer('a'));
  const reader = streams.open({});
  put(makeContainer('b'));
  const asked = [reader.next(), reader.next(), reader.next()];
  put(makeContainer('a', 2));
  expect((await Promise.all(asked)).map(describeResult)).toEqual([
    'container-added a',
    'container-added b',
    'container-changed a',
  ]);
});

test('a reader that is too slow gets one resync with the whole state, then goes on', async () => {
  const { streams, put, current } = makeStreams();
  put(makeContainer('a'));
  const reader = streams.open({ maxWaiting: 3 });
  expect(describeResult(await reader.next())).toBe('container-added a');
  for (let pid = 2; pid < 10_000; pid += 1) put(makeContainer('a', pid));
  put(makeContainer('b'));
  const resync = await reader.next();
  expect(describeResult(resync)).toBe('resync a b');
  expect((resync.value as { containers: unknown }).containers).toBe(current().containers);
  put(makeContainer('c'));
  expect(describeResult(await reader.next())).toBe('container-added c');
});

test('a reader that is overrun before it has read the present state gets the resync alone', async () => {
  const { streams, put } = makeStreams();
  put(makeContainer('a'), makeContainer('b'));
  const reader = streams.open({ maxWaiting: 1 });
  for (let pid = 2; pid < 6; pid += 1) put(makeContainer('a', pid));
  expect(describeResult(await reader.next())).toBe('resync a b');
});

test('one large change does not overrun a reader that keeps up', async () => {
  const { streams, put } = makeStreams();
  const reader = streams.open({ maxWaiting: 1 });
  const first = reader.next();
  put(...Array.from({ length: 50 }, (_, number) => makeContainer(`c${number}`)));
  expect(describeResult(await first)).toBe('container-added c0');
  for (let number = 1; number < 50; number += 1) {
    expect(describeResult(await reader.next())).toBe(`container-added c${number}`);
  }
});

test('a slow reader does not hold back a quick one', async () => {
  const { streams, put } = makeStreams();
  streams.open({ maxWaiting: 1 });
  const quick = streams.open({ maxWaiting: 1 });
  for (let pid = 1; pid < 20; pid += 1) {
    const next = quick.next();
    put(makeContainer('a', pid));
    expect(describeResult(await next)).toBe(pid === 1 ? 'container-added a' : 'container-changed a');
  }
});

test('an abort ends a waiting reader at once, and drops what it has not read', async () => {
  const { streams, put } = makeStreams();
  const controller = new AbortController();
  const reader = streams.open({ signal: controller.signal });
  const waiting = reader.next();
  controller.abort();
  expect(describeResult(await waiting)).toBe('done');
  put(makeContainer('a'));
  expect(describeResult(await reader.next())).toBe('done');
  expect(describeResult(await streams.open({ signal: AbortSignal.abort() }).next())).toBe('done');
});

test('close lets a reader finish what waits for it', async () => {
  const { streams, put } = makeStreams();
  const reader = streams.open({});
  put(makeContainer('a'));
  streams.close();
  expect(describeResult(await reader.next())).toBe('container-added a');
  expect(describeResult(await reader.next())).toBe('done');
});

test('leaving the loop ends the reader', async () => {
  const { streams, put } = makeStreams();
  put(makeContainer('a'));
  const reader = streams.open({});
  for await (const event of reader) {
    expect(event.type).toBe('container-added');
    break;
  }
  expect(describeResult(await reader.next())).toBe('done');
});
