/** What one cheap call tells of all containers. */
import assert from 'node:assert/strict';
import type { DriverFixture, DriverSuiteOptions, FixtureContainer } from './engine-fixture.js';
import { waitUntil } from './suite-runner.js';

export function describeListBehaviour({ runner, createFixture }: DriverSuiteOptions): void {
  const { describe, test, beforeAll, afterAll } = runner;

  describe('list behaviour', () => {
    let fixture: DriverFixture;
    beforeAll(async () => {
      fixture = await createFixture();
    });
    afterAll(async () => {
      await fixture?.close();
    });

    const find = async ({ id }: FixtureContainer) =>
      (await fixture.engine.listAllContainers()).find(({ reference }) => reference.id === id);

    test('a running container is there, with its name and labels', async () => {
      const container = await fixture.runContainer({ labels: { 'crikit.dev/purpose': 'a = "b"' } });
      const summary = await find(container);
      assert.equal(summary?.status, 'running');
      assert.equal(summary.labels['crikit.dev/purpose'], 'a = "b"');
      assert.notEqual(summary.name, '');
      assert.ok(!summary.name.startsWith('/'));
    });

    test('those that run and those that do not are there, in core’s words', async () => {
      const container = await fixture.runContainer();
      await container.pause();
      assert.equal((await find(container))?.status, 'paused');
      await container.resume();
      assert.equal((await find(container))?.status, 'running');
      await container.stop();
      assert.equal((await find(container))?.status, 'exited');
      await container.start();
      assert.equal((await find(container))?.status, 'running');
    });

    test('one that was removed is not there any more', async () => {
      const container = await fixture.runContainer();
      assert.ok((await find(container)) !== undefined);
      await container.remove();
      assert.equal(await find(container), undefined);
    });

    test('nobody is there twice, and lists at the same time say the same', async () => {
      const containers = await Promise.all([fixture.runContainer(), fixture.runContainer()]);
      const lists = await Promise.all(Array.from({ length: 5 }, () => fixture.engine.listAllContainers()));
      for (const list of lists) {
        const ids = list.map(({ reference: { scope, id } }) => `${scope} ${id}`);
        assert.equal(new Set(ids).size, ids.length);
        for (const { id } of containers) assert.ok(list.some(({ reference }) => reference.id === id));
      }
    });

    test('a revision, where there is one, stays while nothing changes and changes with the container', async () => {
      const container = await fixture.runContainer();
      const inspected = await fixture.engine.getContainerDetail(container.target);
      const first = await find(container);
      if (first?.revision === undefined || inspected.revision === undefined) return;
      // Some engines can vouch for a container only some time after its last change.
      let seen: string | undefined;
      await waitUntil('the revision settles', async () => {
        const before = seen;
        seen = (await find(container))?.revision;
        return before !== undefined && before === seen;
      });
      await container.stop();
      assert.notEqual((await find(container))?.revision, seen);
    });
  });
}
