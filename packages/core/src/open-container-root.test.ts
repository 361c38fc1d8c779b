import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerRoot } from './container-root.js';
import { openContainerRoot } from './open-container-root.js';

let directory: string;
let merged: string;
let root: ContainerRoot;

beforeEach(async () => {
  directory = mkdtempSync(join(realpathSync(tmpdir()), 'crikit-root-'));
  merged = join(directory, 'merged');
  mkdirSync(merged);
  root = await openContainerRoot({ mergedDir: merged });
});

afterEach(async () => {
  await root.close();
  rmSync(directory, { recursive: true, force: true });
});

function code(expected: string) {
  return expect.objectContaining({ code: expected });
}

function countDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('the walk', () => {
  /** What openat2 with RESOLVE_IN_ROOT does in this tree, case by case. */
  beforeEach(() => {
    for (const path of ['a/b/c', 'etc', 'loops']) mkdirSync(join(merged, path), { recursive: true });
    writeFileSync(join(directory, 'secret'), 'secret');
    writeFileSync(join(merged, 'etc/passwd'), 'inside');
    writeFileSync(join(merged, 'a/file'), 'file');
    const links: Record<string, string> = {
      absolute: '/etc/passwd',
      'absolute-directory': '/etc',
      'a/b/up': '../../etc/passwd',
      'a/above': '../../../../../../../../etc/passwd',
      outside: '../secret',
      'outside-absolute': `${'/..'.repeat(20)}${join(directory, 'secret')}`,
      'to-root': '/',
      'to-dots': '..',
      dangling: 'nothing',
      'with-slash': '/etc/',
      'file-with-slash': '/etc/passwd/',
      'loops/self': 'self',
      'loops/one': 'two',
      'loops/two': 'one',
      doubled: '//etc///.//passwd',
    };
    for (const [path, target] of Object.entries(links)) symlinkSync(target, join(merged, path));
    for (let index = 0; index < 41; index += 1) symlinkSync(`${index + 1}`, join(merged, 'loops', `${index}`));
    writeFileSync(join(merged, 'loops/41'), 'end');
  });

  it.each([
    ['/etc/passwd', 'inside'],
    ['//etc//./passwd', 'inside'],
    ['/../../etc/passwd', 'inside'],
    ['/a/b/../../etc/passwd', 'inside'],
    ['/absolute', 'inside'],
    ['/absolute-directory/passwd', 'inside'],
    ['/absolute-directory/../a/file', 'file'],
    ['/a/b/up', 'inside'],
    ['/a/above', 'inside'],
    ['/to-root/to-root/etc/passwd', 'inside'],
    ['/a/../to-dots/etc/passwd', 'inside'],
    ['/with-slash/passwd', 'inside'],
    ['/doubled', 'inside'],
    ['/loops/1', 'end'],
  ])('reads %s as %s', async (path, content) => {
    expect((await root.readFile(path)).toString()).toBe(content);
  });

  it.each([
    ['/outside', 'PATH_NOT_FOUND'],
    ['/outside-absolute', 'PATH_NOT_FOUND'],
    ['/dangling', 'PATH_NOT_FOUND'],
    ['/missing/../etc/passwd', 'PATH_NOT_FOUND'],
    ['/a/file/../file', 'PATH_NOT_FOUND'],
    ['/a/file/', 'PATH_NOT_FOUND'],
    ['/a/file/.', 'PATH_NOT_FOUND'],
    ['/file-with-slash', 'PATH_NOT_FOUND'],
    ['/loops/self', 'INVALID_ARGUMENT'],
    ['/loops/one', 'INVALID_ARGUMENT'],
    ['/loops/0', 'INVALID_ARGUMENT'],
    [`/${'x'.repeat(256)}`, 'INVALID_ARGUMENT'],
    ['/etc', 'UNSUPPORTED'],
    ['/', 'UNSUPPORTED'],
    ['etc/passwd', 'INVALID_ARGUMENT'],
    ['', 'INVALID_ARGUMENT'],
    ['/etc\0/passwd', 'INVALID_ARGUMENT'],
  ])('refuses to read %j: %s', async (path, expected) => {
    await expect(root.readFile(path)).rejects.toEqual(code(expected));
  });

  it('looks at a link itself when asked, unless a slash follows', async () => {
    expect(await root.stat('/absolute', { followSymlinks: false })).toMatchObject({ type: 'symlink' });
    expect(await root.stat('/absolute')).toMatchObject({ type: 'file', sizeBytes: 6 });
    expect(await root.stat('/absolute-directory/', { followSymlinks: false })).toMatchObject({ type: 'directory' });
    expect(await root.readLink('/outside')).toBe('../secret');
    await expect(root.readLink('/etc')).rejects.toEqual(code('INVALID_ARGUMENT'));
  });

  it('agrees with the kernel, told to take the directory as its root, on any path', async () => {
    const places = ['', 'a', 'a/b', 'a/b/c', 'a/file', 'etc', 'etc/passwd', 'loops', 'loops/41'];
    // Told apart by their times.
    for (const [index, path] of places.entries()) utimesSync(join(merged, path), 1_000_000 + index, 1_000_000 + index);
    const parts = ['a', 'b', '..', '.', '', 'etc', 'passwd', 'up', 'above', 'absolute', 'absolute-directory'];
    parts.push('to-root', 'to-dots', 'with-slash', 'dangling', 'file', 'loops', '1', 'outside');
    const paths = fc.sample(
      fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 8 }).map((chosen) => `/${chosen.join('/')}`),
      400,
    );
    // Every path of a chrooted process is resolved as in openat2 with RESOLVE_IN_ROOT.
    const script = `chroot(shift) or die; chdir("/"); for (@ARGV) {
      my @s = stat($_); print @s ? "$s[9]\\n" : (0 + $!) . "!\\n" }`;
    const kernel = execFileSync('perl', ['-e', script, merged, ...paths])
      .toString()
      .trim()
      .split('\n');
    const codes: Record<string, string[]> = { PATH_NOT_FOUND: ['2!', '20!'], INVALID_ARGUMENT: ['40!'] };
    const ours = await Promise.all(
      paths.map(async (path, index) => {
        const outcome = await root.stat(path).catch((error) => codes[error.code] ?? [error.code]);
        if ('type' in outcome) return String(outcome.modifiedMs / 1000);
        return outcome.includes(kernel[index] ?? '') ? kernel[index] : outcome;
      }),
    );
    expect(ours.map((answer, index) => `${paths[index]} ${answer}`)).toEqual(
      kernel.map((answer, index) => `${paths[index]} ${answer}`),
    );
    for (const answer of ['2!', '20!', '1000006']) expect(kernel).toContain(answer);
  });

  it('takes names that are not UTF-8 as bytes', async () => {
    const name = Buffer.from([0x2f, 0xff, 0xfe]);
    writeFileSync(Buffer.concat([Buffer.from(merged), name]), 'bytes');
    expect((await root.readFile(name)).toString()).toBe('bytes');
    const listed = (await root.readDir('/')).find(({ name: shown }) => shown.includes('�'));
    expect(listed?.rawName).toEqual(name.subarray(1));
  });

  it('does not hold more than 256 directories, and refuses paths without end', async () => {
    const deep = '/d'.repeat(255);
    await root.makeDirectories(deep);
    expect(await root.stat(deep)).toMatchObject({ type: 'directory' });
    await expect(root.makeDirectories(`${deep}/d/d`)).rejects.toEqual(code('UNSUPPORTED'));
    await expect(root.stat('/a/..'.repeat(2000))).rejects.toEqual(code('INVALID_ARGUMENT'));
    await root.remove('/d/d/d', { recursive: true });
    expect(readdirSync(join(merged, 'd/d'))).toEqual([]);
  });

  it('follows no link of /proc and none into it', async () => {
    symlinkSync('/proc/self/root/etc/passwd', join(merged, 'magic'));
    // The machine's own root, seen as a container's.
    const machine = await openContainerRoot({ mergedDir: '/' });
    try {
      await expect(machine.readFile('/proc/self/status')).rejects.toEqual(code('UNSUPPORTED'));
      await expect(machine.readFile(`/proc/${process.pid}/root/etc/passwd`)).rejects.toEqual(code('UNSUPPORTED'));
      await expect(machine.readFile(`${merged}/magic`)).rejects.toEqual(code('UNSUPPORTED'));
      symlinkSync(`/proc/${process.pid}/environ`, join(merged, 'environment'));
      await expect(machine.readFile(`${merged}/environment`)).rejects.toEqual(code('UNSUPPORTED'));
      expect((await machine.readFile(`/proc/${process.pid}/status`)).toString()).toContain('NSpid');
    } finally {
      await machine.close();
    }
  });
});

describe('reading', () => {
  it('gives files of any size whole, empty ones too', async () => {
    for (const size of [0, 1, 4095, 4096, 3 * 1024 ** 2 + 1]) {
      const content = Buffer.alloc(size, 'x');
      writeFileSync(join(merged, 'file'), content);
      expect((await root.readFile('/file')).equals(content)).toBe(true);
    }
  });

  it('stops at the cap', async () => {
    writeFileSync(join(merged, 'file'), 'x'.repeat(100));
    expect(await root.readFile('/file', { maxBytes: 100 })).toHaveLength(100);
    await expect(root.readFile('/file', { maxBytes: 99 })).rejects.toEqual(code('TOO_LARGE'));
    const machine = await openContainerRoot({ mergedDir: '/' });
    // Has no size until it is read.
    await expect(machine.readFile('/proc/1/status', { maxBytes: 10 })).rejects.toEqual(code('TOO_LARGE'));
    await machine.close();
  });

  it('never opens a FIFO, a socket or a device', async () => {
    execFileSync('mkfifo', [join(merged, 'fifo')]);
    execFileSync('mknod', [join(merged, 'null'), 'c', '1', '3']);
    for (const path of ['/fifo', '/null']) {
      await expect(root.readFile(path)).rejects.toEqual(code('UNSUPPORTED'));
      await expect(root.writeFile(path, 'x')).rejects.toEqual(code('UNSUPPORTED'));
    }
    expect((await root.readDir('/')).map(({ type }) => type).sort()).toEqual(['character-device', 'fifo']);
  });

  it('lists a directory up to its cap', async () => {
    for (let index = 0; index < 300; index += 1) writeFileSync(join(merged, `${index}`), '');
    mkdirSync(join(merged, 'directory'));
    const entries = await root.readDir('/');
    expect(entries).toHaveLength(301);
    expect(entries).toContainEqual({ name: 'directory', rawName: Buffer.from('directory'), type: 'directory' });
    await expect(root.readDir('/', { maxEntries: 300 })).rejects.toEqual(code('TOO_LARGE'));
    await expect(root.readDir('/0')).rejects.toEqual(code('PATH_NOT_FOUND'));
  });

  it('streams, and ends the stream when the signal aborts', async () => {
    writeFileSync(join(merged, 'file'), 'x'.repeat(1024 ** 2));
    expect(await text(await root.openReadStream('/file'))).toHaveLength(1024 ** 2);
    const abort = new AbortController();
    const stream = await root.openReadStream('/file', { signal: abort.signal });
    abort.abort();
    await expect(text(stream)).rejects.toEqual(code('ABORTED'));
  });

  it('rejects before it starts when the signal has aborted', async () => {
    writeFileSync(join(merged, 'file'), 'x');
    await expect(root.readFile('/file', { signal: AbortSignal.abort() })).rejects.toEqual(code('ABORTED'));
  });
});

describe('writing', () => {
  it('makes and replaces a file, keeping mode and owner of the one that was there', async () => {
    await root.writeFile('/new', 'one');
    expect(await root.stat('/new')).toMatchObject({ mode: 0o644, uid: 0, gid: 0, sizeBytes: 3 });
    execFileSync('chown', ['1000:1001', join(merged, 'new')]);
    chmodSync(join(merged, 'new'), 0o4750);
    await root.writeFile('/new', Buffer.from('other'));
    expect(readFileSync(join(merged, 'new'), 'utf8')).toBe('other');
    // A set-id bit that the container chose for its own file is not given to ours.
    expect(await root.stat('/new')).toMatchObject({ mode: 0o750, uid: 1000, gid: 1001 });
    await root.writeFile('/new', Readable.from([Buffer.from('a'), Buffer.from('b')]), {
      mode: 0o4711,
      owner: { uid: 7, gid: 8 },
    });
    expect(await root.stat('/new')).toMatchObject({ mode: 0o4711, uid: 7, gid: 8, sizeBytes: 2 });
    expect(readdirSync(merged)).toEqual(['new']);
  });

  it('writes through links inside the root and never outside', async () => {
    mkdirSync(join(merged, 'etc'));
    symlinkSync('/etc/target', join(merged, 'link'));
    symlinkSync(`${'../'.repeat(20)}${directory}/escaped`, join(merged, 'outside'));
    await root.writeFile('/link', 'x');
    expect(readlinkSync(join(merged, 'link'))).toBe('/etc/target');
    expect(readFileSync(join(merged, 'etc/target'), 'utf8')).toBe('x');
    await expect(root.writeFile('/outside', 'x')).rejects.toEqual(code('PATH_NOT_FOUND'));
    expect(readdirSync(directory)).toEqual(['merged']);
  });

  it('makes parents when asked, with the modes and owners that were asked for', async () => {
    await expect(root.writeFile('/a/b/c', 'x')).rejects.toEqual(code('PATH_NOT_FOUND'));
    await root.writeFile('/a/b/c', 'x', { makeParents: true, owner: { uid: 5, gid: 6 } });
    expect(await root.stat('/a/b')).toMatchObject({ type: 'directory', mode: 0o755, uid: 5, gid: 6 });
    await root.makeDirectories('/a/d/e', { mode: 0o1777 });
    expect(await root.stat('/a/d/e')).toMatchObject({ mode: 0o1777, uid: 0 });
    await root.makeDirectories('/a/d/e');
    expect(await root.stat('/a/d/e')).toMatchObject({ mode: 0o1777 });
    await expect(root.makeDirectories('/a/b/c')).rejects.toEqual(code('ALREADY_EXISTS'));
    await expect(root.makeDirectories('/a/b/c/d')).rejects.toEqual(code('PATH_NOT_FOUND'));
  });

  it('leaves nothing behind when the data fails or the signal aborts', async () => {
    const before = countDescriptors();
    const failing = Readable.from(
      (async function* () {
        yield Buffer.from('x');
        throw new Error('the source broke');
      })(),
    );
    await expect(root.writeFile('/file', failing)).rejects.toEqual(code('COPY_FAILED'));
    const abort = new AbortController();
    const stalled = new Readable({
      read() {
        abort.abort();
      },
    });
    await expect(root.writeFile('/file', stalled, { signal: abort.signal })).rejects.toEqual(code('ABORTED'));
    expect(stalled.destroyed).toBe(true);
    expect(readdirSync(merged)).toEqual([]);
    expect(countDescriptors()).toBe(before);
  });

  it('removes files, links and trees, and follows nothing', async () => {
    mkdirSync(join(merged, 'tree/deep/er'), { recursive: true });
    mkdirSync(join(directory, 'kept'));
    writeFileSync(join(directory, 'kept/file'), 'x');
    symlinkSync(join(directory, 'kept'), join(merged, 'tree/deep/link'));
    symlinkSync('tree', join(merged, 'link'));
    writeFileSync(join(merged, 'tree/file'), 'x');
    chmodSync(join(merged, 'tree/deep'), 0);
    await expect(root.remove('/tree')).rejects.toEqual(code('INVALID_ARGUMENT'));
    await root.remove('/link/', { recursive: true });
    expect(readdirSync(merged)).toEqual(['tree']);
    await root.remove('/tree', { recursive: true });
    await root.remove('/tree', { recursive: true });
    await root.remove('/no/such/thing');
    expect(readdirSync(merged)).toEqual([]);
    expect(readFileSync(join(directory, 'kept/file'), 'utf8')).toBe('x');
    for (const path of ['/', '/tree/..', '/.']) {
      await expect(root.remove(path, { recursive: true })).rejects.toEqual(code('INVALID_ARGUMENT'));
    }
  });
});

describe('mounts of a container that is reached by its directory', () => {
  let volume: string;
  let inner: string;
  let mounted: ContainerRoot;

  beforeEach(async () => {
    volume = join(directory, 'volume');
    inner = join(directory, 'inner');
    for (const path of [volume, inner, join(merged, 'run/data/nested'), join(merged, 'etc'), join(merged, 'dev')]) {
      mkdirSync(path, { recursive: true });
    }
    mkdirSync(join(volume, 'nested'));
    symlinkSync('run', join(merged, 'alias'));
    symlinkSync('/run/data/file', join(merged, 'to-volume'));
    symlinkSync('../etc/name', join(volume, 'back'));
    symlinkSync(directory, join(directory, 'swapped'));
    writeFileSync(join(volume, 'file'), 'volume');
    writeFileSync(join(inner, 'file'), 'inner');
    writeFileSync(join(merged, 'run/data/file'), 'hidden');
    writeFileSync(join(merged, 'etc/name'), 'hidden');
    writeFileSync(join(directory, 'name'), 'bound');
    mounted = await openContainerRoot({
      mergedDir: merged,
      mounts: [
        { source: inner, destination: '/run/data/nested', readWrite: false },
        { source: volume, destination: '/alias/data', readWrite: true },
        { source: join(directory, 'name'), destination: '/etc/name', readWrite: true },
        { source: '', destination: '/dev', readWrite: true },
        { source: join(directory, 'swapped/volume'), destination: '/swapped', readWrite: true },
      ],
    });
  });

  afterEach(() => mounted.close());

  it.each([
    ['/run/data/file', 'volume'],
    ['/alias/data/file', 'volume'],
    ['/to-volume', 'volume'],
    ['/run/data/nested/file', 'inner'],
    ['/run/data/nested/../file', 'volume'],
    ['/run/data/nested/../../data/nested/file', 'inner'],
    ['/etc/name', 'bound'],
    ['/run/data/../../etc/name', 'bound'],
  ])('reads %s from the mount that is there: %s', async (path, content) => {
    expect((await mounted.readFile(path)).toString()).toBe(content);
  });

  it('follows links of a volume in the container', async () => {
    // `..` of a mount's root is the directory that it is mounted in.
    await expect(mounted.readFile('/run/data/back')).rejects.toEqual(code('PATH_NOT_FOUND'));
    symlinkSync('../../etc/name', join(volume, 'well-back'));
    expect((await mounted.readFile('/run/data/well-back')).toString()).toBe('bound');
  });

  it('does not show what a mount without a source hides, nor a source behind a link', async () => {
    await expect(mounted.readDir('/dev')).rejects.toEqual(code('UNSUPPORTED'));
    await expect(mounted.readDir('/swapped')).rejects.toEqual(code('UNSUPPORTED'));
  });

  it('writes into a volume, not into a read-only one, and replaces no mount', async () => {
    await mounted.writeFile('/run/data/new', 'x');
    expect(readFileSync(join(volume, 'new'), 'utf8')).toBe('x');
    await expect(mounted.writeFile('/run/data/nested/new', 'x')).rejects.toEqual(code('PERMISSION'));
    await expect(mounted.makeDirectories('/run/data/nested/new')).rejects.toEqual(code('PERMISSION'));
    await expect(mounted.remove('/run/data/nested/file')).rejects.toEqual(code('PERMISSION'));
    await expect(mounted.writeFile('/etc/name', 'x')).rejects.toEqual(code('UNSUPPORTED'));
    await expect(mounted.remove('/run/data', { recursive: true })).rejects.toEqual(code('UNSUPPORTED'));
    expect(readFileSync(join(inner, 'file'), 'utf8')).toBe('inner');
  });

  it('takes paths below the host root only, and lets no link lead out of it', async () => {
    await expect(openContainerRoot({ mergedDir: merged, hostRoot: join(directory, 'volume') })).rejects.toEqual(
      code('INVALID_ARGUMENT'),
    );
    const host = join(directory, 'host');
    mkdirSync(join(host, 'mnt/data'), { recursive: true });
    writeFileSync(join(host, 'mnt/data/file'), 'on the node');
    symlinkSync('/mnt/data', join(host, 'data'));
    const onNode = await openContainerRoot({ mergedDir: join(host, 'data'), hostRoot: host });
    expect((await onNode.readFile('/file')).toString()).toBe('on the node');
    await onNode.close();
  });
});

describe('descriptors', () => {
  it('are all closed after thousands of calls, failures and aborts included', async () => {
    mkdirSync(join(merged, 'a/b'), { recursive: true });
    writeFileSync(join(merged, 'a/b/file'), 'x');
    symlinkSync('loop', join(merged, 'loop'));
    const before = countDescriptors();
    for (let round = 0; round < 300; round += 1) {
      const abort = new AbortController();
      const calls = [
        root.readFile('/a/b/file'),
        root.readFile('/a/b'),
        root.readFile('/a/b/missing'),
        root.readFile('/a/b/file', { maxBytes: 0 }),
        root.readFile('/a/b/file', { signal: abort.signal }),
        root.stat('/loop'),
        root.stat('/a/../a/./b/'),
        root.readDir('/a'),
        root.readLink('/loop'),
        root.writeFile(`/a/new-${round}`, 'x', { signal: abort.signal }),
        root.writeFile('/a/b', 'x'),
        root.makeDirectories(`/a/b/${round}`),
        root.remove(`/a/b/${round}`, { recursive: true }),
        root.openReadStream('/a/b/file').then(text),
      ];
      abort.abort();
      await Promise.allSettled(calls);
    }
    expect(countDescriptors()).toBe(before);
    await expect(openContainerRoot({ mergedDir: join(merged, 'a/b/file') })).rejects.toEqual(code('INVALID_ARGUMENT'));
    await expect(openContainerRoot({ mergedDir: join(merged, 'missing') })).rejects.toEqual(code('PATH_NOT_FOUND'));
    expect(countDescriptors()).toBe(before);
    await root.close();
    expect(countDescriptors()).toBe(before - 1);
    await expect(root.readFile('/a/b/file')).rejects.toEqual(code('CLOSED'));
  });
});

describe('a root by pid', () => {
  it.each([0, -1, 1.5, Number.NaN])('refuses pid %s', async (pid) => {
    await expect(openContainerRoot({ pid, containerId: 'c1' })).rejects.toEqual(code('INVALID_ARGUMENT'));
  });

  it('is not opened for a process of something else, nor for one that does not exist', async () => {
    const before = countDescriptors();
    await expect(openContainerRoot({ pid: process.pid, containerId: 'f'.repeat(64) })).rejects.toEqual(
      code('NOT_RUNNING'),
    );
    await expect(openContainerRoot({ pid: 2 ** 22 + 1, containerId: 'f'.repeat(64) })).rejects.toEqual(
      code('NOT_RUNNING'),
    );
    expect(countDescriptors()).toBe(before);
  });

  it("says so when the node's processes are not to be seen", async () => {
    await expect(openContainerRoot({ pid: 1, containerId: 'c1', hostRoot: directory })).rejects.toEqual(
      code('UNSUPPORTED'),
    );
  });
});
