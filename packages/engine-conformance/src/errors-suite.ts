/** What goes wrong is said in core's codes, and says of which engine. */
import assert from 'node:assert/strict';
import { type CrikitError, type EngineContext, isCrikitError, silentLogger } from '@crikit/core';
import type { DriverFixture, DriverSuiteOptions, FixtureContainer } from './engine-fixture.js';

export function describeErrorBehaviour({ runner, definition, createFixture }: DriverSuiteOptions): void {
  const { describe, test, beforeAll, afterAll } = runner;

  describe('error behaviour', () => {
    let fixture: DriverFixture;
    let gone: FixtureContainer;
    beforeAll(async () => {
      fixture = await createFixture();
      gone = await fixture.runContainer();
      await gone.remove();
    });
    afterAll(async () => {
      await fixture?.close();
    });

    const failureOf = async (call: Promise<unknown>): Promise<CrikitError> => {
      const error = await call.then(
        () => assert.fail('it did not fail'),
        (reason: unknown) => reason,
      );
      assert.ok(isCrikitError(error), `no typed error: ${String(error)}`);
      assert.notEqual(error.message, '');
      return error;
    };

    test('a container that is gone is not found, by any call', async () => {
      const { engine } = fixture;
      for (const call of [
        () => engine.getContainerDetail(gone.target),
        () => engine.getSource(gone.target),
        () => engine.exec(gone.target, { cmd: ['true'] }),
        () => engine.execAsync(gone.target, { cmd: ['true'] }),
      ]) {
        const error = await failureOf(call());
        assert.equal(error.code, 'NOT_FOUND');
        assert.equal(error.engine, fixture.driver.id);
        assert.equal(error.applied, 'no');
      }
    });

    test('the driver itself fails with typed errors only', async () => {
      const { driver } = fixture;
      const list = await fixture.engine.listAllContainers();
      const scope = list[0]?.reference.scope ?? driver.defaultScope ?? '';
      const reference = { scope, id: gone.id };
      const call = { signal: AbortSignal.timeout(10_000) };
      assert.equal((await failureOf(driver.getSource(reference, call))).code, 'NOT_FOUND');
      const request = { cmd: ['true'], env: [], tty: false, stdin: false };
      const exec = driver.startExec(reference, request, call).then(async (handle) => {
        const exit = await handle.exit;
        await handle[Symbol.asyncDispose]();
        if (exit.kind !== 'exited') throw exit.error;
      });
      assert.equal((await failureOf(exec)).code, 'NOT_FOUND');
    });

    test('an id that would lead elsewhere is refused', async () => {
      for (const id of ['', '..', '../version', 'a/b', 'a?b', 'a%2Fb', `${gone.id}/json`, 'a b', 'a\0b']) {
        const error = await failureOf(fixture.engine.getContainerDetail(id));
        assert.ok(['INVALID_ARGUMENT', 'NOT_FOUND'].includes(error.code), `${JSON.stringify(id)}: ${error.code}`);
      }
    });

    test('no command is refused before it travels', async () => {
      const error = await failureOf(fixture.engine.exec(gone.target, { cmd: [] }));
      assert.equal(error.code, 'INVALID_ARGUMENT');
    });

    test('a probe and a connection that are given up end all the same', async () => {
      const context: EngineContext = {
        hostRoot: '/',
        environment: process.env,
        logger: silentLogger,
        signal: AbortSignal.abort(),
      };
      const report = await definition.probe(context);
      assert.ok(['available', 'failed', 'not-applicable'].includes(report.status));
      const connected = await definition.connect(context).catch((error: unknown) => error);
      if (connected instanceof Error) assert.ok(isCrikitError(connected), `no typed error: ${String(connected)}`);
      else await (connected as DriverFixture['driver'])[Symbol.asyncDispose]();
    });
  });
}
