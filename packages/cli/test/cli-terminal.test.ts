/** The command on a pseudo-terminal, as a person has it. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { spawn } from '@lydell/node-pty';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createKubeletStylePod, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { programPath, runCrikitProcess } from './crikit-process.js';

const controlStart = '\u001b';
const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 20_000, interval: 10 });

describeWithDocker('the command on a terminal', ({ socketPath }) => {
  const namespace = `cli-${randomUUID().slice(0, 8)}`;
  const lonely = `${namespace}-lonely`;
  const { PATH = '', HOME = '' } = process.env;
  const environment = { PATH, HOME, DOCKER_HOST: `unix://${socketPath}`, TERM: 'xterm-256color' };

  let folder: string;
  let pod: Awaited<ReturnType<typeof createKubeletStylePod>>;
  let id: string | undefined;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'crikit-terminal-'));
    pod = await createKubeletStylePod(socketPath, {
      namespace,
      name: 'web-0',
      containers: [{ name: 'main' }, { name: 'log-sidecar' }],
    });
    ({ id } = await runContainer(socketPath, { name: lonely }));
  });
  afterAll(async () => {
    await pod?.remove();
    if (id !== undefined) await removeContainer(socketPath, id);
    rmSync(folder, { recursive: true, force: true });
  });

  function open(file: string, words: readonly string[], { columns = 100, rows = 30 } = {}) {
    const terminal = spawn(file, [...words], { cols: columns, rows, env: environment, name: environment.TERM });
    let shown = '';
    terminal.onData((text) => {
      shown += text;
    });
    const exitCode = new Promise<number>((resolve) => {
      terminal.onExit(({ exitCode: code }) => resolve(code));
    });
    return {
      terminal,
      exitCode,
      shown: () => shown,
      /** What comes from now on. */
      forget: () => {
        shown = '';
      },
      until: (pattern: RegExp) => until(() => expect(stripVTControlCharacters(shown)).toMatch(pattern)),
    };
  }
  const crikit = (words: readonly string[], size = {}) =>
    open(process.execPath, [programPath, '--engine', 'docker', ...words], size);

  test('exec -it has the size of the terminal, and follows it', async () => {
    const {
      terminal,
      until: untilShown,
      shown,
      forget,
      exitCode,
    } = crikit(['exec', '-it', lonely, '--', 'sh'], { columns: 91, rows: 33 });
    await untilShown(/# $/);
    terminal.write('stty size\r');
    await untilShown(/33 91\r+\n/);
    forget();
    terminal.resize(117, 41);
    // The new size goes through the engine, and nobody tells when it has arrived: ask until it has.
    await vi.waitFor(
      () => {
        terminal.write('stty size\r');
        expect(shown()).toMatch(/41 117\r+\n/);
      },
      { timeout: 20_000, interval: 300 },
    );
    terminal.write('exit 5\r');
    expect(await exitCode).toBe(5);
  });

  test('exec -it hands Ctrl-C to the command, and goes on', async () => {
    const { terminal, until: untilShown, exitCode } = crikit(['exec', '-it', `${namespace}/web-0`, '--', 'sh']);
    await untilShown(/# $/);
    // Once it has run a command the shell has given the terminal back to it.
    terminal.write('echo now; sleep 6543210\r');
    await untilShown(/\nnow\r+\n/);
    terminal.write('\u0003');
    await untilShown(/\^C/);
    terminal.write('echo "ended with $?"\r');
    await untilShown(/ended with 130\r+\n/);
    terminal.write('exit 0\r');
    expect(await exitCode).toBe(0);
  });

  test('exec without -it is ended by Ctrl-C', async () => {
    const {
      terminal,
      until: untilShown,
      exitCode,
    } = crikit(['exec', lonely, '--', 'sh', '-c', 'echo ready; sleep 5432109']);
    await untilShown(/ready/);
    terminal.write('\u0003');
    expect(await exitCode).toBe(130);
    const { stdout } = await runCrikitProcess(['--engine', 'docker', 'processes', lonely], environment);
    expect(stdout).not.toContain('5432109');
  });

  test('exec -it leaves the terminal as it was', async () => {
    const command = `stty -a > ${folder}/before; "${process.execPath}" "${programPath}" --engine docker exec -it ${lonely} -- sh -c 'echo here'; stty -a > ${folder}/after`;
    const { exitCode, until: untilShown } = open('bash', ['-c', command]);
    await untilShown(/here/);
    expect(await exitCode).toBe(0);
    expect(readFileSync(join(folder, 'after'), 'utf8')).toBe(readFileSync(join(folder, 'before'), 'utf8'));
  });

  test.each([200, 80, 44])('ps fits a terminal of %i columns', async (columns) => {
    const { exitCode, shown } = crikit(['ps', '-n', namespace], { columns });
    expect(await exitCode).toBe(0);
    const lines = stripVTControlCharacters(shown()).trimEnd().split('\r\n');
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
    expect(lines[2]).toContain('main');
    expect(shown()).toContain(`${controlStart}[32mrunning`);
  });

  test('ps --watch draws anew when a container comes and when the size changes, and cleans up at Ctrl-C', async () => {
    const {
      terminal,
      exitCode,
      shown,
      forget,
      until: untilShown,
    } = crikit(['ps', '--watch'], { columns: 150, rows: 40 });
    await untilShown(new RegExp(lonely));
    expect(shown()).toContain(`${controlStart}[?1049h`);
    const name = `${namespace}-later`;
    const { id: later } = await runContainer(socketPath, { name });
    try {
      await untilShown(new RegExp(name));
      forget();
      terminal.resize(60, 40);
      await until(() => {
        const lines = stripVTControlCharacters(shown()).split('\r\n');
        const header = lines.findLastIndex((line) => line.startsWith('ID'));
        expect(lines[header]).not.toMatch(/IMAGE/);
        for (const line of lines.slice(header)) expect(line.length).toBeLessThanOrEqual(60);
      });
    } finally {
      await removeContainer(socketPath, later);
    }
    terminal.write('\u0003');
    expect(await exitCode).toBe(130);
    expect(shown().endsWith(`${controlStart}[?25h${controlStart}[?1049l`)).toBe(true);
  });

  test('cp shows how far it is, and takes it away again', async () => {
    writeFileSync(join(folder, 'big'), Buffer.alloc(48 * 1024 * 1024));
    const { exitCode, shown } = crikit(['cp', join(folder, 'big'), `${lonely}:/tmp/`]);
    expect(await exitCode).toBe(0);
    expect(shown()).toMatch(/copying \[[-=]+\] \d+% .* of 48\.0 MiB/);
    expect(stripVTControlCharacters(shown())).toMatch(/Copied big, 48\.0 MiB, by way of host\.\r\n$/);
  });

  test('help is as wide as the terminal', async () => {
    const { exitCode, shown } = crikit(['exec', '--help'], { columns: 70 });
    expect(await exitCode).toBe(0);
    expect(shown()).toContain('Usage: crikit exec');
  });
});
