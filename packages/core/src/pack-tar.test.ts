import { execFile, execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  link,
  lstat,
  lutimes,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CopyProgress } from './copy-options.js';
import { packTar } from './pack-tar.js';

const isRoot = process.getuid?.() === 0;
let directory: string;
let source: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'crikit-pack-tar-'));
  source = join(directory, 'source');
  await mkdir(source);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** What the system's tar makes of the archive. */
async function extract(tar: Readable): Promise<string> {
  const target = join(directory, 'extracted');
  await mkdir(target);
  const child = execFile('tar', ['-x', '-p', '--numeric-owner', '--warning=no-timestamp', '-f', '-', '-C', target]);
  const exited = new Promise<number | null>((resolve) => child.on('close', resolve));
  let complaints = '';
  child.stderr?.on('data', (text) => {
    complaints += text;
  });
  await pipeline(tar, child.stdin!);
  expect([await exited, complaints]).toEqual([0, '']);
  return target;
}

describe('packTar', () => {
  it('makes an archive that the system tar unpacks with content, modes, times and links', async () => {
    await mkdir(join(source, 'empty'), { mode: 0o711 });
    await writeFile(join(source, 'program'), '#!/bin/sh\n');
    await chmod(join(source, 'program'), 0o4755);
    await utimes(join(source, 'program'), 1_000_000_000, 1_000_000_000);
    await writeFile(join(source, 'old'), '');
    await utimes(join(source, 'old'), new Date(-86_400_000), new Date(-86_400_000));
    await symlink('../nowhere', join(source, 'link'));
    await lutimes(join(source, 'link'), 1_100_000_000, 1_100_000_000);
    await writeFile(join(source, 'größe ☃ 𝄞'), 'unicode');
    const big = Buffer.alloc(3_000_001, 'abc');
    await writeFile(join(source, 'big'), big);
    await link(join(source, 'big'), join(source, 'hard'));
    await chmod(join(source, 'empty'), 0o511);

    const tar = await packTar(source, 'renamed');
    const root = join(await extract(tar.stream), 'renamed');
    expect((await readdir(root)).sort()).toEqual((await readdir(source)).sort());
    expect(big.equals(await readFile(join(root, 'big')))).toBe(true);
    expect(big.equals(await readFile(join(root, 'hard')))).toBe(true);
    expect(await readFile(join(root, 'größe ☃ 𝄞'), 'utf8')).toBe('unicode');
    expect(await readlink(join(root, 'link'))).toBe('../nowhere');
    expect((await lstat(join(root, 'link'))).mtimeMs).toBe(1_100_000_000_000);
    expect((await stat(join(root, 'program'))).mode & 0o7777).toBe(0o4755);
    expect((await stat(join(root, 'program'))).mtimeMs).toBe(1_000_000_000_000);
    expect((await stat(join(root, 'old'))).mtimeMs).toBe(-86_400_000);
    expect((await stat(join(root, 'empty'))).mode & 0o777).toBe(0o511);
    expect(tar.failure()).toBeUndefined();
    expect(tar.packed()).toEqual({ bytes: 2 * big.length + 10 + 7, entries: 8 });
  });

  it.each([99, 100, 101, 155, 156, 200, 255])('keeps names and link targets of %i bytes', async (length) => {
    const name = 'n'.repeat(length);
    await mkdir(join(source, name));
    await mkdir(join(source, name, 'inner'));
    await writeFile(join(source, name, 'inner', name), 'x');
    await symlink(name, join(source, 'link'));
    const root = join(await extract((await packTar(source, 'r')).stream), 'r');
    expect(await readFile(join(root, name, 'inner', name), 'utf8')).toBe('x');
    expect(await readlink(join(root, 'link'))).toBe(name);
  });

  it('packs a single file and a single link', async () => {
    await writeFile(join(source, 'file'), 'content');
    await symlink('file', join(source, 'link'));
    const root = await extract((await packTar(join(source, 'file'), 'other')).stream);
    expect(await readFile(join(root, 'other'), 'utf8')).toBe('content');
    await rm(root, { recursive: true });
    expect(await readlink(join(await extract((await packTar(join(source, 'link'), 'l')).stream), 'l'))).toBe('file');
  });

  it('packs a tree of 500 levels', async () => {
    const levels = 500;
    execFileSync(
      'sh',
      ['-c', `i=0; while [ $i -lt ${levels} ]; do mkdir d && cd -P d || exit 1; i=$((i+1)); done; echo x >f`],
      {
        cwd: source,
      },
    );
    const tar = await packTar(source, 'r');
    const list = execFileSync('tar', ['-t', '-f', '-'], {
      input: await buffer(tar.stream),
      maxBuffer: 2 ** 27,
    }).toString();
    expect(list.trimEnd().split('\n').at(-1)).toBe(`r/${'d/'.repeat(levels)}f`);
  });

  it.runIf(isRoot)('keeps owners, large ones too, unless it is given one', async () => {
    await writeFile(join(source, 'file'), '');
    await chown(join(source, 'file'), 3_000_000, 1234);
    const kept = join(await extract((await packTar(source, 'r')).stream), 'r/file');
    expect(await stat(kept)).toMatchObject({ uid: 3_000_000, gid: 1234 });
    await rm(join(directory, 'extracted'), { recursive: true });
    const given = await packTar(source, 'r', { owner: { uid: 7, gid: 8 }, parents: ['p'] });
    const root = await extract(given.stream);
    for (const path of ['p', 'p/r', 'p/r/file']) expect(await stat(join(root, path))).toMatchObject({ uid: 7, gid: 8 });
  });

  it('puts missing parents in front and does not count them', async () => {
    await writeFile(join(source, 'file'), 'x');
    const tar = await packTar(join(source, 'file'), 'f', { parents: ['a', 'b'] });
    const root = await extract(tar.stream);
    expect(await readFile(join(root, 'a/b/f'), 'utf8')).toBe('x');
    expect((await stat(join(root, 'a/b'))).mode & 0o777).toBe(0o755);
    expect(tar.packed()).toEqual({ bytes: 1, entries: 1 });
  });

  it.each(['fifo', 'socket'])('refuses a %s in the tree', async (kind) => {
    const path = join(source, 'special');
    if (kind === 'fifo') execFileSync('mkfifo', [path]);
    else {
      const { createServer } = await import('node:net');
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(path, resolve));
      const tar = await packTar(source, 'r');
      await expect(buffer(tar.stream)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await new Promise((resolve) => server.close(resolve));
      return;
    }
    const tar = await packTar(source, 'r');
    await expect(buffer(tar.stream)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    expect(tar.failure()).toMatchObject({ code: 'UNSUPPORTED' });
    expect(tar.packed()).toBeUndefined();
  });

  it('refuses a name that is not UTF-8 instead of changing it', async () => {
    await writeFile(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff, 0xfe])]), 'x');
    await expect(buffer((await packTar(source, 'r')).stream)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  it('tells that the source is not there', async () => {
    const tar = await packTar(join(source, 'absent'), 'r');
    await expect(buffer(tar.stream)).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });

  it('packs a growing file as long as it was, and fails on a shrinking one', async () => {
    // Larger than what is read ahead, so that the file can be changed while it is being packed.
    const size = 32 * 1024 * 1024;
    const path = join(source, 'file');
    for (const change of [size + 1_000_000, size / 2]) {
      await (await open(path, 'w')).close();
      await truncate(path, size);
      const tar = await packTar(path, 'f');
      let received = 0;
      const reading = (async () => {
        for await (const chunk of tar.stream) {
          if (received === 0) await truncate(path, change);
          received += chunk.length;
        }
      })();
      if (change > size) {
        await reading;
        expect(received).toBe(512 + size + 1024);
      } else {
        await expect(reading).rejects.toMatchObject({ code: 'COPY_FAILED', retryable: true });
      }
      await tar.done;
    }
  });

  it('reads no faster than its reader', async () => {
    const path = join(source, 'file');
    const size = 256 * 1024 * 1024;
    await (await open(path, 'w')).close();
    await truncate(path, size);
    let read = 0;
    const tar = await packTar(path, 'f', {
      onProgress: ({ bytes }) => {
        read = bytes;
      },
    });
    const iterator = tar.stream[Symbol.asyncIterator]();
    await iterator.next();
    // Whatever it wanted to read ahead, it has read when the event loop has turned this often.
    for (let turn = 0; turn < 2000; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(read).toBeLessThan(size / 8);
    await iterator.return?.();
    await tar.done;
    expect(tar.failure()).toBeUndefined();
    expect(tar.packed()).toBeUndefined();
  });

  it('stops when its signal aborts', async () => {
    await writeFile(join(source, 'file'), Buffer.alloc(20_000_000));
    const controller = new AbortController();
    const tar = await packTar(source, 'r', { signal: controller.signal });
    await tar.stream[Symbol.asyncIterator]().next();
    controller.abort();
    await tar.done;
    expect(tar.failure()).toMatchObject({ code: 'ABORTED' });
    const early = await packTar(source, 'r', { signal: controller.signal });
    await expect(buffer(early.stream)).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('leaves no descriptor open, whether it ends or is given up', async () => {
    await mkdir(join(source, 'a/b/c'), { recursive: true });
    await writeFile(join(source, 'a/b/c/file'), Buffer.alloc(20_000_000));
    const before = (await readdir('/proc/self/fd')).length;
    const whole = await packTar(source, 'r');
    await buffer(whole.stream);
    const part = await packTar(source, 'r');
    await part.stream[Symbol.asyncIterator]().next();
    part.stream.destroy();
    await Promise.all([whole.done, part.done]);
    expect((await readdir('/proc/self/fd')).length).toBe(before);
  });

  it('reports its progress and the final counts', async () => {
    await writeFile(join(source, 'file'), 'abc');
    const reports: CopyProgress[] = [];
    const tar = await packTar(source, 'r', { onProgress: (progress) => reports.push(progress) });
    await buffer(tar.stream);
    expect(reports.at(-1)).toEqual({ bytes: 3, entries: 2 });
  });
});
