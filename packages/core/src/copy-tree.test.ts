import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createCopyProgressMeter } from './copy-progress-meter.js';
import { type CopyTreeOptions, copyTree, type TreeSide } from './copy-tree.js';
import { createMountGuard } from './mount-guard.js';

let folder: string;
let fd: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'crikit-tree-'));
  fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true, force: true });
});

/** Makes errors as they are; `path` is what they are about. */
const mapError: TreeSide['mapError'] = (error, path) => Object.assign(error as Error, { about: path });
const guard = createMountGuard('/proc/self/mountinfo');

/** The ways in which a side may be reached: by a guard, as a file system that does not hang, as one that may. */
const sides = {
  'a guarded': () => ({ guard, mapError }),
  'a local': () => ({ local: { guard, place: guard.placeOf(fd, undefined, '') }, mapError }),
  'a slow': () => ({ mapError }),
} as const;
type SideName = keyof typeof sides;

function copy(from: SideName, to: SideName, options: Partial<CopyTreeOptions> = {}, name = 'tree'): Promise<void> {
  const place = guard.placeOf(fd, undefined, '');
  const at = (side: SideName, entry: string) => ({
    directoryFd: fd,
    name: Buffer.from(entry),
    path: `/${entry}`,
    ...(side === 'a guarded' && { place }),
  });
  return copyTree(sides[from](), at(from, name), sides[to](), at(to, 'copy'), {
    meter: createCopyProgressMeter(undefined),
    fileModeMask: 0o777,
    directoryModeMask: 0o777,
    ownerOf: () => undefined,
    ...options,
  });
}

function makeTree(): void {
  mkdirSync(join(folder, 'tree/sub/deep'), { recursive: true });
  writeFileSync(join(folder, 'tree/small'), 'small');
  writeFileSync(join(folder, 'tree/empty'), '', { mode: 0o640 });
  writeFileSync(join(folder, 'tree/sub/large'), Buffer.alloc(3_000_000, 'large'));
  symlinkSync('../nowhere', join(folder, 'tree/sub/link'));
  writeFileSync(Buffer.concat([Buffer.from(join(folder, 'tree/sub/deep/')), Buffer.from([0xff, 0xfe])]), 'bytes');
  utimesSync(join(folder, 'tree/small'), 1000, 1000);
  utimesSync(join(folder, 'tree/sub'), 2000, 2000);
}

const namesOf = (path: string): string[] => readdirSync(path, { recursive: true, encoding: 'latin1' }).sort();
const descriptorsHere = (): number =>
  readdirSync('/proc/self/fd').filter((number) => {
    try {
      return readlinkSync(`/proc/self/fd/${number}`).startsWith(folder);
    } catch {
      return false;
    }
  }).length;

const pairs = Object.keys(sides).flatMap((from) => Object.keys(sides).map((to) => [from, to] as [SideName, SideName]));

describe.each(pairs)('a tree from %s file system to %s one', (from, to) => {
  test('has the same content, modes, times and links', async () => {
    makeTree();
    const counted: { bytes: number; entries: number }[] = [];
    const meter = createCopyProgressMeter((progress) => counted.push(progress));
    await copy(from, to, { meter });
    expect(namesOf(join(folder, 'copy'))).toEqual(namesOf(join(folder, 'tree')));
    expect(readFileSync(join(folder, 'copy/small'), 'utf8')).toBe('small');
    const isSame = readFileSync(join(folder, 'copy/sub/large')).equals(readFileSync(join(folder, 'tree/sub/large')));
    expect(isSame).toBe(true);
    expect(readlinkSync(join(folder, 'copy/sub/link'))).toBe('../nowhere');
    expect(lstatSync(join(folder, 'copy/empty')).mode & 0o7777).toBe(0o640);
    expect([lstatSync(join(folder, 'copy/small')).mtimeMs, lstatSync(join(folder, 'copy/sub')).mtimeMs]).toEqual([
      1_000_000, 2_000_000,
    ]);
    expect(meter.end()).toEqual({ bytes: 3_000_010, entries: 8 });
    expect(descriptorsHere()).toBe(1);
  });

  test('is given up at an abort, and every descriptor is closed', async () => {
    makeTree();
    const given = new AbortController();
    const meter = createCopyProgressMeter(() => given.abort());
    await expect(copy(from, to, { meter, signal: given.signal })).rejects.toMatchObject({ code: 'ABORTED' });
    expect(descriptorsHere()).toBe(1);
  });

  test('with a FIFO in it is refused without opening that', async () => {
    mkdirSync(join(folder, 'tree'));
    execFileSync('mkfifo', [join(folder, 'tree/pipe')]);
    await expect(copy(from, to)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(descriptorsHere()).toBe(1);
  });

  test('is held to its limits', async () => {
    makeTree();
    await expect(copy(from, to, { maxEntries: 3 })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    rmSync(join(folder, 'copy'), { recursive: true });
    await expect(copy(from, to, { maxBytes: 1000 })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect(descriptorsHere()).toBe(1);
  });

  test('does not go where something is', async () => {
    makeTree();
    writeFileSync(join(folder, 'copy'), 'there');
    await expect(copy(from, to)).rejects.toMatchObject({ code: 'EEXIST', about: '/copy' });
    await expect(copy(from, to, {}, 'none')).rejects.toMatchObject({ code: 'ENOENT', about: '/none' });
    expect(readFileSync(join(folder, 'copy'), 'utf8')).toBe('there');
  });
});

test('many small files leave the event loop time for others', async () => {
  mkdirSync(join(folder, 'tree'));
  for (let index = 0; index < 600; index += 1) writeFileSync(join(folder, 'tree', `${index}`), 'small');
  let turns = 0;
  let isOver = false;
  const others = (async () => {
    while (!isOver) {
      turns += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  const startedAt = performance.now();
  await copy('a guarded', 'a guarded');
  isOver = true;
  await others;
  // A turn each 4 ms is the aim; a busy machine may stand still in between. Without turns there would be one.
  expect(turns).toBeGreaterThan(Math.min(3, (performance.now() - startedAt) / 40));
  expect(readdirSync(join(folder, 'copy'))).toHaveLength(600);
}, 30_000);
