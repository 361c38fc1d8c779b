import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { waitUntil } from '@crikit/engine-conformance';
import { expect, test } from 'vitest';
import { createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

describeWithContainerds('sessions on containerd', ({ daemon }) => {
  // The shim keeps the shell's input open, so it is the shell's own limit that ends it: 15 s after the agent's.
  test('leave no shell behind when their agent is killed with SIGKILL', async () => {
    const fixture = await createContainerdFixture(daemon);
    const { id, target } = await fixture.runContainer();
    const hasShell = async (): Promise<boolean> => {
      const { stdout } = await fixture.engine.exec(target, { cmd: ['ps', '-o', 'pid,args'] });
      return stdout.toString().includes('crikit_run');
    };
    const path = `${import.meta.dirname}/session-agent.mjs`;
    const agent = spawn(process.execPath, [path, daemon.socketPath, 'default', id]);
    try {
      await once(agent.stdout, 'data');
      expect(await hasShell()).toBe(true);
      agent.kill('SIGKILL');
      await once(agent, 'exit');
      await waitUntil('the shell is gone', async () => !(await hasShell()), 40_000);
    } finally {
      agent.kill('SIGKILL');
      await fixture.close();
    }
  });
});
