/** How an engine's events behave: nothing is missed, the end is told, and the exit code comes with it. */
import assert from 'node:assert/strict';
import type { ContainerChange, ContainerSummary, EngineEvent } from '@crikit/core';
import type { EngineFixture, FixtureContainer } from './engine-fixture.js';
import { type SuiteRunner, skipTest, waitUntil } from './suite-runner.js';

export interface EventsSuiteOptions {
  readonly runner: SuiteRunner;
  createFixture(): Promise<EngineFixture>;
}

export function describeEventsBehaviour({ runner, createFixture }: EventsSuiteOptions): void {
  const { describe, beforeAll, afterAll } = runner;

  describe('events behaviour', () => {
    let fixture: EngineFixture;
    beforeAll(async () => {
      fixture = await createFixture();
    });
    afterAll(async () => {
      await fixture?.close();
    });
    const test = (name: string, run: () => Promise<void>): void =>
      runner.test(name, async (...context) => {
        if (fixture.engine.supports('events')) await run();
        else skipTest(context, 'the engine declares no events');
      });

    const follow = () => {
      const events: EngineEvent[] = [];
      const lists: (readonly ContainerSummary[])[] = [];
      const stop = new AbortController();
      const done = fixture.engine.watch(
        {
          onSync: (containers) => void lists.push(containers),
          onEvent: (event) => void events.push(event),
          onLost: (error) => assert.fail(error),
        },
        { signal: stop.signal },
      );
      return {
        events,
        lists,
        of: ({ id }: FixtureContainer) => events.filter(({ reference }) => reference.id === id),
        actionsOf: ({ id }: FixtureContainer) =>
          events.filter(({ reference }) => reference.id === id).map(({ action }) => action),
        async [Symbol.asyncDispose]() {
          stop.abort();
          await done;
        },
      };
    };

    test('a container’s whole life is told in its order', async () => {
      const watch = follow();
      await waitUntil('the first list', () => watch.lists.length === 1);
      const container = await fixture.runContainer({ cmd: ['sh', '-c', 'trap "exit 23" TERM; sleep 1000'] });
      await container.pause();
      await container.resume();
      await container.stop();
      await container.remove();
      await waitUntil('the removal', () => watch.actionsOf(container).includes('removed'));
      const told = watch.actionsOf(container).filter((action) => action !== 'updated');
      // Events are hints: Docker 20.10 now and then tells a short pause twice. First occurrences are in order.
      const inOrder = told.filter((action, index) => told.indexOf(action) === index);
      assert.deepEqual(inOrder, ['created', 'started', 'paused', 'resumed', 'exited', 'removed']);
      assert.deepEqual([told[0], told.at(-1)], ['created', 'removed']);
      const exited = watch.of(container).find(({ action }) => action === 'exited');
      assert.equal(exited?.exitCode, 137);
      for (const { timeMs } of watch.of(container)) assert.ok(Math.abs(Date.now() - timeMs) < 60_000);
      await watch[Symbol.asyncDispose]();
    });

    test('the exit code is the command’s own', async () => {
      const watch = follow();
      await waitUntil('the first list', () => watch.lists.length === 1);
      const container = await fixture.runContainer({ cmd: ['sh', '-c', 'exit 23'] });
      await waitUntil('the end', () => watch.actionsOf(container).includes('exited'));
      assert.equal(watch.of(container).find(({ action }) => action === 'exited')?.exitCode, 23);
      await watch[Symbol.asyncDispose]();
    });

    /**
     * A container, and what is told of it after its start. Who subscribes right after a start may be told that start once
     * more (an engine that is asked for all since a time may know less of time than when it happened), so these subscribe
     * before it.
     */
    const runAndFollow = async () => {
      const watch = follow();
      await waitUntil('the first list', () => watch.lists.length === 1);
      const container = await fixture.runContainer();
      await waitUntil('the start', () => watch.actionsOf(container).includes('started'));
      const told = watch.actionsOf(container).length;
      return { ...watch, container, changes: () => watch.actionsOf(container).slice(told) };
    };

    test('a container that is started again is told as ended and started', async () => {
      const watch = await runAndFollow();
      await watch.container.stop();
      await watch.container.start();
      await waitUntil('the start', () => watch.changes().includes('started'));
      assert.deepEqual(watch.changes(), ['exited', 'started']);
      await watch[Symbol.asyncDispose]();
    });

    test('commands that run in a container change nothing', async () => {
      const watch = await runAndFollow();
      await fixture.engine.exec(watch.container.target, { cmd: ['true'] });
      await watch.container.stop();
      await watch.container.remove();
      await waitUntil('the removal', () => watch.changes().includes('removed'));
      assert.deepEqual(watch.changes(), ['exited', 'removed']);
      await watch[Symbol.asyncDispose]();
    });

    test('a container that starts while somebody subscribes is in the list or told, each time', async () => {
      for (let round = 0; round < 8; round += 1) {
        const watch = follow();
        const container = await fixture.runContainer();
        await waitUntil('the first list', () => watch.lists.length === 1);
        await waitUntil(`container ${round} is known to run`, () => {
          const listed = watch.lists.at(-1)?.find(({ reference }) => reference.id === container.id);
          return listed?.status === 'running' || watch.actionsOf(container).includes('started');
        });
        await container.remove();
        await waitUntil('the removal', () => watch.actionsOf(container).includes('removed'));
        await watch[Symbol.asyncDispose]();
      }
    });

    test('a reader of changes gets those that are there first, then what happens, nothing twice', async () => {
      const before = await fixture.runContainer();
      const stop = new AbortController();
      const seen: ContainerChange[] = [];
      const reading = (async () => {
        for await (const change of fixture.engine.events({ signal: stop.signal })) seen.push(change);
      })();
      const of = ({ id }: FixtureContainer) => seen.filter(({ reference }) => reference.id === id);
      await waitUntil('what is there', () => of(before).length > 0);
      assert.ok(of(before).every(({ origin }) => origin === 'list'));
      const after = await fixture.runContainer({ cmd: ['sh', '-c', 'exit 5'] });
      await waitUntil('the end', () => of(after).some(({ action }) => action === 'exited'));
      await after.remove();
      await waitUntil('the removal', () => of(after).some(({ action }) => action === 'removed'));
      const actions = of(after)
        .map(({ action }) => action)
        .filter((action) => action !== 'updated');
      assert.deepEqual(actions, ['created', 'started', 'exited', 'removed']);
      stop.abort();
      await reading;
    });

    runner.test('without the feature, changes are found by listing', async (...context) => {
      if (fixture.engine.supports('events')) {
        skipTest(context, 'the engine declares events');
        return;
      }
      const stop = new AbortController();
      const seen: ContainerChange[] = [];
      const reading = (async () => {
        for await (const change of fixture.engine.events({ signal: stop.signal })) seen.push(change);
      })();
      const container = await fixture.runContainer();
      const told = (action: string) =>
        seen.some((change) => change.reference.id === container.id && change.action === action);
      await waitUntil('the start', () => told('started'), 30_000);
      await container.remove();
      await waitUntil('the removal', () => told('removed'), 30_000);
      assert.ok(seen.every(({ origin }) => origin === 'list'));
      stop.abort();
      await reading;
    });

    test('a feed that is disposed of ends without an error and tells nothing more', async () => {
      const events: EngineEvent[] = [];
      const { signal } = new AbortController();
      const feed = await fixture.engine.feature('events')?.openEvents((event) => void events.push(event), { signal });
      assert.ok(feed !== undefined);
      await feed[Symbol.asyncDispose]();
      assert.deepEqual(await feed.ended, {});
      const told = events.length;
      await (await fixture.runContainer()).remove();
      assert.equal(events.length, told);
    });

    test('an open subscription tells what happens right after it was opened', async () => {
      for (let round = 0; round < 5; round += 1) {
        const container = await fixture.runContainer();
        const events: EngineEvent[] = [];
        const { signal } = new AbortController();
        const feed = await fixture.engine.feature('events')?.openEvents((event) => void events.push(event), { signal });
        await container.stop();
        await waitUntil('the end is told', () =>
          events.some(({ action, reference }) => action === 'exited' && reference.id === container.id),
        );
        await feed?.[Symbol.asyncDispose]();
      }
    });
  });
}
