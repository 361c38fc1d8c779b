/** An engine leaves nothing behind in the process that used it. */
import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import type { DriverFixture, DriverSuiteOptions, FixtureContainer } from './engine-fixture.js';
import { waitUntil } from './suite-runner.js';

const commands = 10;
/** Connections kept for the next call: how many there are goes by what happened to overlap. A leak is one each time. */
const spare = commands / 2;

export function describeLeakBehaviour({ runner, createFixture }: DriverSuiteOptions): void {
  const { describe, test } = runner;

  describe('leak behaviour', () => {
    const use = async ({ engine }: DriverFixture, { target }: FixtureContainer, signal: AbortSignal) => {
      for (let count = 0; count < commands; count += 1) {
        await engine.exec(target, { cmd: ['true'], signal });
        await engine.getContainerDetail(target, { signal });
        await engine.listAllContainers({ signal });
      }
    };

    test('connections do not grow with use, and are gone when the engine is closed', async () => {
      const before = openConnections();
      const fixture = await createFixture();
      const { signal } = new AbortController();
      const container = await fixture.runContainer();
      await use(fixture, container, signal);
      const used = openConnections();
      await use(fixture, container, signal);
      await waitUntil('as few connections as before', () => openConnections() <= used, 5_000);
      await fixture.close();
      await waitUntil('no connection is left', () => openConnections() <= before, 5_000);
    });

    test('a reader of changes takes its connection with it', async () => {
      const fixture = await createFixture();
      const container = await fixture.runContainer();
      await use(fixture, container, new AbortController().signal);
      const before = openConnections();
      for (let count = 0; count < commands; count += 1) {
        const stop = new AbortController();
        const changes = fixture.engine.events({ signal: stop.signal });
        await changes.next();
        stop.abort();
        for await (const _ of changes);
      }
      await waitUntil('as few connections as before', () => openConnections() <= before + spare, 5_000);
      await fixture.close();
    });

    test('no listener stays on a caller’s signal', async () => {
      const fixture = await createFixture();
      const { signal } = new AbortController();
      await use(fixture, await fixture.runContainer(), signal);
      assert.deepEqual(getEventListeners(signal, 'abort'), []);
      await fixture.close();
    });

    test('nothing is left unhandled when the engine is closed while it works', async () => {
      const unhandled: unknown[] = [];
      const note = (reason: unknown): void => void unhandled.push(reason);
      process.on('unhandledRejection', note);
      try {
        const fixture = await createFixture();
        const container = await fixture.runContainer();
        const calls = [
          fixture.engine.listAllContainers(),
          fixture.engine.getContainerDetails('all'),
          fixture.engine.exec(container.target, { cmd: ['true'] }),
        ];
        const settled = Promise.allSettled(calls);
        await fixture.engine.close();
        await settled;
        await fixture.close();
        // Rejections that nobody handles are told after the microtasks of a turn.
        await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual(unhandled, []);
      } finally {
        process.off('unhandledRejection', note);
      }
    });
  });
}

/** Sockets, pipes and child processes of this process. */
function openConnections(): number {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /^(TCPSocket|TCPServer|Pipe|PipeServer|Process|TLS|UDP)Wrap$/.test(name)).length;
}
