import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { describeSessionBehaviour, type EngineFixture, waitUntil } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createDockerFixture } from './docker-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

/** The long tests run 10,000. */
const commands = process.env.CRIKIT_LONG_TESTS === undefined ? 500 : 10_000;

describeWithDocker('sessions on Docker', ({ socketPath }) => {
  const createFixture = () => createDockerFixture(socketPath);
  describeSessionBehaviour({ runner, createFixture });

  describe('a session', () => {
    let fixture: EngineFixture;
    beforeAll(async () => {
      fixture = await createFixture();
    });
    afterAll(() => fixture?.close());
    const shellsIn = async (target: string): Promise<string[]> => {
      const { stdout } = await fixture.engine.exec(target, { cmd: ['ps', '-o', 'pid,args'] });
      return stdout
        .toString()
        .split('\n')
        .filter((line) => line.includes('crikit_run'));
    };

    test('leaves no shell behind when its agent is killed with SIGKILL', async () => {
      const { id } = await fixture.runContainer();
      const agent = spawn(process.execPath, [`${import.meta.dirname}/session-agent.mjs`, socketPath, id]);
      try {
        await once(agent.stdout, 'data');
        expect(await shellsIn(id)).toHaveLength(1);
        agent.kill('SIGKILL');
        await once(agent, 'exit');
        await waitUntil('the shell is gone', async () => (await shellsIn(id)).length === 0);
      } finally {
        agent.kill('SIGKILL');
      }
    });

    test(`runs ${commands} commands without growing, here or in the container`, { timeout: 300_000 }, async () => {
      const { id, target } = await fixture.runContainer();
      const { engine } = fixture;
      const session = await engine.openSession(target);
      const run = async (count: number): Promise<void> => {
        for (let index = 0; index < count; index += 1) {
          const { stdout } = await session.exec({ cmd: ['/bin/echo', String(index)] });
          if (stdout.toString() !== `${index}\n`) expect(stdout.toString()).toBe(`${index}\n`);
        }
      };
      const shellKilobytes = async (): Promise<number> => {
        const [pid] = (await shellsIn(id)).map((line) => line.trim().split(' ')[0]);
        const { stdout } = await engine.exec(id, { cmd: ['cat', `/proc/${pid}/status`] });
        return Number(/^VmRSS:\s*(\d+)/m.exec(stdout.toString())?.[1]);
      };
      await run(commands / 5);
      const before = { shell: await shellKilobytes(), here: process.memoryUsage().rss, open: descriptors() };
      await run((commands / 5) * 4);
      expect((await shellKilobytes()) - before.shell).toBeLessThan(256);
      expect(process.memoryUsage().rss - before.here).toBeLessThan(64 * 1024 * 1024);
      expect(descriptors()).toBeLessThanOrEqual(before.open + 2);
      expect(await shellsIn(id)).toHaveLength(1);
      await session.close();
    });

    test('is not held up by a `sh` that lies', async () => {
      const { target } = await fixture.runContainer();
      const { engine } = fixture;
      const lie = async (script: string): Promise<void> => {
        const lay = 'rm /bin/sh; printf "#!/bin/busybox sh\\n%s\\n" "$1" >/bin/sh; chmod 755 /bin/sh';
        await engine.exec(target, { cmd: ['busybox', 'sh', '-c', lay, 'sh', script], check: true });
      };
      for (const script of ['cat', 'yes', 'yes >&2', 'exit 0', 'while read x; do echo "$x:0"; echo "$x:0" >&2; done']) {
        await lie(script);
        await expect(engine.openSession(target)).rejects.toMatchObject({ code: 'PROTOCOL', applied: 'no' });
      }
    });
  });
});

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
