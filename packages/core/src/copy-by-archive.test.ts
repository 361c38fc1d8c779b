import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type ArchiveTarget, copyFromContainerByArchive, copyToContainerByArchive } from './copy-by-archive.js';
import type { CopyProgress } from './copy-options.js';
import type { ArchiveFeature } from './engine-contract.js';
import { EngineUnavailableError } from './errors/engine-unavailable-error.js';
import { PathNotFoundError } from './errors/path-not-found-error.js';

let directory: string;
let container: string;
let host: string;
let calls: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'crikit-copy-'));
  container = join(directory, 'container');
  host = join(directory, 'host');
  await mkdir(join(container, 'tmp'), { recursive: true });
  await mkdir(host);
  calls = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.on('close', resolve));
}

/** An engine whose container is a directory, and whose archives are made by the system's tar. */
const archive: ArchiveFeature = {
  async getArchive(_, path) {
    calls.push(`get ${path}`);
    await lstat(join(container, path)).catch((cause) => {
      throw new PathNotFoundError(`no ${path}`, { cause });
    });
    const child = spawn('tar', ['-c', '-f', '-', '-C', join(container, dirname(path)), basename(path)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // When a child exits, Node throws away what nobody is reading from its stdout yet.
    const tar = new PassThrough();
    pipeline(child.stdout, tar).catch(() => {});
    return tar;
  },
  async putArchive(_, target, tar) {
    calls.push(`put ${target}`);
    const found = await stat(join(container, target)).catch(() => undefined);
    if (found === undefined) throw new PathNotFoundError(`no ${target}`);
    const child = spawn('tar', ['-x', '-p', '-f', '-', '-C', join(container, target)], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const exited = exitOf(child);
    await pipeline(tar, child.stdin!);
    if ((await exited) !== 0) throw new EngineUnavailableError('tar failed');
  },
};

function target(changes: Partial<ArchiveFeature> = {}): ArchiveTarget {
  return { archive: { ...archive, ...changes }, engine: 'fake:/x', reference: { scope: '', id: 'c1' } };
}

const never = <Value>(): Promise<Value> => new Promise(() => {});

describe('copyToContainerByArchive', () => {
  it('copies a file to the exact path and says how', async () => {
    await writeFile(join(host, 'probe'), 'content', { mode: 0o751 });
    await chmod(join(host, 'probe'), 0o751);
    const reports: CopyProgress[] = [];
    const onProgress = (report: CopyProgress) => reports.push(report);
    const result = await copyToContainerByArchive(target(), join(host, 'probe'), '/tmp/other', { onProgress });
    expect(result).toEqual({ method: 'engine', bytes: 7, entries: 1 });
    expect(reports.at(-1)).toEqual({ bytes: 7, entries: 1 });
    expect(await readFile(join(container, 'tmp/other'), 'utf8')).toBe('content');
    expect((await stat(join(container, 'tmp/other'))).mode & 0o777).toBe(0o751);
  });

  it('puts it into the directory under its own name when the destination ends with a slash', async () => {
    await writeFile(join(host, 'probe'), 'content');
    await copyToContainerByArchive(target(), join(host, 'probe'), '/tmp/');
    await copyToContainerByArchive(target(), join(host, 'probe'), '/');
    await copyToContainerByArchive(target(), join(host, 'probe'), '/made/for/it/');
    for (const path of ['tmp/probe', 'probe', 'made/for/it/probe']) {
      expect(await readFile(join(container, path), 'utf8')).toBe('content');
    }
  });

  it('makes missing parents below the deepest directory there is', async () => {
    await mkdir(join(host, 'tree/sub'), { recursive: true });
    await writeFile(join(host, 'tree/sub/file'), 'x'.repeat(100_000));
    await symlink('sub/file', join(host, 'tree/link'));
    const result = await copyToContainerByArchive(target(), join(host, 'tree'), '/tmp/a/b/../c/copy');
    expect(result).toEqual({ method: 'engine', bytes: 100_000, entries: 4 });
    expect(calls).toEqual(['get /tmp/a/c/copy', 'put /tmp/a/c', 'put /tmp/a', 'put /tmp']);
    expect((await stat(join(container, 'tmp/a/c'))).mode & 0o777).toBe(0o755);
    expect(await readlink(join(container, 'tmp/a/c/copy/link'))).toBe('sub/file');
    expect((await readFile(join(container, 'tmp/a/c/copy/sub/file'))).length).toBe(100_000);
  });

  it('replaces a file, and fills an empty directory', async () => {
    await writeFile(join(host, 'new'), 'new');
    await writeFile(join(container, 'tmp/file'), 'old');
    await copyToContainerByArchive(target(), join(host, 'new'), '/tmp/file');
    expect(await readFile(join(container, 'tmp/file'), 'utf8')).toBe('new');
    await mkdir(join(container, 'tmp/empty'));
    await copyToContainerByArchive(target(), host, '/tmp/empty');
    expect(await readdir(join(container, 'tmp/empty'))).toEqual(['new']);
  });

  it('refuses to put a directory over a file, a file over a directory, a directory over a full one', async () => {
    await writeFile(join(host, 'file'), 'x');
    await mkdir(join(container, 'tmp/full/sub'), { recursive: true });
    await writeFile(join(container, 'tmp/file'), 'kept');
    for (const [source, destination] of [
      [host, '/tmp/file'],
      [host, '/tmp/full'],
      [join(host, 'file'), '/tmp/full'],
      [join(host, 'file'), '/tmp'],
    ] as const) {
      const copying = copyToContainerByArchive(target(), source, destination);
      await expect(copying).rejects.toMatchObject({ code: 'ALREADY_EXISTS', applied: 'no', engine: 'fake:/x' });
    }
    expect(calls.filter((call) => call.startsWith('put'))).toEqual([]);
    expect(await readFile(join(container, 'tmp/file'), 'utf8')).toBe('kept');
  });

  it('asks a container only for the beginning of what is at the destination', async () => {
    execFileSync('truncate', ['-s', '2G', join(container, 'tmp/huge')]);
    await writeFile(join(host, 'file'), 'x');
    let stream: Readable | undefined;
    const getArchive: ArchiveFeature['getArchive'] = async (...given) => {
      stream = await archive.getArchive(...given);
      return stream;
    };
    await copyToContainerByArchive(target({ getArchive }), join(host, 'file'), '/tmp/huge');
    expect(stream?.destroyed).toBe(true);
    expect((await stat(join(container, 'tmp/huge'))).size).toBe(1);
  });

  it.each([
    ['tmp/x', 'a relative destination'],
    ['', 'an empty destination'],
    ['/tmp/\0', 'a NUL'],
  ])('refuses %j before it calls the engine (%s)', async (destination) => {
    await writeFile(join(host, 'file'), 'x');
    const copying = copyToContainerByArchive(target(), join(host, 'file'), destination);
    await expect(copying).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(calls).toEqual([]);
  });

  it('tells what is wrong with the source before it calls the engine', async () => {
    execFileSync('mkfifo', [join(host, 'fifo')]);
    await expect(copyToContainerByArchive(target(), join(host, 'absent'), '/tmp/x')).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
      applied: 'no',
    });
    await expect(copyToContainerByArchive(target(), join(host, 'fifo'), '/tmp/x')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    });
    await expect(copyToContainerByArchive(target(), '', '/tmp/x')).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(calls).toEqual([]);
  });

  it("reports the source's error rather than what the engine makes of it, even if the engine says nothing", async () => {
    execFileSync('mkfifo', [join(host, 'fifo')]);
    const puts: ArchiveFeature['putArchive'][] = [
      archive.putArchive,
      (_, __, tar) => {
        tar.resume();
        return never();
      },
    ];
    for (const putArchive of puts) {
      await expect(copyToContainerByArchive(target({ putArchive }), host, '/tmp/x')).rejects.toMatchObject({
        code: 'UNSUPPORTED',
      });
    }
  });

  it("passes the engine's errors on", async () => {
    await writeFile(join(host, 'file'), 'x');
    const error = new EngineUnavailableError('gone');
    const put = target({ putArchive: () => Promise.reject(error) });
    await expect(copyToContainerByArchive(put, join(host, 'file'), '/tmp/x')).rejects.toBe(error);
    const get = target({ getArchive: () => Promise.reject(error) });
    await expect(copyToContainerByArchive(get, join(host, 'file'), '/tmp/x')).rejects.toBe(error);
    const missing = new PathNotFoundError('nothing at all');
    const nowhere = target({ putArchive: () => Promise.reject(missing) });
    await expect(copyToContainerByArchive(nowhere, join(host, 'file'), '/a/b')).rejects.toBe(missing);
  });

  it('does not believe an engine that is done before it had everything', async () => {
    await writeFile(join(host, 'file'), Buffer.alloc(20_000_000));
    const copying = copyToContainerByArchive(target({ putArchive: async () => {} }), join(host, 'file'), '/tmp/x');
    await expect(copying).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  it('stops when its signal aborts, though the engine hangs, and leaves no descriptor open', async () => {
    await writeFile(join(host, 'file'), Buffer.alloc(20_000_000));
    const before = (await readdir('/proc/self/fd')).length;
    const controller = new AbortController();
    let given: Readable | undefined;
    const hung = target({
      putArchive: (_, __, tar) => {
        given = tar;
        return never();
      },
    });
    const copying = copyToContainerByArchive(hung, join(host, 'file'), '/tmp/x', { signal: controller.signal });
    await vi.waitFor(() => expect(given).toBeDefined());
    controller.abort();
    await expect(copying).rejects.toMatchObject({ code: 'ABORTED' });
    expect(given?.destroyed).toBe(true);
    await vi.waitFor(async () => expect((await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before));
  });
});

describe('copyFromContainerByArchive', () => {
  it('copies a tree that was copied in, unchanged', async () => {
    await mkdir(join(host, 'tree/sub'), { recursive: true });
    await writeFile(join(host, 'tree/sub/file'), 'content');
    await symlink('/etc/passwd', join(host, 'tree/link'));
    await copyToContainerByArchive(target(), join(host, 'tree'), '/tmp/tree');
    const result = await copyFromContainerByArchive(target(), '/tmp/tree/', join(host, 'back'));
    expect(result).toEqual({ method: 'engine', bytes: 7, entries: 4 });
    expect(await readFile(join(host, 'back/sub/file'), 'utf8')).toBe('content');
    expect(await readlink(join(host, 'back/link'))).toBe('/etc/passwd');
    expect((await readdir(host)).sort()).toEqual(['back', 'tree']);
  });

  it('puts it into the directory under its own name when the destination ends with a slash', async () => {
    await writeFile(join(container, 'tmp/file'), 'content');
    await copyFromContainerByArchive(target(), '/tmp/file', `${host}/`);
    await copyFromContainerByArchive(target(), '/tmp/file', join(host, 'new/'));
    expect(await readFile(join(host, 'file'), 'utf8')).toBe('content');
    expect(await readFile(join(host, 'new/file'), 'utf8')).toBe('content');
  });

  it("passes on the engine's error for a path that is not there", async () => {
    const copying = copyFromContainerByArchive(target(), '/tmp/absent', join(host, 'x'));
    await expect(copying).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    expect(await readdir(host)).toEqual([]);
  });

  it.each(['tmp', '', '/', '/tmp/..', '/tmp\0'])('refuses the source %j before it calls the engine', async (source) => {
    await expect(copyFromContainerByArchive(target(), source, join(host, 'x'))).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    expect(calls).toEqual([]);
  });

  it('gives the limits of its options to the unpacking', async () => {
    await writeFile(join(container, 'tmp/file'), 'content');
    const copying = copyFromContainerByArchive(target(), '/tmp/file', join(host, 'x'), { maxBytes: 6 });
    await expect(copying).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect(await readdir(host)).toEqual([]);
  });

  it('stops when its signal aborts, before and in the middle of the answer', async () => {
    const before = new AbortController();
    const late = new PassThrough();
    let answer: (stream: Readable) => void = () => {};
    const waiting = copyFromContainerByArchive(
      target({ getArchive: () => new Promise((resolve) => (answer = resolve)) }),
      '/tmp/x',
      join(host, 'x'),
      { signal: before.signal },
    );
    before.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' });
    answer(late);
    await vi.waitFor(() => expect(late.destroyed).toBe(true));

    const middle = new AbortController();
    const silent = new PassThrough();
    const reading = copyFromContainerByArchive(target({ getArchive: async () => silent }), '/tmp/x', join(host, 'x'), {
      signal: middle.signal,
    });
    silent.write(execFileSync('tar', ['-c', '-C', container, 'tmp']).subarray(0, 512));
    await vi.waitFor(async () => expect(await readdir(host)).toHaveLength(1));
    middle.abort();
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED', applied: 'no' });
    expect(silent.destroyed).toBe(true);
    expect(await readdir(host)).toEqual([]);
  });
});
