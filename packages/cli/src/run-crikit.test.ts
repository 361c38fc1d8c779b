import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { registerEngine } from '@crikit/core';
import { createInMemoryEngine, type InMemoryEngineControl } from '@crikit/engine-conformance';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { InterruptedError } from './errors/interrupted-error.js';
import { packageVersion } from './package-version.js';
import { type RunInTestOptions, runInTest } from './run-in-test.js';

let type: string;
let control: InMemoryEngineControl;
let engines = 0;
let folder: string;
const home = process.cwd();

beforeEach(() => {
  engines += 1;
  type = `memory${engines}`;
  const engine = createInMemoryEngine({
    type,
    commands: {
      fail: ({ stderr }) => {
        stderr.write('no luck\n');
        return 42;
      },
      // What the container's own does with a path.
      cat: async ({ cmd, stdin, stdout, stderr }) => {
        if (cmd.length === 1) for await (const chunk of stdin) stdout.write(chunk);
        else if (cmd[2] === '/etc/motd') stdout.write('welcome\n');
        else stderr.write("can't open it\n");
        return cmd.length === 1 || cmd[2] === '/etc/motd' ? 0 : 1;
      },
      show: ({ cmd, env, user, workingDir, stdout }) => {
        stdout.write(JSON.stringify({ cmd, user, workingDir, secret: env.SECRET, given: env.GIVEN }));
        return 0;
      },
    },
  });
  control = engine.control;
  registerEngine(engine.definition);
  control.addPod({
    namespace: 'shop',
    name: 'web-0',
    labels: { app: 'web' },
    containers: [
      { k8sName: 'main', image: 'web:1', env: { SECRET: 'swordfish' } },
      { k8sName: 'log-sidecar', image: 'log:2' },
    ],
  });
  control.addContainer({ name: 'lonely', status: 'running', image: 'tool:3', files: { '/srv/a': 'text' } });
  control.addContainer({ name: 'gone', status: 'exited', exitCode: 1, image: 'tool:3' });
  folder = mkdtempSync(join(tmpdir(), 'crikit-run-'));
});
afterEach(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
});

/** With the engine of the test alone. */
const crikit = (words: readonly string[], options: RunInTestOptions = {}) =>
  runInTest(['--engine', type, '--host-root', folder, ...words], options);
const json = async (words: readonly string[]) => {
  const { exitCode, stdout, stderr } = await crikit([...words, '-o', 'json']);
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  return JSON.parse(stdout);
};

describe('the command line', () => {
  test('without a command prints help, as --help does', async () => {
    const bare = await runInTest([]);
    expect(bare).toMatchObject({ exitCode: 0, stderr: '' });
    expect(bare.stdout).toContain('Usage: crikit');
    expect((await runInTest(['--help'])).stdout).toBe(bare.stdout);
  });

  test('prints the version of the package', async () => {
    expect(await runInTest(['--version'])).toEqual({ exitCode: 0, stdout: `${packageVersion}\n`, stderr: '' });
  });

  test.each([
    [['pss'], "unknown command 'pss'"],
    [['ps', '--role', 'boss'], 'Allowed choices are'],
    [['ps', '--nope'], "unknown option '--nope'"],
    [['inspect'], "missing required argument 'target'"],
    [['exec', 'lonely'], "missing required argument 'command'"],
    [['exec', '--timeout', '0', 'lonely', 'true'], 'more than 0'],
    [['-o', 'xml', 'ps'], 'Allowed choices are'],
  ])('%j is a mistake: exit code 2, and what to do', async (words, message) => {
    const { exitCode, stdout, stderr } = await runInTest(words);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/Run 'crikit.* --help' to see what it takes/);
  });

  test('takes the options for all commands before and after the name of the command', async () => {
    const before = await runInTest(['-o', 'name', '--engine', type, 'ps']);
    expect(before.exitCode).toBe(0);
    expect(await runInTest(['ps', '--engine', type, '-o', 'name'])).toEqual(before);
  });
});

describe('ps', () => {
  test('shows what runs, pods first, without sandboxes', async () => {
    const { stdout } = await crikit(['ps']);
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/).slice(1, 6))).toEqual([
      ['NAMESPACE', 'POD', 'CONTAINER', 'ROLE', 'STATUS'],
      ['shop', 'web-0', 'log-sidecar', 'sidecar', 'running'],
      ['shop', 'web-0', 'main', 'biz', 'running'],
      ['-', '-', 'lonely', '-', 'running'],
      [],
    ]);
  });

  test.each([
    [[], ['shop/web-0/log-sidecar', 'shop/web-0/main', 'lonely']],
    [['--role', 'biz'], ['shop/web-0/main']],
    [
      ['--namespace', 'shop'],
      ['shop/web-0/log-sidecar', 'shop/web-0/main'],
    ],
    [['--namespace', 'other'], []],
  ])('%j prints the names that TARGET takes', async (words, names) => {
    const { stdout } = await crikit(['ps', '-o', 'name', ...words]);
    expect(stdout).toBe(names.map((name) => `${name}\n`).join(''));
  });

  test('shows everything when asked to', async () => {
    const { items } = await json(['ps', '--all']);
    expect(items.map(({ role, status }: { role?: string; status: string }) => [role, status])).toEqual([
      ['sandbox', 'running'],
      ['sidecar', 'running'],
      ['biz', 'running'],
      [undefined, 'exited'],
      [undefined, 'running'],
    ]);
  });

  test('says that there is nothing on stderr, and succeeds', async () => {
    expect(await crikit(['ps', '--namespace', 'other'])).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: 'No containers of namespace other run on this node; --all shows those that do not run.\n',
    });
  });

  test('fits the terminal that it is on', async () => {
    for (const columns of [200, 80, 40]) {
      const { stdout } = await crikit(['ps'], { terminal: { columns, rows: 24 }, environment: { NO_COLOR: '1' } });
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(columns);
      expect(stdout).toContain('main');
    }
  });

  test('has colours on a terminal alone, and not when they are not wanted', async () => {
    const terminal = { columns: 80, rows: 24 };
    const colorStart = '\u001b[';
    expect((await crikit(['ps'], { terminal })).stdout).toContain(colorStart);
    expect((await crikit(['ps'])).stdout).not.toContain(colorStart);
    expect((await crikit(['ps', '--no-color'], { terminal })).stdout).not.toContain(colorStart);
    expect((await crikit(['ps'], { terminal, environment: { NO_COLOR: '1' } })).stdout).not.toContain(colorStart);
  });

  test('--watch prints the list again at each change until it is interrupted', async () => {
    const interruption = new AbortController();
    const running = crikit(['ps', '--watch', '-o', 'json'], {
      signal: interruption.signal,
      onOutput: (stdout) => {
        const [first, second] = stdout.split('\n').filter((line) => line !== '');
        if (second === undefined) {
          if (first !== undefined && control.containerIds().length === 5)
            control.addContainer({ name: 'new', status: 'running' });
        } else if (stdout.includes('"new"') && !interruption.signal.aborted) {
          interruption.abort(new InterruptedError('SIGINT'));
        }
      },
    });
    const { exitCode, stdout, stderr } = await running;
    expect({ exitCode, stderr }).toEqual({ exitCode: 130, stderr: '' });
    const documents = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(documents[0].items).toHaveLength(3);
    expect(documents.at(-1).items).toHaveLength(4);
  });
});

describe('JSON', () => {
  test('of ps says its version and kind, and has the members that are documented', async () => {
    const document = await json(['ps']);
    expect(document).toMatchObject({ schemaVersion: 1, kind: 'containers' });
    expect(document.items[1]).toEqual({
      engine: `${type}:1`,
      engineType: type,
      scope: '',
      id: expect.stringMatching(/^[0-9a-f]{64}$/),
      shortId: expect.stringMatching(/^[0-9a-f]{12}$/),
      name: expect.stringMatching(/^k8s_main_web-0_shop_/),
      containerName: 'main',
      pod: { namespace: 'shop', name: 'web-0', uid: expect.any(String) },
      role: 'biz',
      roleReason: expect.any(String),
      status: 'running',
      pid: expect.any(Number),
      startedAt: expect.any(String),
      image: 'web:1',
      runtime: 'runc',
    });
  });

  test('of pods has the containers of each', async () => {
    const { kind, items } = await json(['pods']);
    expect(kind).toBe('pods');
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({ namespace: 'shop', name: 'web-0', phase: 'Running', app: 'web', diagnostics: [] });
    expect(items[0].containers.map(({ role }: { role: string }) => role).sort()).toEqual(['biz', 'sandbox', 'sidecar']);
  });

  test('of engines has what became of each', async () => {
    const { kind, items } = await json(['engines']);
    expect(kind).toBe('engines');
    expect(items).toMatchObject([
      { type, status: 'connected', id: `${type}:1`, features: ['events', 'archive'], attempts: [{ outcome: 'ok' }] },
    ]);
  });

  test('is the same data in YAML', async () => {
    const { stdout } = await crikit(['pods', '-o', 'yaml']);
    expect(parse(stdout)).toEqual(await json(['pods']));
  });

  test('never has the value of an environment variable, unless it is asked for', async () => {
    for (const words of [['inspect', 'shop/web-0'], ['inspect', 'shop/web-0/main'], ['ps', '--all'], ['pods']]) {
      for (const output of ['json', 'yaml', 'table', 'wide', 'name']) {
        const { exitCode, stdout } = await crikit([...words, '-o', output]);
        expect(exitCode).toBe(0);
        expect(stdout, words.join(' ')).not.toContain('swordfish');
      }
    }
    expect((await json(['inspect', 'shop/web-0/main'])).item.env).toEqual({ SECRET: '***' });
    expect((await json(['inspect', 'shop/web-0/main', '--show-env'])).item.env).toEqual({ SECRET: 'swordfish' });
    expect((await crikit(['inspect', 'shop/web-0/main', '--show-env'])).stdout).toContain('SECRET=swordfish');
  });
});

describe('inspect', () => {
  test('tells of a container why it is where it is', async () => {
    const { kind, item } = await json(['inspect', 'lonely']);
    expect(kind).toBe('container');
    expect(item).toMatchObject({ name: 'lonely', mounts: [], labels: {}, withheld: {} });
    expect(item.reasons.join(' ')).toContain('No pod owns it');
  });

  test('of what fits several ends with 4 and lists them, of what fits nothing with 3', async () => {
    control.addPod({ namespace: 'shop', name: 'db-0', containers: [{ k8sName: 'main' }] });
    const { exitCode, stdout, stderr } = await crikit(['inspect', 'main']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: '' });
    expect(stderr).toMatch(/^crikit: 'main' fits 2:\n {2}[0-9a-f]{12} {2}shop\/(web|db)-0\/main /);
    expect((await crikit(['inspect', 'nothing'])).exitCode).toBe(3);
  });
});

describe('exec', () => {
  test('gives the exit code, stdout and stderr of the command', async () => {
    expect(await crikit(['exec', 'lonely', '--', 'fail'])).toEqual({ exitCode: 42, stdout: '', stderr: 'no luck\n' });
    expect(await crikit(['exec', 'lonely', 'echo', '-n', '--all'])).toEqual({
      exitCode: 0,
      stdout: '-n --all\n',
      stderr: '',
    });
  });

  test('hands on user, directory and variables', async () => {
    const words = [
      'exec',
      '-u',
      'app',
      '-w',
      '/srv',
      '-e',
      'GIVEN',
      '-e',
      'SECRET=a=b',
      'shop/web-0',
      '--',
      'show',
      'x',
    ];
    const { stdout } = await crikit(words, { environment: { GIVEN: 'from here' } });
    expect(JSON.parse(stdout)).toEqual({
      cmd: ['show', 'x'],
      user: 'app',
      workingDir: '/srv',
      secret: 'a=b',
      given: 'from here',
    });
  });

  test('passes stdin on only when it is told to', async () => {
    expect((await crikit(['exec', '-i', 'lonely', 'cat'], { input: 'hello' })).stdout).toBe('hello');
    expect((await crikit(['exec', 'lonely', 'cat'], { input: 'hello' })).stdout).toBe('');
  });

  test.each([
    [['exec', 'lonely', 'nosuch'], 127],
    [['exec', 'nowhere', 'true'], 125],
    [['exec', 'gone', 'true'], 125],
    [['exec', '-e', '=x', 'lonely', 'true'], 125],
    [['exec', '--timeout', '0.05', 'lonely', 'sleep', '9'], 124],
  ])('%j ends with %i and says why', async (words, expected) => {
    const { exitCode, stderr } = await crikit(words);
    expect(exitCode).toBe(expected);
    expect(stderr).toMatch(/^crikit: .+\n$/);
  });

  test('ends the command when it is interrupted, and says so where it may go on', async () => {
    const interruption = new AbortController();
    const running = crikit(['exec', 'lonely', 'sleep', '9'], { signal: interruption.signal });
    await expect.poll(() => control.calls.exec).toBe(1);
    interruption.abort(new InterruptedError('SIGTERM'));
    expect(await running).toEqual({
      exitCode: 143,
      stdout: '',
      stderr: expect.stringMatching(/^crikit: warning: the command may still run: .+\n$/),
    });
  });
});

describe('cp', () => {
  test('brings a file in and out again, and says which way served', async () => {
    writeFileSync(join(folder, 'probe'), 'content');
    const into = await crikit(['cp', join(folder, 'probe'), 'lonely:/srv/probe']);
    expect(into).toEqual({ exitCode: 0, stdout: 'Copied probe, 7 B, by way of engine.\n', stderr: '' });
    const { item } = await json(['cp', 'lonely:/srv/probe', folder]);
    expect(item).toMatchObject({ method: 'engine', bytes: 7, entries: 1, skipped: [{ method: 'host' }] });
  });

  test.each([
    [['cp', 'a', 'b'], 2],
    [['cp', 'lonely:/a', 'gone:/b'], 2],
    [['cp', 'lonely:a', '.'], 2],
    [['cp', '--method', 'magic', 'a', 'lonely:/a'], 2],
    [['cp', '--owner', 'me', 'a', 'lonely:/a'], 2],
    [['cp', 'lonely:/nothing', '.'], 3],
  ])('%j ends with %i', async (words, expected) => {
    process.chdir(folder);
    const { exitCode, stderr } = await crikit(words);
    expect({ exitCode, stderr }).toEqual({ exitCode: expected, stderr: expect.stringMatching(/^crikit: /) });
  });
});

describe('a container that the host cannot look into', () => {
  test('is asked for files by its own cat', async () => {
    expect(await crikit(['cat', 'lonely:/etc/motd'])).toEqual({ exitCode: 0, stdout: 'welcome\n', stderr: '' });
    const { exitCode, stderr } = await crikit(['cat', 'lonely:/nothing']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: expect.stringContaining("can't open it") });
  });

  test('is not listed, and what to do instead is said', async () => {
    const { exitCode, stderr } = await crikit(['files', 'lonely:/etc']);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 8,
      stderr: expect.stringContaining("'crikit exec lonely -- ls -la /etc'"),
    });
  });
});

describe('logs', () => {
  const line = (stream: string, text: string) => `2026-01-31T08:00:00Z ${stream} F ${text}\n`;
  beforeEach(() => {
    mkdirSync(join(folder, 'logs'));
    writeFileSync(join(folder, 'logs', '0.log'), line('stdout', 'one') + line('stderr', 'two'));
    control.addContainer({ name: 'logging', status: 'running', logPath: '/logs/0.log' });
  });

  test('prints both streams where they belong, below the host root', async () => {
    expect(await crikit(['logs', 'logging'])).toEqual({ exitCode: 0, stdout: 'one\n', stderr: 'two\n' });
    expect(await crikit(['logs', '--stdout', '-t', 'logging'])).toMatchObject({
      stdout: '2026-01-31T08:00:00Z one\n',
      stderr: '',
    });
  });

  test('prints a document a line as JSON', async () => {
    const { stdout } = await crikit(['logs', 'logging', '--tail', '1', '-o', 'json']);
    expect(JSON.parse(stdout)).toEqual({
      ...{ schemaVersion: 1, kind: 'log' },
      ...{ time: '2026-01-31T08:00:00Z', stream: 'stderr', text: 'two', endsLine: true },
    });
  });

  test('ends following when the container ends', async () => {
    const running = crikit(['logs', '--follow', 'logging'], {
      onOutput: () => control.stopContainer(control.containerIds().at(-1) ?? ''),
    });
    expect(await running).toEqual({ exitCode: 0, stdout: 'one\n', stderr: 'two\n' });
  });

  test('says what to do where there is no log file', async () => {
    expect(await crikit(['logs', 'lonely'])).toMatchObject({
      exitCode: 8,
      stderr: expect.stringContaining('no log file'),
    });
    rmSync(join(folder, 'logs'), { recursive: true });
    expect(await crikit(['logs', 'logging'])).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('--host-root'),
    });
  });
});

describe('events', () => {
  test('tells what changes, as lines and as documents', async () => {
    const follow = async (words: readonly string[], enough: RegExp) => {
      const interruption = new AbortController();
      let id: string | undefined;
      const running = crikit(['events', ...words], {
        signal: interruption.signal,
        onOutput: (stdout) => {
          if (enough.test(stdout)) interruption.abort(new InterruptedError('SIGINT'));
        },
      });
      await expect.poll(() => control.calls.events).toBeGreaterThan(0);
      await expect
        .poll(async () => {
          // Until it listens nobody is told.
          id ??= control.addContainer({ name: `job${engines}`, status: 'running' });
          control.pauseContainer(id);
          control.resumeContainer(id);
          return interruption.signal.aborted;
        })
        .toBe(true);
      return await running;
    };
    const text = await follow([], /container-changed .* running -> paused|container-changed .* paused -> running/);
    expect(text.exitCode).toBe(130);
    expect(text.stdout).not.toContain('lonely');
    const documents = await follow(['-o', 'json'], /"type":"container-changed".*\n/);
    const document = documents.stdout
      .split('\n')
      .map((each) => JSON.parse(each || '{}'))
      .find((each) => each.type === 'container-changed');
    expect(document).toMatchObject({
      schemaVersion: 1,
      kind: 'event',
      container: { id: expect.any(String) },
      previousStatus: expect.any(String),
    });
  });
});

test('events tells when an engine goes away and when it is back', async () => {
  const interruption = new AbortController();
  let stderr = '';
  const running = crikit(['events'], {
    signal: interruption.signal,
    onError: (written) => {
      stderr = written;
    },
  });
  await expect.poll(() => stderr).toContain('following');
  control.goAway();
  await expect.poll(() => stderr, { timeout: 5_000 }).toContain(`warning: ${type}:1 is away`);
  control.comeBack();
  await expect.poll(() => stderr, { timeout: 10_000 }).toContain(`${type}:1 is back`);
  interruption.abort(new InterruptedError('SIGINT'));
  expect(await running).toMatchObject({ exitCode: 130 });
}, 20_000);

describe('without a usable engine', () => {
  test('ps ends with 5 and says where it looked and what to do', async () => {
    control.goAway();
    const { exitCode, stdout, stderr } = await crikit(['ps']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 5, stdout: '' });
    expect(stderr).toContain('No container engine can be used');
    expect(stderr).toContain("'crikit doctor'");
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('engines shows why, and ends with 5', async () => {
    control.goAway();
    const { exitCode, stdout } = await crikit(['engines']);
    expect(exitCode).toBe(5);
    expect(stdout).toMatch(new RegExp(`${type} +failed .*The in-memory engine is away`));
  });

  test('an engine type that no package brings is named', async () => {
    const { exitCode, stderr } = await runInTest(['ps', '--engine', 'lxc']);
    expect(exitCode).toBe(5);
    expect(stderr).toContain('@crikit/engine-lxc');
  });

  test('one that fails beside one that works is a warning', async () => {
    const other = createInMemoryEngine({ type: `${type}b` });
    registerEngine(other.definition);
    other.control.goAway();
    const { exitCode, stdout, stderr } = await crikit(['ps', '--engine', type, '--engine', `${type}b`]);
    expect(exitCode).toBe(0);
    expect(stdout).toContain('lonely');
    expect(stderr).toMatch(new RegExp(`^crikit: warning: ${type}b: `));
  });
});

describe('the configuration file', () => {
  test('says what the command line does not', async () => {
    const config = join(folder, 'config.json');
    writeFileSync(config, JSON.stringify({ engines: [type], sidecars: 'name:main' }));
    const { stdout } = await runInTest(['ps', '--config', config, '--role', 'sidecar', '-o', 'name']);
    expect(stdout).toBe('shop/web-0/main\n');
  });

  test('of the working directory counts when nobody else may have written it', async () => {
    process.chdir(folder);
    const config = join(folder, 'crikit.config.json');
    writeFileSync(config, JSON.stringify({ engines: [type] }));
    chmodSync(config, 0o644);
    expect((await runInTest(['engines', '-o', 'name'])).stdout).toBe(`${type}\n`);
    chmodSync(config, 0o666);
    expect((await runInTest(['engines', '-o', 'name', '--engine', 'other'])).stdout).toBe('other\n');
    const ignored = await runInTest(['engines', '-o', 'name']);
    expect(ignored.stdout).not.toBe(`${type}\n`);
    expect(ignored.stderr).toContain(`${config} is left alone`);
  });

  test.each([
    ['{', 'is no JSON'],
    ['[]', 'must hold a JSON object'],
    ['{"engine":["docker"]}', "has 'engine', which is unknown; there are engines, "],
    ['{"pods":"somewhere"}', "the value of 'pods' is not valid"],
    ['{"kubelet":{"uri":"x"}}', "the value of 'kubelet' is not valid"],
  ])('%s is a mistake that is named', async (content, message) => {
    const config = join(folder, 'config.json');
    writeFileSync(config, content);
    const { exitCode, stderr } = await runInTest(['ps', '--config', config]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: expect.stringContaining(message) });
  });

  test('that is named and missing is a mistake', async () => {
    expect((await runInTest(['ps', '--config', join(folder, 'nothing.json')])).exitCode).toBe(2);
  });
});

test('a host root that is not absolute is a mistake', async () => {
  const { exitCode, stderr } = await runInTest(['ps'], { environment: { HOSTFS: 'hostfs' } });
  expect({ exitCode, stderr }).toEqual({
    exitCode: 2,
    stderr: expect.stringContaining("'hostfs' must be an absolute path"),
  });
});

describe('engine packages', () => {
  /** A package that brings an engine, as an author would publish it, with a copy of the registry's layout. */
  function install(name: string, keywords: readonly string[]): void {
    const directory = join(folder, 'node_modules', name);
    mkdirSync(directory, { recursive: true });
    writeFileSync(
      join(directory, 'package.json'),
      JSON.stringify({ name, version: '1.0.0', type: 'module', exports: './index.js', keywords }),
    );
    const definition = `{ contractVersion: 1, type: ${JSON.stringify(name)}, packageName: ${JSON.stringify(name)}, packageVersion: '1.0.0',
      possibleFeatures: [], probe: async () => ({ status: 'not-applicable', attempts: [] }), connect: async () => { throw new Error('never'); } }`;
    writeFileSync(
      join(directory, 'index.js'),
      `globalThis[Symbol.for('crikit.engine-registry.v1')].entries.push(${definition});`,
    );
  }

  test('are found among the dependencies of the project, by their keyword', async () => {
    process.chdir(folder);
    install(`${type}-found`, ['crikit-engine']);
    install(`${type}-other`, []);
    writeFileSync(
      'package.json',
      JSON.stringify({ dependencies: { [`${type}-found`]: '*', [`${type}-other`]: '*', absent: '*' } }),
    );
    const { stdout } = await runInTest(['engines', '-o', 'name']);
    expect(stdout.split('\n')).toContain(`${type}-found`);
    expect(stdout.split('\n')).not.toContain(`${type}-other`);
  });

  test('are imported when they are named', async () => {
    process.chdir(folder);
    install(`${type}-named`, []);
    const { stdout } = await runInTest(['engines', '-o', 'name', '--engine-package', `${type}-named`]);
    expect(stdout.split('\n')).toContain(`${type}-named`);
  });

  test('that are not there are named with what to do', async () => {
    const { exitCode, stderr } = await runInTest(['ps', '--engine-package', 'nowhere-to-be-found']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("'nowhere-to-be-found' cannot be loaded");
    expect(stderr).toContain('Install it in');
  });
});

describe('completion', () => {
  test.each(['bash', 'zsh', 'fish'])('for %s knows every command and the options of each', async (shell) => {
    const { exitCode, stdout } = await runInTest(['completion', shell]);
    expect(exitCode).toBe(0);
    for (const word of ['engines', 'inspect', 'logs', 'completion', 'follow', 'namespace', 'output', 'kubeconfig']) {
      expect(stdout).toContain(word);
    }
  });

  test.each(['bash', 'zsh', 'fish'])('for %s is what that shell can read', async (shell) => {
    const file = join(folder, 'completion');
    writeFileSync(file, (await runInTest(['completion', shell])).stdout);
    const { error, status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' });
    // Not every machine has every shell.
    if (error !== undefined) expect(error).toMatchObject({ code: 'ENOENT' });
    else expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  test('for another shell is a mistake', async () => {
    expect((await runInTest(['completion', 'tcsh'])).exitCode).toBe(2);
  });
});
