/** The command on Podman, whose log files are those of Kubernetes. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { removePodmanContainer, runPodmanContainer } from '../../../tools/lab/podman-daemon.mjs';
import { describeWithEngine } from '../../../tools/test-support/lab.js';
import { type CrikitResult, runCrikitProcess } from './crikit-process.js';

describeWithEngine('podman', 'the command on Podman', (daemon) => {
  const name = `cli-${randomUUID().slice(0, 8)}`;
  const crikit = (words: readonly string[]): Promise<CrikitResult> =>
    runCrikitProcess(['--engine', 'podman', ...words], { CONTAINER_HOST: `unix://${daemon.socketPath}` });

  let id: string;
  beforeAll(async () => {
    ({ id } = await runPodmanContainer(daemon, {
      name,
      cmd: ['sh', '-c', 'echo out; echo complaint >&2; exec sleep 1000000'],
    }));
  });
  afterAll(() => removePodmanContainer(daemon, id));

  test('ps and exec work as on any engine', async () => {
    expect((await crikit(['ps', '-o', 'name'])).stdout.split('\n')).toContain(name);
    expect(await crikit(['exec', name, '--', 'sh', '-c', 'echo here; exit 4'])).toEqual({
      exitCode: 4,
      stdout: 'here\n',
      stderr: '',
    });
  });

  test('logs reads what Podman keeps', async () => {
    await vi.waitFor(
      async () => expect(await crikit(['logs', name])).toEqual({ exitCode: 0, stdout: 'out\n', stderr: 'complaint\n' }),
      { timeout: 20_000, interval: 50 },
    );
  });
});
