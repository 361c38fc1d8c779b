/** The command on containerd's own API: pods of its CRI, their logs, and other namespaces. */
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, renameSync } from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { type CriPod, createCriPod } from '../../../tools/lab/cri-pods.mjs';
import { describeWithEngine } from '../../../tools/test-support/lab.js';
import { type CrikitResult, runCrikitProcess, startCrikit } from './crikit-process.js';

const until = (check: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 20_000, interval: 20 });

describeWithEngine('containerd', 'the command on containerd', (daemon) => {
  const namespace = `cli-${randomUUID().slice(0, 8)}`;
  const environment = { CONTAINERD_ADDRESS: daemon.socketPath };
  const crikit = (words: readonly string[], input?: string): Promise<CrikitResult> =>
    runCrikitProcess(['--engine', 'containerd', ...words], environment, input);
  const target = `${namespace}/db-0`;

  let pod: CriPod;
  beforeAll(async () => {
    const script = 'echo first; echo complaint >&2; head -c 40000 /dev/zero | tr "\\0" x; echo; exec sleep 1000000';
    pod = await createCriPod(daemon, {
      namespace,
      name: 'db-0',
      labels: { app: 'db' },
      containers: [{ name: 'main', cmd: ['sh', '-c', script], env: { PASSWORD: 'swordfish' } }],
    });
  });
  afterAll(() => pod?.remove());

  test('ps, inspect and exec work as on any engine', async () => {
    expect((await crikit(['ps', '-n', namespace, '-o', 'name'])).stdout).toBe(`${target}/main\n`);
    const { stdout } = await crikit(['inspect', target, '-o', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({ kind: 'pod', item: { app: 'db', uid: pod.uid } });
    expect(stdout).not.toContain('swordfish');
    expect(await crikit(['exec', '-i', target, '--', 'sh', '-c', 'cat; exit 9'], 'hello')).toMatchObject({
      exitCode: 9,
      stdout: 'hello',
    });
  });

  test('logs reads the format of Kubernetes, with long lines made whole', async () => {
    await until(async () => {
      const { stdout, stderr } = await crikit(['logs', target]);
      expect({ stdout, stderr }).toEqual({ stdout: `first\n${'x'.repeat(40_000)}\n`, stderr: 'complaint\n' });
    });
    expect((await crikit(['logs', target, '--tail', '2', '--stdout'])).stdout).toBe(`first\n${'x'.repeat(40_000)}\n`);
    expect((await crikit(['logs', target, '--since', '1h', '--stderr', '-t'])).stderr).toMatch(
      /^\d{4}-\S+Z complaint\n$/,
    );
  });

  test('logs follows a log that is rotated as a kubelet does it', async () => {
    const { stdout } = await crikit(['inspect', `${target}/main`, '-o', 'json']);
    const { logPath } = JSON.parse(stdout).item;
    expect(existsSync(logPath)).toBe(true);
    const running = startCrikit(['--engine', 'containerd', 'logs', '--follow', '--tail', '0', target], environment);
    const line = (text: string): string => `${new Date().toISOString()} stdout F ${text}\n`;
    // The runtime goes on writing nothing here, so the test may write in its place.
    await until(() => {
      appendFileSync(logPath, line('tick'));
      expect(running.written.stdout).toContain('tick');
    });
    appendFileSync(logPath, line('old'));
    renameSync(logPath, `${logPath}.20260131-080000`);
    appendFileSync(logPath, line('new'));
    await until(() => expect(running.written.stdout).toMatch(/old\nnew\n$/));
    running.kill('SIGINT');
    expect(await running.result).toMatchObject({ exitCode: 130, stderr: '' });
  });

  test('processes and files look into the container', async () => {
    const { stdout } = await crikit(['processes', target, '-o', 'json']);
    expect(JSON.parse(stdout).items).toMatchObject([{ containerPid: 1, command: ['sleep', '1000000'] }]);
    expect((await crikit(['files', target, '/', '-o', 'name'])).stdout).toContain('/proc\n');
  });

  test('looks into the namespaces that are named, and into no other', async () => {
    const names = async (words: readonly string[], settings = {}): Promise<string> =>
      (
        await runCrikitProcess(['--engine', 'containerd', 'ps', '-o', 'name', ...words], {
          ...environment,
          ...settings,
        })
      ).stdout;
    expect(await names(['--containerd-namespace', 'default'])).not.toContain(target);
    expect(await names(['--containerd-namespace', 'default', '--containerd-namespace', 'k8s.io'])).toContain(target);
    expect(await names([], { CONTAINERD_NAMESPACE: 'default' })).not.toContain(target);
  });
});
