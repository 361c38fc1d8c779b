/**
 * The suites that every engine passes. There is no Pouch to run them on, and its recordings hold other commands than
 * theirs; so they run on Docker's containers behind a proxy that speaks Pouch's dialect.
 */
import { connectEngine, type ExecTimeoutError } from '@crikit/core';
import {
  describeCopyBehaviour,
  describeEventsBehaviour,
  describeExecBehaviour,
  type EngineFixture,
  type FixtureContainer,
} from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createDockerContainer } from '../../engine-docker/test/docker-fixture.js';
import { pouch } from '../src/pouch.js';
import { startPouchDialectProxy } from './pouch-dialect-proxy.js';

const runner = { describe, test, beforeAll, afterAll };

async function createFixture(dockerSocketPath: string): Promise<EngineFixture> {
  const proxy = await startPouchDialectProxy(dockerSocketPath);
  const engine = await connectEngine(pouch({ socketPath: proxy.socketPath, allowArchive: true }));
  const made = new Set<FixtureContainer>();
  return {
    engine,
    async runContainer(options = {}) {
      const container = await createDockerContainer(dockerSocketPath, options);
      made.add(container);
      return container;
    },
    async close() {
      await Promise.all([...made].map((container) => container.remove()));
      await engine.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

describeWithDocker('Pouch’s dialect', ({ socketPath }) => {
  describeExecBehaviour({ runner, createFixture: () => createFixture(socketPath) });
  describeEventsBehaviour({ runner, createFixture: () => createFixture(socketPath) });
  describeCopyBehaviour({ runner, createFixture: () => createFixture(socketPath) });

  describe('a command that is killed', () => {
    let fixture: EngineFixture;
    beforeAll(async () => {
      fixture = await createFixture(socketPath);
    });
    afterAll(() => fixture.close());

    test('is found on the host by its marker, since Pouch tells no pid', async () => {
      const { target } = await fixture.runContainer();
      const command = fixture.engine.exec(target, {
        cmd: ['sh', '-c', 'setsid sleep 2121 & sleep 2121'],
        timeoutMs: 300,
      });
      const error = await command.then(
        () => undefined,
        (thrown: ExecTimeoutError) => thrown,
      );
      expect(error?.termination).toMatchObject({ methods: ['host-marker'], confirmed: true });
      const { stdout } = await fixture.engine.exec(target, { cmd: ['ps', '-o', 'args'] });
      expect(stdout.toString()).not.toContain('sleep 2121');
    });
  });
});
