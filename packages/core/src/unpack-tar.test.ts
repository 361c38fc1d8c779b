import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import {
  chmod,
  link,
  lstat,
  lutimes,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { packTar, type TarEntry } from 'modern-tar';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CopyProgress } from './copy-options.js';
import { packTar as packFromHost } from './pack-tar.js';
import { unpackTar } from './unpack-tar.js';

let directory: string;
let place: string;
let destination: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'crikit-unpack-tar-'));
  place = join(directory, 'place');
  await mkdir(place);
  destination = join(place, 'destination');
});
afterEach(async () => {
  // Who is not root cannot empty a directory that may not be written.
  execFileSync('chmod', ['-R', 'u+rwx', directory]);
  await rm(directory, { recursive: true, force: true });
});

const file = (name: string, body = ''): TarEntry => ({ header: { name, size: body.length, type: 'file' }, body });
const folder = (name: string): TarEntry => ({ header: { name, size: 0, type: 'directory' } });
const symbolic = (name: string, linkname: string): TarEntry => ({
  header: { name, linkname, size: 0, type: 'symlink' },
});
const hard = (name: string, linkname: string): TarEntry => ({ header: { name, linkname, size: 0, type: 'link' } });

/** In pieces of an odd size, as a network would bring them. */
function inPieces(bytes: Uint8Array, size = 997): Readable {
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; offset += size) pieces.push(bytes.subarray(offset, offset + size));
  return Readable.from(pieces);
}

async function unpackEntries(entries: TarEntry[], options = {}): Promise<CopyProgress> {
  return unpackTar(inPieces(await packTar(entries)), destination, options);
}

/** Names, kinds, modes, times and contents of a tree, links not followed. */
async function describeTree(root: string, name = '.'): Promise<string[]> {
  const path = join(root, name);
  const stats = await lstat(path);
  const mode = (stats.mode & 0o7777).toString(8);
  const seconds = Math.floor(stats.mtimeMs / 1000);
  if (stats.isSymbolicLink()) return [`${name} -> ${await readlink(path)} ${seconds}`];
  if (!stats.isDirectory())
    return [`${name} ${mode} ${seconds} ${(await readFile(path)).toString('base64').slice(0, 200)}`];
  const below = await Promise.all((await readdir(path)).sort().map((child) => describeTree(root, join(name, child))));
  return [`${name}/ ${mode} ${seconds}`, ...below.flat()];
}

async function makeSample(root: string): Promise<void> {
  await mkdir(join(root, 'sub/empty'), { recursive: true });
  await mkdir(join(root, 'read-only'));
  await writeFile(join(root, 'read-only/inside'), 'inside');
  await symlink('inside', join(root, 'read-only/link'));
  await writeFile(join(root, 'sub', 'long-'.repeat(30)), 'long name');
  await symlink('target-'.repeat(30), join(root, 'sub/long-link'));
  await symlink('/etc/passwd', join(root, 'absolute'));
  await writeFile(join(root, 'größe ☃'), Buffer.alloc(700_001, 'xyz'));
  await writeFile(join(root, 'script'), '#!/bin/sh');
  await chmod(join(root, 'script'), 0o751);
  await utimes(join(root, 'script'), 1_000_000_000, 1_000_000_000);
  await lutimes(join(root, 'absolute'), 1_000_000_001, 1_000_000_001);
  await utimes(join(root, 'sub'), 1_000_000_002, 1_000_000_002);
  await chmod(join(root, 'read-only'), 0o555);
}

describe('unpackTar', () => {
  it.each(['gnu', 'pax', 'posix', 'oldgnu'])('unpacks what the system tar packs in the format %s', async (format) => {
    const source = join(directory, 'source');
    await mkdir(source);
    await makeSample(source);
    const bytes = execFileSync('tar', ['-c', `--format=${format}`, '-C', directory, 'source'], { maxBuffer: 2 ** 26 });
    await unpackTar(inPieces(bytes), destination);
    expect(await describeTree(destination)).toEqual(await describeTree(source));
  });

  it('gives back what packTar packed, and counts it', async () => {
    const source = join(directory, 'source');
    await mkdir(source);
    await makeSample(source);
    const packed = await packFromHost(source, 'any name');
    const reports: CopyProgress[] = [];
    const counts = await unpackTar(packed.stream, destination, { onProgress: (report) => reports.push(report) });
    expect(await describeTree(destination)).toEqual(await describeTree(source));
    expect(counts).toEqual(packed.packed());
    expect(reports.at(-1)).toEqual(counts);
    expect(await readdir(place)).toEqual(['destination']);
  });

  it('keeps hard links inside the archive, to files and to links', async () => {
    const source = join(directory, 'source');
    await mkdir(join(source, 'sub'), { recursive: true });
    await writeFile(join(source, 'a'), 'content');
    await link(join(source, 'a'), join(source, 'sub/b'));
    await symlink('nowhere', join(source, 'l'));
    await link(join(source, 'l'), join(source, 'sub/m'));
    const bytes = execFileSync('tar', ['-c', '--sort=name', '-C', directory, 'source']);
    await unpackTar(inPieces(bytes), destination);
    expect(await readFile(join(destination, 'sub/b'), 'utf8')).toBe('content');
    expect((await stat(join(destination, 'a'))).nlink).toBe(2);
    expect(await readlink(join(destination, 'sub/m'))).toBe('nowhere');
  });

  it('drops setuid and setgid, and gives everything to the caller', async () => {
    const entries = [folder('r'), file('r/program', 'x')];
    entries[0]!.header.mode = 0o3775;
    Object.assign(entries[1]!.header, { mode: 0o6755, uid: 4711, gid: 4711 });
    await unpackEntries(entries);
    expect((await stat(destination)).mode & 0o7777).toBe(0o1775);
    const program = await stat(join(destination, 'program'));
    expect(program.mode & 0o7777).toBe(0o755);
    expect(program.uid).toBe(process.getuid?.());
  });

  it('makes missing parents of the destination', async () => {
    destination = join(place, 'a/b/c');
    await unpackEntries([file('f', 'content')]);
    expect(await readFile(destination, 'utf8')).toBe('content');
  });

  it('replaces a file or a link itself by a file', async () => {
    await writeFile(join(place, 'other'), 'untouched');
    await symlink('other', destination);
    await unpackEntries([file('f', 'first')]);
    expect((await lstat(destination)).isFile()).toBe(true);
    await unpackEntries([file('f', 'second')]);
    expect(await readFile(destination, 'utf8')).toBe('second');
    expect(await readFile(join(place, 'other'), 'utf8')).toBe('untouched');
  });

  it('uses an empty directory and refuses any other', async () => {
    await mkdir(destination);
    await unpackEntries([folder('d'), file('d/f', 'x')]);
    expect(await readFile(join(destination, 'f'), 'utf8')).toBe('x');
    for (const entries of [[folder('d')], [file('f')], [symbolic('l', 'x')]]) {
      await expect(unpackEntries(entries)).rejects.toMatchObject({ code: 'ALREADY_EXISTS', applied: 'no' });
    }
    expect(await readdir(place)).toEqual(['destination']);
    expect(await readdir(destination)).toEqual(['f']);
  });

  it('refuses a directory where there is a file or a link', async () => {
    await writeFile(destination, 'kept');
    await expect(unpackEntries([folder('d')])).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await rm(destination);
    await symlink('.', destination);
    await expect(unpackEntries([folder('d')])).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    expect(await readlink(destination)).toBe('.');
  });

  it('tells that the parent of the destination is a file', async () => {
    await writeFile(destination, 'kept');
    destination = join(destination, 'below');
    await expect(unpackEntries([file('f')])).rejects.toMatchObject({ code: 'COPY_FAILED' });
  });

  const hostile: [string, string, () => TarEntry[]][] = [
    ['an absolute name', 'PROTOCOL', () => [file('/etc/crikit')]],
    ['an absolute name below a root', 'PROTOCOL', () => [folder('r'), file('/r/f')]],
    ['a name that climbs', 'PROTOCOL', () => [folder('r'), file('r/../../escaped')]],
    ['a first name that climbs', 'PROTOCOL', () => [file('../escaped')]],
    ['a name of dots', 'PROTOCOL', () => [folder('./')]],
    ['a second root', 'PROTOCOL', () => [folder('r'), file('s')]],
    ['a file written through a link', 'PROTOCOL', () => [folder('r'), symbolic('r/l', '..'), file('r/l/escaped')]],
    ['a file below a root that is a link', 'PROTOCOL', () => [symbolic('r', '..'), file('r/escaped')]],
    ['a directory that replaces a link', 'PROTOCOL', () => [folder('r'), symbolic('r/l', '..'), folder('r/l')]],
    ['a link that replaces a file', 'PROTOCOL', () => [folder('r'), file('r/f'), symbolic('r/f', '..')]],
    ['a link that comes twice', 'PROTOCOL', () => [folder('r'), symbolic('r/l', 'a'), symbolic('r/l', '..')]],
    ['a file that comes twice', 'PROTOCOL', () => [folder('r'), file('r/f'), file('r/f')]],
    ['a directory that comes twice', 'PROTOCOL', () => [folder('r'), folder('r/d'), folder('r/d')]],
    ['a file below a file', 'PROTOCOL', () => [folder('r'), file('r/f'), file('r/f/g')]],
    ['a file without its directory', 'PROTOCOL', () => [folder('r'), file('r/d/f')]],
    ['a hard link to an absolute path', 'PROTOCOL', () => [folder('r'), hard('r/h', '/etc/passwd')]],
    ['a hard link that climbs', 'PROTOCOL', () => [folder('r'), hard('r/h', 'r/../../secret')]],
    ['a hard link outside the root', 'PROTOCOL', () => [folder('r'), hard('r/h', 'secret')]],
    ['a hard link through a link', 'PROTOCOL', () => [folder('r'), symbolic('r/l', '..'), hard('r/h', 'r/l/secret')]],
    ['a hard link to a file under another root', 'PROTOCOL', () => [folder('r'), file('r/f'), hard('r/h', 's/f')]],
    ['a hard link to a directory', 'PROTOCOL', () => [folder('r'), folder('r/d'), hard('r/h', 'r/d')]],
    ['a hard link to nothing', 'PROTOCOL', () => [folder('r'), hard('r/h', 'r/missing')]],
    ['a first entry that is a hard link', 'PROTOCOL', () => [hard('r', 'r')]],
    ['a link without a target', 'PROTOCOL', () => [symbolic('r', '')]],
    ['a NUL in a name', 'PROTOCOL', () => [{ header: { name: 'x', size: 0, pax: { path: 'a\0b' } } }]],
    ['a name longer than a path can be', 'PROTOCOL', () => [file('d/'.repeat(2100))]],
    ['a name that is not UTF-8', 'UNSUPPORTED', () => [file('a\uFFFD')]],
    ['a FIFO', 'UNSUPPORTED', () => [folder('r'), { header: { name: 'r/p', size: 0, type: 'fifo' } }]],
    ['a device', 'UNSUPPORTED', () => [{ header: { name: 'd', size: 0, type: 'character-device' } }]],
    ['a sparse file', 'UNSUPPORTED', () => [{ header: { name: 'f', size: 0, pax: { 'GNU.sparse.major': '1' } } }]],
    ['no entry at all', 'PROTOCOL', () => []],
  ];

  it.each(hostile)('refuses %s and leaves nothing', async (_, code, entries) => {
    await writeFile(join(directory, 'secret'), 'secret');
    await expect(unpackEntries(entries())).rejects.toMatchObject({ code, applied: 'no' });
    expect(await readdir(place)).toEqual([]);
    expect((await readdir(directory)).sort()).toEqual(['place', 'secret']);
  });

  it('removes what it made, made parents too, when an archive turns bad late', async () => {
    destination = join(place, 'a/b/c');
    const entries = [folder('r'), folder('r/shut'), file('r/shut/f', 'x'), symbolic('r/l', '/'), file('../bad')];
    entries[1]!.header.mode = 0;
    await expect(unpackEntries(entries)).rejects.toMatchObject({ code: 'PROTOCOL' });
    expect(await readdir(place)).toEqual([]);
  });

  it('keeps within its limits on bytes and entries', async () => {
    const entries = [folder('r'), file('r/a', '12345'), file('r/b', '12345')];
    await expect(unpackEntries(entries, { maxBytes: 9 })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    await expect(unpackEntries(entries, { maxEntries: 2 })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect(await readdir(place)).toEqual([]);
    expect(await unpackEntries(entries, { maxBytes: 10, maxEntries: 3 })).toEqual({ bytes: 10, entries: 3 });
  });

  it('refuses a size beyond the limit before any content has come', async () => {
    const header = (await packTar([{ header: { name: 'f', size: 0 }, body: '' }])).slice(0, 512);
    header.set(Buffer.from('77777777777'), 124);
    fixChecksum(header);
    const endless = new PassThrough();
    endless.write(header);
    await expect(unpackTar(endless, destination, { maxBytes: 1000 })).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect(endless.destroyed).toBe(true);
  });

  it('tells a cut archive from a whole one at every length', async () => {
    const bytes = await packTar([folder('r'), file('r/f', 'x'.repeat(600)), symbolic('r/l', 'f')]);
    for (let length = 0; length < bytes.length; length += 256) {
      const cut = unpackTar(inPieces(bytes.subarray(0, length), 512), destination);
      await expect(cut, `${length} of ${bytes.length} bytes`).rejects.toMatchObject({ code: 'PROTOCOL' });
      expect(await readdir(place)).toEqual([]);
    }
  });

  it("reports the engine's broken stream as such", async () => {
    const tar = new PassThrough();
    tar.write((await packTar([folder('r'), file('r/f', 'x'.repeat(2000))])).subarray(0, 1500));
    const unpacking = unpackTar(tar, destination);
    tar.destroy(new Error('read ECONNRESET'));
    await expect(unpacking).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    const silent = new PassThrough();
    const waiting = unpackTar(silent, destination);
    silent.destroy();
    await expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await readdir(place)).toEqual([]);
  });

  it('stops at once when its signal aborts, however silent the engine is', async () => {
    const controller = new AbortController();
    const tar = new PassThrough();
    const bytes = await packTar([folder('r'), file('r/f', 'x'.repeat(500_000))]);
    const unpacking = unpackTar(tar, destination, { signal: controller.signal });
    tar.write(bytes.subarray(0, 100_000));
    await vi.waitFor(async () => expect(await readdir(place)).toHaveLength(1));
    controller.abort();
    await expect(unpacking).rejects.toMatchObject({ code: 'ABORTED', applied: 'no' });
    expect(tar.destroyed).toBe(true);
    expect(await readdir(place)).toEqual([]);
    const late = unpackTar(inPieces(bytes), destination, { signal: controller.signal });
    await expect(late).rejects.toMatchObject({ code: 'ABORTED' });
    expect(await readdir(place)).toEqual([]);
  });

  it('does not follow a directory that is swapped for a link while it works', async () => {
    const outside = join(directory, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'kept'), 'kept');
    const bytes = await packTar([folder('r'), folder('r/d'), file('r/d/escaped', 'x')]);
    const tar = Readable.from(
      (async function* () {
        yield bytes.subarray(0, 1024);
        const made = await vi.waitFor(async () => {
          const [temporary] = await readdir(place);
          const path = join(place, temporary!, 'd');
          expect((await stat(path)).isDirectory()).toBe(true);
          return path;
        });
        await rename(made, `${made}-before`);
        await symlink(outside, made);
        yield bytes.subarray(1024);
      })(),
    );
    await expect(unpackTar(tar, destination)).rejects.toMatchObject({ code: 'PROTOCOL' });
    expect(await readdir(outside)).toEqual(['kept']);
    expect(await readdir(place)).toEqual([]);
  });

  it('reads no faster than it can write', async () => {
    const total = 64 * 1024 * 1024;
    const header = (await packTar([{ header: { name: 'f', size: 3 }, body: 'abc' }])).slice(0, 512);
    header.set(Buffer.from(`${total.toString(8).padStart(11, '0')}\0`), 124);
    fixChecksum(header);
    const chunk = Buffer.alloc(65_536);
    const written = () => readdirSync(place).reduce((sum, name) => sum + statSync(join(place, name)).size, 0);
    let furthestAhead = 0;
    const tar = Readable.from(
      (function* () {
        yield header;
        for (let given = 0; given < total; given += chunk.length) {
          furthestAhead = Math.max(furthestAhead, given - written());
          yield chunk;
        }
        yield Buffer.alloc(1024);
      })(),
    );
    await unpackTar(tar, destination);
    expect((await stat(destination)).size).toBe(total);
    expect(furthestAhead).toBeGreaterThan(0);
    expect(furthestAhead).toBeLessThan(total / 8);
  });

  it('leaves no descriptor open, whether it succeeds or fails', async () => {
    const before = (await readdir('/proc/self/fd')).length;
    const entries = [folder('r'), folder('r/a'), folder('r/a/b'), file('r/a/b/f', 'x'), hard('r/h', 'r/a/b/f')];
    await unpackEntries(entries);
    destination = join(place, 'again');
    await expect(unpackEntries([...entries, file('../x')])).rejects.toThrow();
    expect((await readdir('/proc/self/fd')).length).toBe(before);
  });

  describe('whatever the archive', () => {
    const component = fc.constantFrom('r', 'a', 'b', '..', '.', '', '/', 'l', 'secret', '...', 'a\\b');
    const name = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => `r/${parts.join('/')}`),
      },
      { weight: 1, arbitrary: fc.array(component, { maxLength: 4 }).map((parts) => parts.join('/')) },
    );
    const type = fc.constantFrom('file', 'directory', 'symlink', 'link', 'fifo', 'block-device');
    const entry = fc.record({ name, linkname: fc.oneof(name, fc.constant('/'), fc.constant('../..')), type });

    async function checkContainment(unpacking: Promise<unknown>): Promise<void> {
      const code = await unpacking.then(
        () => 'done',
        (error) => error.code,
      );
      expect(code).toBeOneOf(['done', 'PROTOCOL', 'UNSUPPORTED', 'ALREADY_EXISTS', 'TOO_LARGE', 'COPY_FAILED']);
      expect((await readdir(directory)).sort()).toEqual(['place', 'secret']);
      expect(await readFile(join(directory, 'secret'), 'utf8')).toBe('secret');
      expect((await lstat(join(directory, 'secret'))).nlink).toBe(1);
      expect(await readdir(place)).toEqual(code === 'done' ? ['destination'] : []);
      await rm(destination, { recursive: true, force: true });
    }

    it('writes nothing but the destination, for entries of any name, kind and order', async () => {
      await writeFile(join(directory, 'secret'), 'secret');
      await fc.assert(
        fc.asyncProperty(fc.array(entry, { maxLength: 8 }), fc.boolean(), async (list, withRoot) => {
          const entries = list.map((header): TarEntry => {
            if (header.type === 'file') return { header: { ...header, type: 'file', size: 1 }, body: 'x' };
            return { header: { ...header, type: header.type as 'symlink', size: 0 } };
          });
          const bytes = await packTar(withRoot ? [folder('r'), ...entries] : entries);
          await checkContainment(unpackTar(inPieces(bytes), destination));
        }),
        { numRuns: 300 },
      );
    }, 60_000);

    it('writes nothing but the destination, for valid archives with bytes changed', async () => {
      await writeFile(join(directory, 'secret'), 'secret');
      const valid = await packTar([
        folder('r'),
        file('r/f', 'content'),
        symbolic('r/l', '../secret'),
        hard('r/h', 'r/f'),
      ]);
      const change = fc.record({ at: fc.nat(valid.length - 1), to: fc.nat(255) });
      await fc.assert(
        fc.asyncProperty(fc.array(change, { maxLength: 6 }), fc.boolean(), async (changes, fixSums) => {
          const bytes = Uint8Array.from(valid);
          for (const { at, to } of changes) bytes[at] = to;
          if (fixSums) for (let at = 0; at + 512 <= bytes.length; at += 512) fixChecksum(bytes.subarray(at, at + 512));
          await checkContainment(unpackTar(inPieces(bytes), destination));
        }),
        { numRuns: 300 },
      );
    }, 60_000);

    it('ends with a typed error for bytes that are no archive', async () => {
      await writeFile(join(directory, 'secret'), 'secret');
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ maxLength: 3000 }), async (bytes) => {
          await checkContainment(unpackTar(inPieces(bytes), destination));
        }),
        { numRuns: 100 },
      );
    }, 60_000);
  });
});

function fixChecksum(block: Uint8Array): void {
  if (Buffer.from(block.subarray(257, 262)).toString() !== 'ustar') return;
  block.fill(32, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
}
