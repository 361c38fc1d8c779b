/** Each command as a new user would try it, on a real dockerd. */
import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createKubeletStylePod, IMAGES, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { type CrikitResult, programPath, runCrikitProcess, startCrikit } from './crikit-process.js';

const until = (check: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 20_000, interval: 20 });

describeWithDocker('the command on dockerd', ({ socketPath }) => {
  const namespace = `cli-${randomUUID().slice(0, 8)}`;
  const lonely = `${namespace}-lonely`;
  const environment = { DOCKER_HOST: `unix://${socketPath}` };
  const crikit = (words: readonly string[], input?: string | Uint8Array): Promise<CrikitResult> =>
    runCrikitProcess(['--engine', 'docker', ...words], environment, input);
  const json = async (words: readonly string[]) => {
    const { exitCode, stdout, stderr } = await crikit([...words, '-o', 'json']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    return JSON.parse(stdout);
  };

  let folder: string;
  let pod: Awaited<ReturnType<typeof createKubeletStylePod>>;
  let container: Awaited<ReturnType<typeof runContainer>>;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'crikit-cli-'));
    pod = await createKubeletStylePod(socketPath, {
      namespace,
      name: 'web-0',
      labels: { app: 'web' },
      containers: [{ name: 'main', image: IMAGES.users, env: { PASSWORD: 'swordfish' } }, { name: 'log-sidecar' }],
    });
    container = await runContainer(socketPath, { name: lonely });
  });
  afterAll(async () => {
    await pod?.remove();
    if (container !== undefined) await removeContainer(socketPath, container.id);
    rmSync(folder, { recursive: true, force: true });
  });

  test('engines says that it is connected, and by whom it was named', async () => {
    const { exitCode, stdout } = await crikit(['engines']);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(new RegExp(`^docker +connected +\\S+ +${socketPath} +named by the environment$`, 'm'));
  });

  test('engines says of a socket that does not answer why, and of one that is missing too', async () => {
    const { exitCode, stdout } = await runCrikitProcess(['engines', '--engine', 'docker'], {
      DOCKER_HOST: `unix://${folder}/nothing.sock`,
    });
    expect(exitCode).toBe(5);
    expect(stdout).toContain(`${folder}/nothing.sock`);
  });

  test('pods and ps show the pod with the roles of its containers', async () => {
    expect((await crikit(['pods', '-n', namespace])).stdout).toMatch(
      new RegExp(`^${namespace} +web-0 +Running +main +log-sidecar +\\d+s`, 'm'),
    );
    const { items } = await json(['ps', '-n', namespace]);
    expect(items.map(({ containerName, role }: Record<string, string>) => [containerName, role])).toEqual([
      ['log-sidecar', 'sidecar'],
      ['main', 'biz'],
    ]);
  });

  test('a pid, a name, a prefix and a path of names mean the same container', async () => {
    const { items } = await json(['ps', '-n', namespace, '--role', 'biz']);
    const { pid, shortId, id } = items[0];
    for (const target of [String(pid), shortId, `${namespace}/web-0/main`, `${namespace}/web-0/main`]) {
      expect((await json(['inspect', target])).item, target).toMatchObject({ id, env: { PASSWORD: '***' } });
    }
  });

  test('exec gives exit code and output, and runs in the container', async () => {
    const script = 'cat /etc/hostname; echo complaint >&2; exit 7';
    expect(await crikit(['exec', lonely, '--', 'sh', '-c', script])).toEqual({
      exitCode: 7,
      stdout: `${container.id.slice(0, 12)}\n`,
      stderr: 'complaint\n',
    });
  });

  test('exec takes user, directory and variables', async () => {
    const words = [
      'exec',
      '-u',
      'app',
      '-w',
      '/tmp',
      '-e',
      'WORD=a b',
      `${namespace}/web-0`,
      'sh',
      '-c',
      'id -u; pwd; echo $WORD',
    ];
    expect((await crikit(words)).stdout).toBe('1000\n/tmp\na b\n');
  });

  test('exec passes bytes on unchanged, in and out', async () => {
    const bytes = randomBytes(1024 * 1024);
    const { exitCode, stdout } = await crikit(['exec', '-i', lonely, 'cat'], bytes);
    expect(exitCode).toBe(0);
    expect(Buffer.from(stdout, 'latin1').equals(bytes)).toBe(true);
  });

  const isRunning = async (marker: string): Promise<boolean> =>
    (await json(['processes', lonely])).items.some(({ command }: { command: string[] }) => command.includes(marker));

  test('exec kills the command when the time is up', async () => {
    const { exitCode, stderr } = await crikit(['exec', '--timeout', '0.5', lonely, 'sleep', '7654321']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 124, stderr: expect.stringMatching(/^crikit: .+\n$/) });
    expect(await isRunning('7654321')).toBe(false);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('exec kills the command at %s', async (signal) => {
    const running = startCrikit(
      ['--engine', 'docker', 'exec', lonely, '--', 'sh', '-c', 'echo ready; sleep 8765432'],
      environment,
    );
    await until(() => expect(running.written.stdout).toBe('ready\n'));
    running.kill(signal);
    expect(await running.result).toMatchObject({ exitCode: signal === 'SIGINT' ? 130 : 143, stderr: '' });
    expect(await isRunning('8765432')).toBe(false);
  });

  test('exec tells the reasons of its own apart by exit codes', async () => {
    expect(await crikit(['exec', lonely, 'nosuch'])).toMatchObject({ exitCode: 127 });
    expect(await crikit(['exec', '-u', 'nobody-here', lonely, 'true'])).toMatchObject({ exitCode: 126 });
    expect(await crikit(['exec', '-w', '/nowhere', lonely, 'true'])).toMatchObject({ exitCode: 126 });
    expect(await crikit(['exec', 'nothing-like-it', 'true'])).toMatchObject({ exitCode: 125 });
  });

  test('cp brings directories in and out', async () => {
    mkdirSync(join(folder, 'site', 'deep'), { recursive: true });
    writeFileSync(join(folder, 'site', 'deep', 'page'), 'hello');
    expect(await crikit(['cp', join(folder, 'site'), `${lonely}:/tmp`])).toEqual({
      exitCode: 0,
      stdout: 'Copied 3 files and directories, 5 B, by way of host.\n',
      stderr: '',
    });
    expect((await crikit(['exec', lonely, 'cat', '/tmp/site/deep/page'])).stdout).toBe('hello');
    expect((await json(['cp', `${lonely}:/tmp/site`, join(folder, 'back')])).item).toMatchObject({
      method: 'host',
      entries: 3,
    });
    expect(readFileSync(join(folder, 'back', 'deep', 'page'), 'utf8')).toBe('hello');
    expect(
      (await json(['cp', '--method', 'engine', `${lonely}:/tmp/site`, `${join(folder, 'again')}/`])).item.method,
    ).toBe('engine');
    expect(readFileSync(join(folder, 'again', 'site', 'deep', 'page'), 'utf8')).toBe('hello');
  });

  test('tz, processes, files and cat look into the container', async () => {
    const target = `${namespace}/web-0`;
    expect((await json(['tz', target])).item).toMatchObject({
      name: 'Asia/Shanghai',
      offsetSeconds: 28_800,
      abbreviation: 'CST',
    });
    const { items } = await json(['processes', target]);
    expect(items).toMatchObject([{ containerPid: 1, user: 'root', command: ['sleep', '1000000'] }]);
    const files = (await json(['files', `${target}:/etc`])).items;
    expect(files.find(({ name }: { name: string }) => name === 'localtime')).toMatchObject({
      type: 'symlink',
      path: '/etc/localtime',
      linkTarget: expect.stringContaining('Asia/Shanghai'),
    });
    expect((await crikit(['cat', `${target}:/etc/passwd`])).stdout).toContain('app:');
    expect(await crikit(['cat', `${target}:/nothing`])).toMatchObject({ exitCode: 3, stdout: '' });
  });

  test('logs follows a log across rotation by dockerd, and ends with the container', async () => {
    const name = `${namespace}-chatty`;
    const lines = 400;
    const script = `i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo "line $i of many, some of which are rotated away"; [ $((i % 20)) != 0 ] || sleep 0.05; done; echo done >&2`;
    const { id } = await runContainer(socketPath, {
      name,
      cmd: ['sh', '-c', script],
      hostConfig: { LogConfig: { Type: 'json-file', Config: { 'max-size': '8k', 'max-file': '20' } } },
    });
    try {
      const { exitCode, stdout, stderr } = await crikit(['logs', '--follow', name]);
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: 'done\n' });
      const numbers = stdout
        .trim()
        .split('\n')
        .map((line) => Number(/^line (\d+) /.exec(line)?.[1]));
      expect(numbers).toEqual(Array.from({ length: lines }, (_, index) => index + 1));
      const tail = await crikit(['logs', '--tail', '3', '--stdout', id.slice(0, 12)]);
      expect(tail.stdout.split('\n').map((line) => line.split(' ')[1])).toEqual(['398', '399', '400', undefined]);
    } finally {
      await removeContainer(socketPath, id);
    }
  });

  test('logs joins what dockerd has cut into pieces', async () => {
    const { id } = await runContainer(socketPath, {
      cmd: ['sh', '-c', 'head -c 40000 /dev/zero | tr "\\0" x; echo; printf end'],
    });
    try {
      await until(async () => expect((await crikit(['logs', id])).stdout).toBe(`${'x'.repeat(40_000)}\nend`));
    } finally {
      await removeContainer(socketPath, id);
    }
  });

  test('logs says what to do where dockerd keeps none', async () => {
    const { id } = await runContainer(socketPath, { hostConfig: { LogConfig: { Type: 'none' } } });
    try {
      expect(await crikit(['logs', id])).toMatchObject({ exitCode: 8, stderr: expect.stringContaining('json-file') });
    } finally {
      await removeContainer(socketPath, id);
    }
  });

  test('events tells of a container that comes and goes', async () => {
    const running = startCrikit(['--engine', 'docker', 'events'], environment);
    await until(() => expect(running.written.stderr).toContain('following'));
    const name = `${namespace}-brief`;
    const { id } = await runContainer(socketPath, { name });
    await until(() => expect(running.written.stdout).toMatch(new RegExp(`${name} .*running`)));
    await removeContainer(socketPath, id);
    await until(() => expect(running.written.stdout).toMatch(new RegExp(`container-removed .*${name}  removed`)));
    running.kill('SIGINT');
    expect(await running.result).toMatchObject({ exitCode: 130 });
    expect(running.written.stdout).not.toContain(lonely);
  });

  test('a reader that goes away ends the command without a word', () => {
    const script = `"${process.execPath}" "${programPath}" --engine docker ps --all -o json | head -c 1; echo " \${PIPESTATUS[0]}"`;
    const output = execFileSync('bash', ['-c', `{ ${script}; } 2>&1`], { env: { ...process.env, ...environment } });
    expect(output.toString()).toMatch(/^\{ (0|141)\n$/);
  });

  test('a reader that goes away ends the command in the container too', async () => {
    const command = `"${process.execPath}" "${programPath}" --engine docker exec ${lonely} -- sh -c 'while true; do echo 9876543; done'`;
    const output = execFileSync('bash', ['-c', `{ ${command} | head -n 1; echo "\${PIPESTATUS[0]}"; } 2>&1`], {
      env: { ...process.env, ...environment },
    });
    expect(output.toString()).toBe('9876543\n141\n');
    const { items } = await json(['processes', lonely]);
    expect(items.filter(({ command: words }: { command: string[] }) => words.join(' ').includes('9876543'))).toEqual(
      [],
    );
  });

  test('completion of bash knows commands, options, and names of pods', () => {
    const complete = (line: string): string[] => {
      const script = `crikit() { "${process.execPath}" "${programPath}" --engine docker "$@"; }
        source <(crikit completion bash)
        COMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _crikit; printf '%s\\n' "\${COMPREPLY[@]}"`;
      const output = execFileSync('bash', ['-c', script], { env: { ...process.env, ...environment } });
      return output.toString().trim().split('\n');
    };
    expect(complete('crikit p')).toEqual(['pods', 'ps', 'processes']);
    expect(complete('crikit ps --ro')).toEqual(['--role']);
    expect(complete('crikit ps --role s')).toEqual(['sidecar', 'sandbox']);
    expect(complete('crikit -o y')).toEqual(['yaml']);
    expect(complete(`crikit -o json exec ${namespace}/web-0/m`)).toEqual([`${namespace}/web-0/main`]);
  });
});
