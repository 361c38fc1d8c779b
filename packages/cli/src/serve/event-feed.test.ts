import { EventEmitter } from 'node:events';
import { afterEach, expect, test, vi } from 'vitest';
import { createEventFeed, type EventFeed, type EventFeedOptions, type EventResponse } from './event-feed.js';
import { type ServeFixture, startServeFixture } from './serve-fixture.js';

interface Told {
  readonly name: string;
  readonly data: {
    readonly sequence: number;
    readonly container?: { readonly id: string; readonly state: { readonly status: string } };
    readonly containers?: readonly { readonly id: string }[];
    readonly ready?: boolean;
  };
}

/** A reader that takes nothing while `isSlow`. */
class FakeResponse extends EventEmitter implements EventResponse {
  readonly told: Told[] = [];
  readonly comments: string[] = [];
  isSlow = false;
  isEnded = false;
  isDestroyed = false;

  write(text: string): boolean {
    const name = /^event: (.*)$/m.exec(text)?.[1];
    const data = /^data: (.*)$/m.exec(text)?.[1];
    if (name !== undefined && data !== undefined) this.told.push({ name, data: JSON.parse(data) as Told['data'] });
    else this.comments.push(text);
    return !this.isSlow;
  }

  catchUp(): void {
    this.isSlow = false;
    this.emit('drain');
  }

  end(): void {
    this.isEnded = true;
    this.emit('close');
  }

  destroy(): void {
    this.isDestroyed = true;
    this.emit('close');
  }

  /** All but the status. */
  changes(): readonly Told[] {
    return this.told.filter(({ name }) => name !== 'status');
  }
}

const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(options: Partial<EventFeedOptions> = {}): Promise<{ fixture: ServeFixture; feed: EventFeed }> {
  const fixture = await startServeFixture();
  cleanUps.push(() => fixture[Symbol.asyncDispose]());
  const feed = createEventFeed({ store: fixture.store, statusIntervalMs: 5, ...options });
  cleanUps.push(() => feed.close());
  return { fixture, feed };
}

const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 2 });

test('the present state comes first, then each change once and in order', async () => {
  const { fixture, feed } = await start();
  const { engine, store } = fixture;
  const first = engine.addContainer({ status: 'running' });
  await store.waitFor({ cid: first });
  const response = new FakeResponse();
  feed.open(response);
  const second = engine.addContainer({ status: 'running' });
  await store.waitFor({ cid: second });
  engine.stopContainer(second, 3);
  await until(() => expect(store.getContainerByCid(second)?.state.status).toBe('exited'));
  engine.removeContainer(first);
  await until(() => expect(response.changes().at(-1)?.name).toBe('container-removed'));

  const [present, ...changes] = response.changes();
  expect(present).toMatchObject({ name: 'resync', data: { containers: [{ id: first }] } });
  expect(response.told[1]).toMatchObject({ name: 'status', data: { ready: true } });
  expect(changes[0]).toMatchObject({ name: 'container-added', data: { container: { id: second } } });
  expect(changes.filter(({ name }) => name === 'container-added')).toHaveLength(1);
  const ofSecond = changes.filter(({ data }) => data.container?.id === second);
  expect(ofSecond.at(-1)).toMatchObject({
    name: 'container-changed',
    data: { container: { state: { status: 'exited' } } },
  });
  expect(changes.at(-1)).toMatchObject({ name: 'container-removed', data: { container: { id: first } } });
  const sequences = changes.map(({ data }) => data.sequence);
  expect(sequences).toEqual([...sequences].sort((one, other) => one - other));
});

test('a reader that is too slow gets one resync with all there is in place of what it missed', async () => {
  const { fixture, feed } = await start({ maxWaiting: 5 });
  const { engine, store } = fixture;
  const slow = new FakeResponse();
  slow.isSlow = true;
  feed.open(slow);
  const made: string[] = [];
  // One change may be large; it is the next one that finds too many waiting.
  for (const size of [20, 1, 19]) {
    for (let each = 0; each < size; each += 1) made.push(engine.addContainer({ status: 'running' }));
    await until(() => expect(store.getAllContainers({ withoutPod: true })).toHaveLength(made.length));
  }
  expect(slow.changes()).toHaveLength(1);

  slow.catchUp();

  await until(() => expect(slow.changes().at(-1)?.data.containers).toHaveLength(40));
  expect(slow.changes().at(-1)?.name).toBe('resync');
  expect(
    slow
      .changes()
      .at(-1)
      ?.data.containers?.map(({ id }) => id)
      .sort(),
  ).toEqual([...made].sort());
  expect(slow.changes().length).toBeLessThan(10);

  const next = engine.addContainer({ status: 'running' });
  await until(() => expect(slow.changes().some(({ data }) => data.container?.id === next)).toBe(true));
});

test('a state of the engine that changes is told, and only then', async () => {
  const { fixture, feed } = await start();
  const response = new FakeResponse();
  feed.open(response);
  const states = (): readonly (boolean | undefined)[] =>
    response.told.filter(({ name }) => name === 'status').map(({ data }) => data.ready);
  await until(() => expect(states()).toContain(true));

  fixture.engine.goAway();
  await until(() => expect(states().at(-1)).toBe(false));
  const before = states().length;
  fixture.engine.comeBack();
  await until(() => expect(states().at(-1)).toBe(true));
  expect(states().length - before).toBeLessThan(20);
});

test('a status that a slow reader could not take comes when it can, and only the last', async () => {
  const { fixture, feed } = await start();
  const response = new FakeResponse();
  response.isSlow = true;
  feed.open(response);
  const other = new FakeResponse();
  feed.open(other);
  fixture.engine.goAway();
  await until(() => expect(other.told.at(-1)?.data.ready).toBe(false));
  const before = response.told.length;

  response.catchUp();

  await until(() => expect(response.told.at(-1)?.data.ready).toBe(false));
  expect(response.told.length - before).toBeLessThanOrEqual(2);
});

test('a reader that takes nothing for too long is dropped, others stay', async () => {
  const { feed } = await start({ stalledMs: 20 });
  const stuck = new FakeResponse();
  stuck.isSlow = true;
  const fine = new FakeResponse();
  feed.open(stuck);
  feed.open(fine);
  await until(() => expect(stuck.isDestroyed).toBe(true));
  expect(fine.isDestroyed).toBe(false);
  expect(feed.readerCount()).toBe(1);
});

test('a quiet connection is kept alive by comments', async () => {
  const { feed } = await start({ keepAliveMs: 10 });
  const response = new FakeResponse();
  feed.open(response);
  await until(() => expect(response.comments.filter((text) => text.startsWith(':')).length).toBeGreaterThan(2));
});

test('no more readers than allowed, and a place that is left is free again', async () => {
  const { feed } = await start({ maxReaders: 2 });
  const [one, two, three] = [new FakeResponse(), new FakeResponse(), new FakeResponse()];
  expect([feed.open(one), feed.open(two), feed.open(three)]).toEqual([true, true, false]);
  expect(three.told).toEqual([]);
  one.emit('close');
  expect(feed.open(three)).toBe(true);
});

test('a closed feed and a closed store end every stream', async () => {
  const { feed, fixture } = await start();
  const one = new FakeResponse();
  feed.open(one);
  feed.close();
  expect(one.isEnded).toBe(true);
  expect(feed.open(new FakeResponse())).toBe(false);

  const other = createEventFeed({ store: fixture.store });
  const two = new FakeResponse();
  other.open(two);
  await fixture.store.close();
  await until(() => expect(two.isEnded).toBe(true));
  expect(other.readerCount()).toBe(0);
});
