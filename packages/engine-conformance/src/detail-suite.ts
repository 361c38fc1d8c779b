/** What an engine tells of single containers. */
import assert from 'node:assert/strict';
import type { DriverFixture, DriverSuiteOptions, FixtureContainer } from './engine-fixture.js';

export function describeDetailBehaviour({ runner, createFixture }: DriverSuiteOptions): void {
  const { describe, test, beforeAll, afterAll } = runner;

  describe('detail behaviour', () => {
    let fixture: DriverFixture;
    let container: FixtureContainer;
    beforeAll(async () => {
      fixture = await createFixture();
      container = await fixture.runContainer({ env: { GREETING: 'a=b c', EMPTY: '' }, labels: { part: 'detail' } });
    });
    afterAll(async () => {
      await fixture?.close();
    });

    const detailOf = ({ target }: FixtureContainer) => fixture.engine.getContainerDetail(target);

    test('a running container has environment, labels, a pid and the time of its start', async () => {
      const detail = await detailOf(container);
      assert.equal(detail.status, 'running');
      assert.equal(detail.env.GREETING, 'a=b c');
      assert.equal(detail.env.EMPTY, '');
      assert.equal(detail.labels.part, 'detail');
      assert.ok((detail.pid ?? 0) > 0, 'no pid');
      assert.equal(detail.exitCode, undefined);
      if (detail.startedAt !== undefined) {
        const age = Date.now() - Date.parse(detail.startedAt);
        assert.ok(age > -60_000 && age < 3_600_000, `started at ${detail.startedAt}`);
      }
    });

    test('says what the list says', async () => {
      const detail = await detailOf(container);
      const list = await fixture.engine.listAllContainers();
      const summary = list.find(({ reference }) => reference.id === container.id);
      assert.deepEqual(detail.reference, summary?.reference);
      assert.equal(detail.name, summary?.name);
      assert.equal(detail.status, summary?.status);
      assert.deepEqual(detail.labels, summary?.labels);
      assert.deepEqual(detail.kubernetes, summary?.kubernetes);
    });

    test('is plain data with absolute paths', async () => {
      const detail = await detailOf(container);
      assert.deepEqual(structuredClone(detail), detail);
      assert.deepEqual(JSON.parse(JSON.stringify(detail)), detail);
      for (const path of [
        detail.mergedDir,
        detail.logPath,
        ...detail.mounts.flatMap((m) => [m.source, m.destination]),
      ]) {
        if (path !== undefined) assert.ok(path.startsWith('/'), `'${path}' is not absolute`);
      }
    });

    test('follows the container to its end and back', async () => {
      const mortal = await fixture.runContainer();
      const before = await detailOf(mortal);
      await mortal.pause();
      assert.equal((await detailOf(mortal)).status, 'paused');
      await mortal.resume();
      await mortal.stop();
      const ended = await detailOf(mortal);
      assert.equal(ended.status, 'exited');
      assert.equal(ended.pid, undefined);
      assert.ok(ended.exitCode === undefined || ended.exitCode === 137, `exit code ${ended.exitCode}`);
      await mortal.start();
      const again = await detailOf(mortal);
      assert.equal(again.status, 'running');
      assert.ok(again.pid !== undefined && again.pid !== before.pid);
    });

    test('of several come in the order of the question, each with its own failure', async () => {
      const other = await fixture.runContainer();
      const { reference } = await detailOf(container);
      const gone = { scope: reference.scope, id: 'f'.repeat(64) };
      const [first, missing, second] = await fixture.engine.getContainerDetails([other.target, gone, container.target]);
      assert.ok(first !== undefined && 'detail' in first && first.detail.reference.id === other.id);
      assert.ok(missing !== undefined && 'error' in missing);
      assert.equal(missing.error.code, 'NOT_FOUND');
      assert.ok(second !== undefined && 'detail' in second && second.detail.reference.id === container.id);
    });

    test('of all are those of the list', async () => {
      const outcomes = await fixture.engine.getContainerDetails('all');
      const found = outcomes.find(({ reference }) => reference.id === container.id);
      assert.ok(found !== undefined && 'detail' in found);
      assert.equal(found.detail.env.GREETING, 'a=b c');
    });

    test('of none cost nothing', async () => {
      assert.deepEqual(await fixture.engine.getContainerDetails([]), []);
    });

    test('the engine’s own object can be had', async () => {
      const source = await fixture.engine.getSource(container.target);
      assert.ok(typeof source === 'object' && source !== null);
    });
  });
}
