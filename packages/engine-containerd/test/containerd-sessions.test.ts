import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describeSessionBehaviour, type EngineFixture, waitUntil } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

describeWithContainerds('sessions on containerd', ({ daemon }) => {
  describeSessionBehaviour({ runner, createFixture: () => createContainerdFixture(daemon) });

  describe('a session', () => {
    let fixture: EngineFixture;
    beforeAll(async () => {
      fixture = await createContainerdFixture(daemon);
    });
    afterAll(() => fixture?.close());

    // The shim keeps the shell's input open, so it is the shell's own limit that ends it: 15 s after the agent's.
    test('leaves no shell behind when its agent is killed with SIGKILL', async () => {
      const { id, target } = await fixture.runContainer();
      const shells = async (): Promise<number> => {
        const { stdout } = await fixture.engine.exec(target, { cmd: ['ps', '-o', 'pid,args'] });
        return stdout.toString().split('crikit_run').length - 1 > 0 ? 1 : 0;
      };
      const path = `${import.meta.dirname}/session-agent.mjs`;
      const agent = spawn(process.execPath, [path, daemon.socketPath, 'default', id]);
      try {
        await once(agent.stdout, 'data');
        expect(await shells()).toBe(1);
        agent.kill('SIGKILL');
        await once(agent, 'exit');
        await waitUntil('the shell is gone', async () => (await shells()) === 0, 40_000);
      } finally {
        agent.kill('SIGKILL');
      }
    });
  });
});
