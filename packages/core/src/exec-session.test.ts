import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { ContainerEngine } from './container-engine.js';
import { createContainerEngine } from './create-container-engine.js';
import { fakeDefinition } from './engine-test-double.js';
import { type LocalShellDriver, localShellDriver } from './local-shell-driver.js';

// The older bash makes files of here-documents, as mksh does.
const shells = [['dash'], ['bash'], ['env', 'BASH_COMPAT=5.0', 'bash'], ['busybox', 'sh'], ['mksh']].filter(
  ([program = '', ...rest]) => spawnSync(program, [...rest, '-c', ':']).status === 0,
);

let engine: ContainerEngine | undefined;
let driver: LocalShellDriver | undefined;
afterEach(async () => {
  await engine?.close();
  // Those that are made to be hostile must not outlive the test, whatever becomes of it.
  for (const pid of driver?.pids ?? []) process.kill(-pid, 'SIGKILL');
});

function connect(shell: readonly string[]): { engine: ContainerEngine; driver: LocalShellDriver } {
  driver = localShellDriver(shell);
  engine = createContainerEngine(fakeDefinition(), driver, { hostRoot: '/' });
  return { engine, driver };
}

describe.each(shells)('a session in %s %s %s', (...shell) => {
  const open = async (options = {}) => {
    const { engine, driver } = connect(shell.filter((each) => each !== undefined));
    return { driver, session: await engine.openSession('c', options) };
  };

  test('hands arguments, variables and input on as they are', { timeout: 30_000 }, async () => {
    const { session, driver } = await open();
    const text = fc.string({ unit: 'binary' }).map((each) => each.replaceAll('\0', ''));
    const print = 'for each; do printf "%s\\000" "$each"; done; printf "%s\\000" "$VALUE"; cat';
    await fc.assert(
      fc.asyncProperty(fc.array(text), text, fc.uint8Array(), async (words, value, input) => {
        const { stdout, stderr, exitCode } = await session.exec({
          cmd: ['sh', '-c', print, 'sh', ...words],
          env: { VALUE: value },
          input,
        });
        const expected = [...words, value].map((each) => `${each}\0`).join('');
        expect(stdout.equals(Buffer.concat([Buffer.from(expected), input]))).toBe(true);
        expect([stderr.length, exitCode]).toEqual([0, 0]);
      }),
      { numRuns: 50 },
    );
    expect(driver.starts).toHaveLength(1);
  });

  test.each([
    ['is not there', { cmd: ['no-such-command'] }, 'COMMAND_NOT_FOUND'],
    ['is no program', { cmd: ['/etc/passwd'] }, 'COMMAND_NOT_FOUND'],
    ['is a directory', { cmd: ['/etc'] }, 'COMMAND_NOT_FOUND'],
    ['has no directory to work in', { cmd: ['true'], workingDir: '/no/such' }, 'WORKDIR_NOT_FOUND'],
  ])('tells that a command %s', async (_what, request, code) => {
    const { session } = await open();
    await expect(session.exec(request)).rejects.toMatchObject({ code, applied: 'no' });
  });

  test('has the exit code of a command that was killed, and nothing of the shell’s in its output', async () => {
    const { session } = await open();
    const { exitCode, stdout, stderr } = await session.exec({ cmd: ['sh', '-c', 'kill -9 $$'] });
    expect([exitCode, stdout.length, stderr.length]).toEqual([137, 0, 0]);
  });

  test('ends when its input does, without having been told', async () => {
    const { driver } = await open();
    const [pid = 0] = driver.pids;
    await engine?.close();
    await vi.waitFor(() => expect(driver.pids.has(pid)).toBe(false));
  });

  test('ends by itself some time after the agent’s own limit when nobody closes its input', async () => {
    const { driver } = await open({ idleTimeoutMs: 86_400_000 });
    const script = [...(driver.starts[0] ?? [])];
    // One second instead of a day, with an input that stays open.
    script[script.length - 1] = '1';
    const [program = '', ...rest] = [...shell.filter((each) => each !== undefined), ...script.slice(1)];
    const startedAt = performance.now();
    const pipe = 'exec 5<>"$0"; rm "$0"; shift 0; exec "$@" <&5';
    const fifo = `/tmp/crikit-session-${process.pid}-${Math.floor(startedAt)}`;
    expect(spawnSync('mkfifo', [fifo]).status).toBe(0);
    const { signal, status } = spawnSync('bash', ['-c', pipe, fifo, program, ...rest], { timeout: 10_000 });
    expect([signal, status]).not.toEqual(['SIGTERM', null]);
    expect(performance.now() - startedAt).toBeLessThan(9_000);
  }, 15_000);
});

describe('what does not fit in a line', () => {
  test.each([
    ['a stream', { cmd: ['cat'], input: [Buffer.from('x')] as unknown as AsyncIterable<Uint8Array> }],
    ['much input', { cmd: ['wc', '-c'], input: Buffer.alloc(100_000) }],
    ['a long command', { cmd: ['true', 'x'.repeat(40_000)] }],
    ['a variable that no shell exports', { cmd: ['env'], env: { 'a.b': 'c' } }],
    ['a variable of the shell’s own', { cmd: ['env'], env: { PWD: '/x' } }],
  ])('%s runs in an exec of its own', async (_what, request) => {
    const { engine, driver } = connect(['dash']);
    const session = await engine.openSession('c');
    expect(await session.exec(request)).toMatchObject({ exitCode: 0 });
    expect(driver.starts).toHaveLength(2);
  });
});

describe('a `sh` that is none', () => {
  const fake = (program: string) => [process.execPath, '-e', program, '--'];
  // Answers the greeting as a shell does, then `behaves` with each line.
  const greeting = (behaves: string) =>
    fake(`
      let greeted = false;
      process.stdout.on('error', () => process.exit());
      require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
        const [, begin, end] = /crikit_run (\\w+) (\\w+)/.exec(line) ?? [];
        if (!greeted) { greeted = true; const mark = line.split(' ')[1]; console.log(mark); console.error(mark); return; }
        ${behaves}
      });
    `);

  test.each([
    [
      'floods',
      fake('const more = (error) => error ? process.exit() : process.stdout.write("x".repeat(65536), more); more()'),
    ],
    ['says what it hears', fake('process.stdin.pipe(process.stdout); process.stdin.pipe(process.stderr)')],
    ['ends', fake('')],
  ])(
    'is refused when it %s',
    async (_what, shell) => {
      const { engine, driver } = connect(shell);
      await expect(engine.openSession('c')).rejects.toMatchObject({ code: 'PROTOCOL', applied: 'no' });
      // The first is the `sh`; others look for what it may have started.
      const sh = driver.first;
      await vi.waitFor(() => expect(sh !== undefined && driver.pids.has(sh)).toBe(false), 10_000);
    },
    30_000,
  );

  test.each([
    ['is silent', '', { timeoutMs: 300 }, { code: 'TIMEOUT' }],
    [
      'floods instead of answering',
      'console.log(begin); console.error(begin); setInterval(() => process.stdout.write("x".repeat(65536)), 1)',
      { maxOutputBytes: 1_000_000 },
      { code: 'TOO_LARGE' },
    ],
    [
      'has exit codes of its own kind',
      'console.log(begin); console.error(begin); console.log(end + ":1e9")',
      {},
      { code: 'PROTOCOL' },
    ],
    ['ends each time', 'process.exit(0)', {}, { code: 'CLOSED', applied: 'no' }],
  ])(
    'cannot hold the agent up when it %s',
    async (_what, behaves, options, expected) => {
      const { engine } = connect(greeting(behaves));
      const session = await engine.openSession('c');
      await expect(session.exec({ cmd: ['true'], ...options })).rejects.toMatchObject(expected);
      await session.close();
    },
    30_000,
  );
});
