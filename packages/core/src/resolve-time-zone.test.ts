import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import cases from './__fixtures__/tz-cases.json' with { type: 'json' };
import type { ContainerRoot } from './container-root.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';
import { openContainerRoot } from './open-container-root.js';
import { resolveTimeZone } from './resolve-time-zone.js';
import type { Libc } from './tz-info.js';
import { zoneAt } from './zone-at.js';

const run = promisify(execFile);
const zoneinfo = '/usr/share/zoneinfo';
const january = '2026-01-15T00:00:00Z';

let directory: string;
let base: string;

const hasTzdata = existsSync(join(zoneinfo, 'Asia/Shanghai'));
const suite = hasTzdata ? describe : describe.skip;
const note = hasTzdata ? '' : ` [skipped: no zone files in ${zoneinfo} (apt-get install tzdata)]`;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'crikit-time-zone-'));
  base = join(directory, 'base');
  await mkdir(join(base, 'usr/share'), { recursive: true });
  await mkdir(join(base, 'etc'));
  await mkdir(join(base, 'lib'));
  if (hasTzdata) {
    await run('cp', ['-a', zoneinfo, join(base, 'usr/share/zoneinfo')]);
    // Debian's link to the machine's own /etc/localtime is no part of a container; the rest is as much again for nothing.
    for (const name of ['localtime', 'right', 'posix']) {
      await rm(join(base, 'usr/share/zoneinfo', name), { recursive: true, force: true });
    }
    await mkdir(join(base, 'usr/share/zoneinfo/posix/Asia'), { recursive: true });
    await copyFile(join(zoneinfo, 'Asia/Shanghai'), join(base, 'usr/share/zoneinfo/posix/Asia/Shanghai'));
  }
});

afterAll(() => rm(directory, { recursive: true, force: true }));

type Step = readonly (string | number)[];

async function makeRoot(steps: readonly Step[], libc?: Libc): Promise<string> {
  const root = await mkdtemp(join(directory, 'root-'));
  await run('cp', ['-al', `${base}/.`, root]);
  const loaders = { musl: 'ld-musl-x86_64.so.1', glibc: 'ld-linux-x86-64.so.2' };
  if (libc !== undefined) await writeFile(join(root, 'lib', loaders[libc]), '');
  for (const step of steps) await takeStep(root, step);
  return root;
}

async function takeStep(root: string, [operation, first, second, third]: Step): Promise<void> {
  const path = join(root, String(first));
  switch (operation) {
    case 'link':
      return symlink(String(second), path);
    case 'copy':
      return copyFile(join(zoneinfo, String(second)), path);
    case 'hostcopy':
      expect(second).toBe('slim:America/New_York');
      return copyFile(join(import.meta.dirname, '__fixtures__/new-york-slim.tzif'), path);
    case 'write':
      return writeFile(path, String(second));
    case 'trunc':
      await copyFile(join(zoneinfo, String(second)), path);
      return truncate(path, Number(third));
    case 'mkdir':
      await mkdir(path, { recursive: true });
      return;
    case 'over': {
      const target = join(root, zoneinfo, String(first));
      // The files are shared with the other roots: replaced, never written to.
      await rm(target, { force: true });
      return copyFile(join(zoneinfo, String(second)), target);
    }
    case 'rmzi':
      await rm(join(root, zoneinfo), { recursive: true });
      await mkdir(join(root, zoneinfo));
      return;
    default:
      throw new Error(`Unknown step ${operation}.`);
  }
}

async function withRoot<Result>(
  steps: readonly Step[],
  libc: Libc | undefined,
  use: (root: ContainerRoot) => Promise<Result>,
) {
  const mergedDir = await makeRoot(steps, libc);
  const root = await openContainerRoot({ mergedDir });
  try {
    return await use(root);
  } finally {
    await root.close();
    await rm(mergedDir, { recursive: true, force: true });
  }
}

function resolve(steps: readonly Step[], env: Record<string, string> = {}, libc?: Libc, at = january) {
  return withRoot(steps, libc, (root) => resolveTimeZone(root, env, { at }));
}

interface Case {
  readonly id: string;
  readonly TZ: string | null;
  readonly setup: readonly Step[];
  readonly expect: { readonly name: string; readonly instants: readonly { t: string; abbr: string; offset: number }[] };
  readonly musl?: readonly { abbr: string; offset: number }[];
}

// What musl makes of these is another zone than glibc's, so another name fits.
const muslNames: Readonly<Record<string, string>> = { 'env-utc-content-tokyo': 'UTC' };

suite(`resolveTimeZone, as the C libraries were observed${note}`, () => {
  for (const { id, TZ, setup, expect: expected, musl } of cases.cases as readonly Case[]) {
    for (const libc of ['glibc', 'musl'] as const) {
      it(`finds the time zone of ${libc} for ${id}`, async () => {
        const tz = await resolve(setup, TZ === null ? {} : { TZ }, libc);

        expect(tz.libc).toBe(libc);
        expect(tz.libcAssumed).toBe(false);
        const seen = expected.instants.map(({ t }) => zoneAt(tz, t));
        const wanted = expected.instants.map((instant, index) =>
          libc === 'musl' ? (musl?.[index] ?? instant) : instant,
        );
        expect(seen.map(({ abbreviation, offset }) => ({ abbr: abbreviation, offset }))).toEqual(
          wanted.map(({ abbr, offset }) => ({ abbr, offset })),
        );
        expect({ zone: tz.zone, offset: tz.offset }).toEqual({ zone: wanted[0]?.abbr, offset: wanted[0]?.offset });
        expect(tz.name).toBe((libc === 'musl' ? muslNames[id] : undefined) ?? expected.name);
      });
    }
  }
});

suite(`resolveTimeZone${note}`, () => {
  it('is plain data that survives JSON and says where it comes from', async () => {
    const tz = await resolve([['link', '/etc/localtime', '../usr/share/zoneinfo/Europe/Paris']], { TZ: ':Asia/Tokyo' });

    expect(tz).toMatchObject({ name: 'Asia/Tokyo', envTz: ':Asia/Tokyo', etcLocaltime: 'Europe/Paris', zone: 'JST' });
    expect(tz.at).toBe('2026-01-15T00:00:00.000Z');
    expect(JSON.parse(JSON.stringify(tz))).toEqual(tz);
    expect(structuredClone(tz)).toEqual(tz);
    expect(Object.isFrozen(tz.transitions)).toBe(true);
  });

  it('shares the table of equal zones and stays small', async () => {
    const steps: Step[] = [['copy', '/etc/localtime', 'America/New_York']];
    const [first, second] = [await resolve(steps), await resolve(steps)];

    expect(first.transitions).toBe(second.transitions);
    expect(JSON.stringify(first).length).toBeLessThan(4096);
  });

  it('says that glibc was assumed when the root shows no C library', async () => {
    expect(await resolve([])).toMatchObject({ libc: 'glibc', libcAssumed: true, name: 'UTC' });
    expect(await withRoot([], undefined, (root) => resolveTimeZone(root, {}, { libc: 'musl' }))).toMatchObject({
      libc: 'musl',
      libcAssumed: false,
    });
  });

  it('takes a glibc root with an additional musl for glibc', async () => {
    expect(await resolve([['mkdir', '/lib/x86_64-linux-gnu']], {}, 'musl')).toMatchObject({ libc: 'glibc' });
  });

  it('reads TZDIR for glibc and not for musl', async () => {
    const steps: Step[] = [
      ['mkdir', '/opt/zones/Asia'],
      ['copy', '/opt/zones/Asia/Tokyo', 'Europe/Paris'],
    ];
    const env = { TZ: 'Asia/Tokyo', TZDIR: '/opt/zones' };

    expect(await resolve(steps, env, 'glibc')).toMatchObject({ name: 'Europe/Paris', offset: 3600 });
    expect(await resolve(steps, env, 'musl')).toMatchObject({ name: 'Asia/Tokyo', offset: 32400 });
  });

  it('takes an empty TZ for UTC', async () => {
    const steps: Step[] = [['link', '/etc/localtime', '/usr/share/zoneinfo/Europe/Paris']];

    expect(await resolve(steps, { TZ: '' }, 'glibc')).toMatchObject({ offset: 0, zone: 'UTC' });
    expect(await resolve(steps, { TZ: '' }, 'musl')).toMatchObject({ offset: 0, zone: 'UTC', name: 'UTC' });
  });

  it('keeps the alias by which a zone is set', async () => {
    expect(await resolve([], { TZ: 'PRC' }, 'glibc')).toMatchObject({ name: 'PRC', offset: 28800 });
    expect(await resolve([['link', '/etc/localtime', '../usr/share/zoneinfo/US/Eastern']])).toMatchObject({
      name: 'US/Eastern',
      etcLocaltime: 'US/Eastern',
    });
  });

  it('calls a zone by the name of its content where its own name has other offsets', async () => {
    const steps: Step[] = [
      ['link', '/etc/localtime', '/usr/share/zoneinfo/Asia/Taipei'],
      ['over', 'Asia/Taipei', 'Asia/Shanghai'],
    ];

    expect(await resolve(steps)).toMatchObject({ name: 'Asia/Shanghai', etcLocaltime: 'Asia/Taipei' });
  });

  it('keeps the offsets of a content that fits no name, and calls it UNKNOWN', async () => {
    const made = makeTzif({ offset: 12345, abbreviation: 'ODD', footer: '<ODD>-3:25:45' });
    const tz = await withRoot([['link', '/etc/localtime', '/usr/share/zoneinfo/Asia/Tokyo']], 'glibc', async (root) => {
      await root.remove('/usr/share/zoneinfo/Asia/Tokyo');
      await root.writeFile('/usr/share/zoneinfo/Asia/Tokyo', made);
      return resolveTimeZone(root, {});
    });

    expect(tz).toMatchObject({ name: 'UNKNOWN', zone: 'ODD', offset: 12345, etcLocaltime: 'Asia/Tokyo' });
  });

  it('tells a zone whose abbreviations are those of another release by its offsets', async () => {
    const bytes = await readFile(join(zoneinfo, 'Asia/Manila'));
    const renamed = Buffer.from(bytes.toString('latin1').replaceAll('PST', 'PHX'), 'latin1');
    const tz = await withRoot([], 'glibc', async (root) => {
      await root.writeFile('/etc/localtime', renamed);
      return resolveTimeZone(root, {});
    });

    expect(tz).toMatchObject({ name: 'Asia/Manila', zone: 'PHX', offset: 28800 });
  });

  it('keeps the name of a zone that IANA does not know', async () => {
    const made = makeTzif({ offset: 12345, abbreviation: 'ODD', footer: '<ODD>-3:25:45' });
    const tz = await withRoot([['mkdir', '/usr/share/zoneinfo/Custom']], 'glibc', async (root) => {
      await root.writeFile('/usr/share/zoneinfo/Custom/Odd', made);
      await root.writeFile('/etc/localtime', made);
      return [await resolveTimeZone(root, { TZ: 'Custom/Odd' }), await resolveTimeZone(root, {})];
    });

    expect(tz.map(({ name, offset }) => ({ name, offset }))).toEqual([
      { name: 'Custom/Odd', offset: 12345 },
      { name: 'Custom/Odd', offset: 12345 },
    ]);
  });

  it('names zones without zone files of its own', async () => {
    const nameOf = (steps: readonly Step[], env = {}) =>
      withRoot(steps, 'glibc', async (root) => {
        const tz = await resolveTimeZone(root, env, { zoneinfoDirectory: join(directory, 'none') });
        return tz.name;
      });

    expect(await nameOf([], { TZ: 'Asia/Kolkata' })).toBe('Asia/Kolkata');
    expect(await nameOf([['rmzi'], ['copy', '/etc/localtime', 'Asia/Kolkata']])).toBe('Asia/Kolkata');
    expect(await nameOf([['rmzi'], ['copy', '/etc/localtime', 'UTC']])).toBe('UTC');
    expect(
      await nameOf([
        ['link', '/etc/localtime', '/usr/share/zoneinfo/UTC'],
        ['over', 'UTC', 'Asia/Shanghai'],
      ]),
    ).toBe('Asia/Shanghai');
  });

  it('takes links in a circle and pipes for UTC', async () => {
    expect(await resolve([['link', '/etc/localtime', 'localtime']])).toMatchObject({ name: 'UTC', offset: 0 });
    const piped = await withRoot([], 'glibc', async (root) => {
      const stat: ContainerRoot['stat'] = async (path, options) => {
        const status = await root.stat('/etc', options);
        return path === '/etc/localtime' ? { ...status, type: 'fifo' } : root.stat(path, options);
      };
      return resolveTimeZone({ ...bound(root), stat }, {});
    });
    expect(piped.name).toBe('UTC');
  });

  it('rejects instead of guessing UTC when a deciding file cannot be read', async () => {
    const denied = new PermissionDeniedError('No.', { applied: 'no' });
    await withRoot([['copy', '/etc/localtime', 'Asia/Tokyo']], 'glibc', async (root) => {
      const broken = { ...bound(root), readFile: () => Promise.reject(denied) };
      await expect(resolveTimeZone(broken, {})).rejects.toBe(denied);

      const unreadable: ContainerRoot['stat'] = (path, options) =>
        path === '/etc/localtime' ? Promise.reject(denied) : root.stat(path, options);
      await expect(resolveTimeZone({ ...bound(root), stat: unreadable }, {})).rejects.toBe(denied);
      const set = await resolveTimeZone({ ...bound(root), stat: unreadable }, { TZ: 'Asia/Tokyo' });
      expect(set.name).toBe('Asia/Tokyo');
    });
  });

  it('has an answer for any TZ that a container may set', async () => {
    await withRoot([], 'glibc', async (root) => {
      for (const TZ of ['a'.repeat(100_000), `/${'x/'.repeat(3_000)}`, '\u0000', '../'.repeat(500)]) {
        for (const libc of ['glibc', 'musl'] as const) {
          expect(await resolveTimeZone(root, { TZ }, { libc })).toMatchObject({ offset: 0, name: 'UTC' });
        }
      }
      const overflowing = `AAA5BBB,M${'1'.repeat(50_000)},M11.1.0`;
      for (const libc of ['glibc', 'musl'] as const) {
        expect([-18_000, -14_400]).toContain((await resolveTimeZone(root, { TZ: overflowing }, { libc })).offset);
      }
    });
  });

  it('refuses what is no instant', async () => {
    await withRoot([], 'glibc', async (root) => {
      await expect(resolveTimeZone(root, {}, { at: 'soon' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    });
  });
});

function bound(root: ContainerRoot) {
  return {
    readDir: (path: string) => root.readDir(path),
    readFile: (path: string) => root.readFile(path),
    readLink: (path: string) => root.readLink(path),
    stat: (path: string, options?: { followSymlinks?: boolean }) => root.stat(path, options),
  };
}

function makeTzif({ offset, abbreviation, footer }: { offset: number; abbreviation: string; footer: string }): Buffer {
  const name = Buffer.from(`${abbreviation}\0`);
  const header = Buffer.alloc(44);
  header.write('TZif2');
  header.writeUInt32BE(1, 36);
  header.writeUInt32BE(name.length, 40);
  const type = Buffer.alloc(6);
  type.writeInt32BE(offset, 0);
  const block = Buffer.concat([header, type, name]);
  return Buffer.concat([block, block, Buffer.from(`\n${footer}\n`)]);
}
