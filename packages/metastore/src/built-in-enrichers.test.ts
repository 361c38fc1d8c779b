import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CommandNotFoundError,
  type Container,
  type ContainerProcess,
  type ExecResult,
  openContainerRoot,
  type Pod,
  silentLogger,
  UnsupportedError,
} from '@crikit/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { chooseEnrichers } from './built-in-enrichers.js';
import { alpineStatusEnricher } from './enrich-alpine-status.js';
import { hostnameEnricher } from './enrich-hostname.js';
import { createPid1RecyclingEnricher } from './enrich-pid1-recycling.js';
import { pid1NameEnricher, zombieCountEnricher } from './enrich-processes.js';
import { timeZoneEnricher } from './enrich-time-zone.js';
import type { EnricherContext } from './enricher.js';
import { createFakeClock } from './fake-clock.js';
import { createHelperEnricher } from './provision-helper.js';

const { signal } = new AbortController();
let directory: string;
let merged: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crikit-enrichers-'));
  merged = join(directory, 'merged');
  mkdirSync(join(merged, 'etc'), { recursive: true });
});

afterEach(() => rmSync(directory, { recursive: true }));

interface Surroundings {
  readonly container?: Partial<Container>;
  readonly namespace?: string;
  readonly processes?: Readonly<Record<string, readonly Partial<ContainerProcess>[]>>;
  readonly isOutOfReach?: boolean;
  readonly exec?: (cmd: readonly string[]) => Partial<ExecResult>;
}

function makeContext(surroundings: Surroundings = {}) {
  const container: Container = {
    ...{ engineId: 'memory', engineType: 'memory', scope: '', id: 'own', shortId: 'own', name: 'own', runtime: 'runc' },
    ...{ state: { status: 'running', pid: 100 }, labels: {}, env: {}, mounts: [], withheld: {}, role: 'biz' },
    ...surroundings.container,
  };
  const reports: unknown[] = [];
  const execs: string[] = [];
  const context: EnricherContext<never> = {
    container,
    ...(surroundings.namespace === undefined ? {} : { pod: { namespace: surroundings.namespace } as Pod }),
    hostRoot: directory,
    openRoot: async () => {
      if (surroundings.isOutOfReach === true) throw new UnsupportedError('a virtual machine');
      return openContainerRoot({ mergedDir: merged });
    },
    listProcesses: async (id = container.id) => (surroundings.processes?.[id] ?? []) as ContainerProcess[],
    exec: async ({ cmd }) => {
      execs.push(cmd[0] as string);
      if (surroundings.exec === undefined) throw new CommandNotFoundError('there is no such program');
      const result = { cmd, exitCode: 0, stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), truncated: false };
      return { ...result, ...surroundings.exec(cmd) };
    },
    report: (value) => reports.push(value),
    memory: new Map(),
  };
  return { context, reports, execs };
}

describe('the hostname', () => {
  test('is not looked for where the engine tells it', () => {
    expect(hostnameEnricher.appliesTo(makeContext({ container: { hostname: 'told' } }).context.container)).toBe(false);
  });

  test('is the variable, then the file, then what the command says', async () => {
    const exec = () => ({ stdout: Buffer.from('by-command\n') });
    writeFileSync(join(merged, 'etc/hostname'), '# a comment\n\nby-file\n');
    expect(
      await hostnameEnricher.run(
        makeContext({ container: { env: { HOSTNAME: 'by-variable' } }, exec }).context,
        signal,
      ),
    ).toBe('by-variable');
    const byFile = makeContext({ container: { env: { HOSTNAME: '' } }, exec });
    expect(await hostnameEnricher.run(byFile.context, signal)).toBe('by-file');
    expect(byFile.execs).toEqual([]);
    expect(await hostnameEnricher.run(makeContext({ isOutOfReach: true, exec }).context, signal)).toBe('by-command');
    rmSync(join(merged, 'etc/hostname'));
    expect(await hostnameEnricher.run(makeContext({ exec }).context, signal)).toBe('by-command');
    expect(await hostnameEnricher.run(makeContext().context, signal)).toBeUndefined();
  });
});

describe('the time zone', () => {
  const zone = readFileSync('/usr/share/zoneinfo/UTC');
  const answer = (...parts: (string | Buffer)[]) => ({ stdout: Buffer.concat(parts.map((part) => Buffer.from(part))) });

  test('is read from what one exec brings where the root is out of reach', async () => {
    const { context, execs } = makeContext({
      isOutOfReach: true,
      exec: () =>
        answer(
          'path /lib\nentry ld-musl-x86_64.so.1\npath /lib64\npath /etc/localtime\nlink /usr/share/zoneinfo/UTC\n',
          `file ${zone.length}\n`,
          zone,
          '\npath /etc/timezone\nend\n',
        ),
    });
    expect(await timeZoneEnricher.run(context, signal)).toMatchObject({
      ...{ name: 'UTC', offset: 0, libc: 'musl', libcAssumed: false, etcLocaltime: 'UTC' },
    });
    expect(execs).toEqual(['sh']);
  });

  test.each([
    ['nothing', ''],
    ['an answer that breaks off', 'path /etc/localtime\nfile 100\nTZif'],
    ['a size that is none', 'path /etc/localtime\nfile many\n'],
  ])('is not guessed from %s', async (_, text) => {
    const { context } = makeContext({ isOutOfReach: true, exec: () => answer(text) });
    await expect(timeZoneEnricher.run(context, signal)).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  test('is not known where there is neither a root nor a shell', async () => {
    expect(await timeZoneEnricher.run(makeContext({ isOutOfReach: true }).context, signal)).toBeUndefined();
  });
});

test('Alpine is known by its release file, and unknown where the root is out of reach', async () => {
  expect(await alpineStatusEnricher.run(makeContext().context, signal)).toBe('no');
  writeFileSync(join(merged, 'etc/alpine-release'), '3.20.0\n');
  expect(await alpineStatusEnricher.run(makeContext().context, signal)).toBe('yes');
  expect(await alpineStatusEnricher.run(makeContext({ isOutOfReach: true }).context, signal)).toBe('unknown');
});

const first = (name: string): Partial<ContainerProcess> => ({
  pid: 100,
  containerPid: 1,
  parentPid: 9,
  name,
  state: 'sleeping',
});
const zombie = (pid: number, parentPid = 100): Partial<ContainerProcess> => ({
  ...{ pid, containerPid: pid, parentPid, name: 'gone', state: 'zombie' },
});

describe('processes', () => {
  test('zombies are counted, and not guessed where the first process is not to be seen', async () => {
    const own = [first('app'), zombie(101), zombie(102, 101), { ...zombie(103), state: 'sleeping' as const }];
    expect(await zombieCountEnricher.run(makeContext({ processes: { own } }).context, signal)).toBe(2);
    expect(
      await zombieCountEnricher.run(makeContext({ processes: { own: own.slice(1) } }).context, signal),
    ).toBeUndefined();
    expect(await zombieCountEnricher.run(makeContext().context, signal)).toBeUndefined();
  });

  test("pid 1 is the container's own, the node's, or that of the sandbox whose namespace it shares", async () => {
    mkdirSync(join(directory, 'proc/1'), { recursive: true });
    writeFileSync(join(directory, 'proc/1/comm'), 'systemd\n');
    const second = { ...first('app'), containerPid: 7 };
    const nameIn = (surroundings: Surroundings) => pid1NameEnricher.run(makeContext(surroundings).context, signal);
    expect(await nameIn({ processes: { own: [first('app')] } })).toBe('app');
    expect(
      await nameIn({ processes: { own: [{ ...first('app'), containerPid: 100 }] }, container: { pidMode: 'host' } }),
    ).toBe('systemd');
    const sandbox = [{ ...first('pause'), pid: 90 }];
    expect(await nameIn({ processes: { own: [second], sandbox }, container: { sandboxId: 'sandbox' } })).toBe('pause');
    expect(
      await nameIn({ processes: { own: [second], other: sandbox }, container: { pidMode: 'container:other' } }),
    ).toBe('pause');
    expect(await nameIn({ processes: { own: [second] } })).toBeUndefined();
    expect(await nameIn({})).toBeUndefined();
  });
});

describe('who reaps', () => {
  const clock = createFakeClock();
  const enricher = createPid1RecyclingEnricher({ clock, tryByExec: false });

  test.each(['systemd', 'init', 'tini', 'dumb-init', 'docker-init', 'catatonit', 's6-svscan', 'pause'])(
    '%s is known to',
    async (name) => {
      expect(await enricher.run(makeContext({ processes: { own: [first(name)] } }).context, signal)).toBe(true);
    },
  );

  test("is the kernel where SIGCHLD is ignored, and no other signal's mark counts", async () => {
    mkdirSync(join(directory, 'proc/100'), { recursive: true });
    const { context } = makeContext({ processes: { own: [first('app')] } });
    writeFileSync(
      join(directory, 'proc/100/status'),
      'Name:\tapp\nSigIgn:\t0000000000010000\nSigCgt:\t0000000000000000\n',
    );
    expect(await enricher.run(context, signal)).toBe(true);
    writeFileSync(
      join(directory, 'proc/100/status'),
      'Name:\tapp\nSigIgn:\t0000000000021000\nSigCgt:\t0000000000010000\n',
    );
    expect(await enricher.run(context, signal)).toBeUndefined();
  });

  test('is nobody where a child stays a zombie, and only then', async () => {
    const processes: Record<string, Partial<ContainerProcess>[]> = {
      own: [first('app'), zombie(101), zombie(200, 101)],
    };
    const { context } = makeContext({ processes });
    expect(await enricher.run(context, signal)).toBeUndefined();
    await clock.advance(60_000);
    // Another one took its place, and a grandchild is none of its business.
    processes.own = [first('app'), zombie(102), zombie(200, 101)];
    expect(await enricher.run(context, signal)).toBeUndefined();
    await clock.advance(29_000);
    expect(await enricher.run(context, signal)).toBeUndefined();
    await clock.advance(1_000);
    expect(await enricher.run(context, signal)).toBe(false);
  });

  test('is not decided by what a stopped process does not do', async () => {
    const own = [{ ...first('app'), state: 'stopped' as const }, zombie(101)];
    const { context } = makeContext({ processes: { own } });
    await enricher.run(context, signal);
    await clock.advance(60_000);
    expect(await enricher.run(context, signal)).toBeUndefined();
  });

  test('nothing runs in the container unless asked for', async () => {
    const { context, execs } = makeContext({ processes: { own: [first('app')] }, exec: () => ({}) });
    await enricher.run(context, signal);
    expect(execs).toEqual([]);
    const trying = createPid1RecyclingEnricher({ clock, tryByExec: true });
    // No pid comes back: nothing is known, and it is not tried again.
    expect(await trying.run(context, signal)).toBeUndefined();
    expect(await trying.run(context, signal)).toBeUndefined();
    expect(execs).toEqual(['sh']);
  });
});

describe('the helper', () => {
  const destination = '/opt/helper';
  const make = (content = 'content') => {
    writeFileSync(join(directory, 'helper'), content);
    return createHelperEnricher({ source: join(directory, 'helper'), destination }, silentLogger);
  };

  test('is brought once, and again when the source is another', async () => {
    const { context, reports } = makeContext({ namespace: 'shop' });
    expect(await make().run(context, signal)).toBe('ok');
    expect(readFileSync(join(merged, destination), 'utf8')).toBe('content');
    expect(reports).toEqual(['in-progress']);
    expect(await make().run(context, signal)).toBe('ok');
    expect(reports).toEqual(['in-progress']);
    expect(await make('CONTENT').run(context, signal)).toBe('ok');
    expect(readFileSync(join(merged, destination), 'utf8')).toBe('CONTENT');
  });

  test.each([
    ['in kube-* namespaces', { namespace: 'kube-system' }],
    ['where the root is out of reach', { namespace: 'shop', isOutOfReach: true }],
    ['in a container whose pod nobody knows', {}],
  ])('is not brought %s', async (_, surroundings) => {
    expect(await make().run(makeContext(surroundings).context, signal)).toBe('skipped');
  });

  test('is tried again when its source is missing', async () => {
    const { context, reports } = makeContext({ namespace: 'shop' });
    const enricher = make();
    rmSync(join(directory, 'helper'));
    await expect(enricher.run(context, signal)).rejects.toMatchObject({ code: 'COPY_FAILED', retryable: true });
    expect(reports).toEqual(['retryable-error']);
  });

  test('needs an absolute destination', () => {
    expect(() => createHelperEnricher({ source: '/a', destination: 'relative' }, silentLogger)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});

describe('the choice', () => {
  const context = { clock: createFakeClock(), logger: silentLogger };
  const names = (choice: Parameters<typeof chooseEnrichers>[0]) =>
    chooseEnrichers(choice, context).map(({ name }) => name);

  test('is everything but provisioning, or nothing', () => {
    expect(names({})).toEqual([
      ...['hostname', 'tz', 'alpineStatus', 'pid1Name', 'zombieCount', 'pid1CanRecycleZombieProcesses'],
    ]);
    expect(names(false)).toEqual([]);
  });

  test('leaves out, replaces and adds', () => {
    expect(names({ without: ['hostname', 'tz', 'alpineStatus', 'pid1Name', 'zombieCount'] })).toEqual([
      'pid1CanRecycleZombieProcesses',
    ]);
    expect(names({ helper: { source: '/a', destination: '/b' } })).toContain('helperStatus');
    expect(names({ without: ['alpineStatus'], add: [alpineStatusEnricher] }).at(-1)).toBe('alpineStatus');
    expect(() => names({ add: [alpineStatusEnricher] })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
