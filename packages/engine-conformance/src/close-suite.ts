/** Closing an engine ends what it does here, and nothing of what runs there. */
import assert from 'node:assert/strict';
import type { DriverSuiteOptions } from './engine-fixture.js';

export function describeCloseBehaviour({ runner, createFixture }: DriverSuiteOptions): void {
  const { describe, test } = runner;

  describe('close behaviour', () => {
    test('every call says that the engine was closed', async () => {
      const fixture = await createFixture();
      const { engine } = fixture;
      const { target } = await fixture.runContainer();
      await engine.close();
      try {
        for (const call of [
          () => engine.listAllContainers(),
          () => engine.getContainerDetail(target),
          () => engine.getContainerDetails('all'),
          () => engine.getSource(target),
          () => engine.exec(target, { cmd: ['true'] }),
          () => engine.execAsync(target, { cmd: ['true'] }),
          () => engine.copyFromContainer(target, '/etc/passwd', '/nonexistent/passwd'),
        ]) {
          await assert.rejects(call(), { code: 'CLOSED', applied: 'no' });
        }
      } finally {
        await fixture.close();
      }
    });

    test('closing again, at the same time or later, is harmless', async () => {
      const fixture = await createFixture();
      await Promise.all([fixture.engine.close(), fixture.engine.close()]);
      await fixture.engine.close();
      await fixture.close();
    });

    test('readers of changes come to their end', async () => {
      const fixture = await createFixture();
      await fixture.runContainer();
      const changes = fixture.engine.events();
      await changes.next();
      const reading = (async () => {
        for await (const _ of changes);
      })();
      await fixture.engine.close();
      await reading;
      await fixture.close();
    });

    test('containers go on, and another engine sees them', async () => {
      const [closed, other] = await Promise.all([createFixture(), createFixture()]);
      try {
        const container = await other.runContainer();
        await closed.engine.listAllContainers();
        await closed.engine.close();
        const detail = await other.engine.getContainerDetail(container.target);
        assert.equal(detail.status, 'running');
      } finally {
        await closed.close();
        await other.close();
      }
    });
  });
}
