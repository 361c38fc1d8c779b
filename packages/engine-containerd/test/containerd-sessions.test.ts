import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  describeSessionBehaviour,
  type EngineFixture,
  type FixtureContainer,
  waitUntil,
} from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

describeWithContainerds('sessions on containerd', ({ daemon }) => {
  let fixture: EngineFixture;
  let abandoned: FixtureContainer;
  const shells = async (): Promise<number> => {
    const { stdout } = await fixture.engine.exec(abandoned.target, { cmd: ['ps', '-o', 'pid,args'] });
    return stdout
      .toString()
      .split('\n')
      .filter((line) => line.includes('crikit_run')).length;
  };
  // Before all other tests: the shim keeps the shell's input open, so that its own limit ends it, 15 s after the agent's.
  beforeAll(async () => {
    fixture = await createContainerdFixture(daemon);
    abandoned = await fixture.runContainer();
    const path = `${import.meta.dirname}/session-agent.mjs`;
    const agent = spawn(process.execPath, [path, daemon.socketPath, 'default', abandoned.id]);
    try {
      await once(agent.stdout, 'data');
      expect(await shells()).toBeGreaterThan(0);
    } finally {
      agent.kill('SIGKILL');
      await once(agent, 'exit');
    }
  });
  afterAll(() => fixture?.close());

  describeSessionBehaviour({ runner, createFixture: () => createContainerdFixture(daemon) });

  test('a session leaves no shell behind when its agent is killed with SIGKILL', async () => {
    await waitUntil('the shell is gone', async () => (await shells()) === 0, 40_000);
  });
});
