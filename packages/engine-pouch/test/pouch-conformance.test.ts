/**
 * The suites that every engine passes. There is no Pouch to run them on, and its recordings hold other commands than
 * theirs; so they run on Docker's containers behind a proxy that speaks Pouch's dialect.
 */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectEngine, type ExecTimeoutError } from '@crikit/core';
import { type ContainerFixture, describeEngineConformance, type FixtureContainer } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createDockerContainer } from '../../engine-docker/test/docker-fixture.js';
import { pouch } from '../src/pouch.js';
import { type PouchDialectProxy, startPouchDialectProxy } from './pouch-dialect-proxy.js';

async function createFixture(dockerSocketPath: string): Promise<ContainerFixture> {
  const made = new Set<FixtureContainer>();
  return {
    async runContainer(options = {}) {
      const container = await createDockerContainer(dockerSocketPath, options);
      made.add(container);
      return container;
    },
    async close() {
      await Promise.all([...made].map((container) => container.remove()));
    },
  };
}

describeWithDocker('Pouch’s dialect', ({ socketPath: dockerSocketPath }) => {
  const directory = join(tmpdir(), `crikit-dialect-${process.pid}`);
  const definition = pouch({ socketPath: join(directory, 'pouchd.sock'), allowArchive: true });
  let proxy: PouchDialectProxy;
  beforeAll(async () => {
    proxy = await startPouchDialectProxy(dockerSocketPath, directory);
  });
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]();
  });

  describeEngineConformance({
    runner: { describe, test, beforeAll, afterAll },
    definition,
    createFixture: () => createFixture(dockerSocketPath),
  });

  test('a command that is killed is found on the host by its marker, since Pouch tells no pid', async () => {
    const fixture = await createFixture(dockerSocketPath);
    const engine = await connectEngine(definition);
    try {
      const { target } = await fixture.runContainer();
      const cmd = ['sh', '-c', 'setsid sleep 2121 & sleep 2121'];
      const error = await engine.exec(target, { cmd, timeoutMs: 300 }).then(
        () => undefined,
        (thrown: ExecTimeoutError) => thrown,
      );
      expect(error?.termination).toMatchObject({ methods: ['host-marker'], confirmed: true });
      const { stdout } = await engine.exec(target, { cmd: ['ps', '-o', 'args'] });
      expect(stdout.toString()).not.toContain('sleep 2121');
    } finally {
      await engine.close();
      await fixture.close();
    }
  });
});
