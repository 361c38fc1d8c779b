/** That each way to copy keeps what it has to keep, where it can serve at all. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rmSync, truncateSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { CopyMethod } from '@crikit/core';
import type { EngineFixture, FixtureContainer } from './engine-fixture.js';
import type { SuiteRunner } from './suite-runner.js';

export interface CopyMethodsSuiteOptions {
  readonly runner: SuiteRunner;
  createFixture(): Promise<EngineFixture>;
  /** Those that can serve a container of the fixture. */
  readonly methods: readonly CopyMethod[];
}

const run = promisify(execFile);

const makeTree = `set -e
mkdir -p a/b empty -- '-odd name'
head -c 2000017 /dev/urandom >a/big
printf x >'a/b/ünï code'
: >nothing
printf long >${'long-'.repeat(40)}
printf '\\000\\377\\n' >'-odd name/bytes'
ln -s a/b link
ln -s /etc/passwd absolute
ln -s nowhere dangling
chmod 4751 a/big
chmod 640 nothing
chmod 1777 a
chmod 555 empty
touch -d '2001-02-03 04:05:06' a/big nothing
find . -type d -exec touch -d '2002-03-04 05:06:07' {} +`;

/** One line for each file: name, mode, owner, time (not of links: few programs set it), type, target, checksum. */
const describeTree = (owner: string, timeless = '') => `find . | sort | while read -r file; do
  facts=$(stat -c '%a ${owner} %F' "$file")
  [ -L "$file" ] || [ "$file" = '${timeless}' ] || facts="$facts $(stat -c %Y "$file")"
  [ -L "$file" ] && facts="$facts $(readlink "$file")"
  [ ! -L "$file" ] && [ -f "$file" ] && facts="$facts $(sha256sum <"$file")"
  echo "$file $facts"
done`;

export function describeCopyMethods({ runner, createFixture, methods }: CopyMethodsSuiteOptions): void {
  const { describe, test, beforeAll, afterAll } = runner;

  describe('each way to copy', () => {
    let fixture: EngineFixture;
    let container: FixtureContainer;
    let local: string;
    let tree: string;
    beforeAll(async () => {
      local = await mkdtemp(join(tmpdir(), 'crikit-copy-methods-'));
      tree = join(local, 'tree');
      await run('mkdir', [tree]);
      await run('sh', ['-c', makeTree], { cwd: tree });
      fixture = await createFixture();
      container = await fixture.runContainer();
    });
    afterAll(async () => {
      await fixture?.close();
      await rm(local, { recursive: true, force: true });
    });

    const inside = async (script: string, workingDir = '/'): Promise<string> => {
      const cmd = ['sh', '-c', script];
      const { stdout } = await fixture.engine.exec(container.target, { cmd, workingDir, check: true });
      return stdout.toString();
    };
    const outside = async (script: string, cwd: string): Promise<string> =>
      (await run('sh', ['-c', script], { cwd, env: { ...process.env, LC_ALL: 'C' } })).stdout;
    const into = (method: CopyMethod, source: string, destination: string, options = {}) =>
      fixture.engine.copyToContainer(container.target, source, destination, { methods: [method], ...options });
    const outOf = (method: CopyMethod, source: string, destination: string, options = {}) =>
      fixture.engine.copyFromContainer(container.target, source, destination, { methods: [method], ...options });

    for (const method of methods) {
      test(`${method}: a tree goes in with content, mode, owner, time and links, and comes out again`, async () => {
        const copied = await into(method, tree, `/made/${method}/tree`);
        assert.deepEqual([copied.method, copied.skipped], [method, []]);
        // Busybox's tar makes links last, and so changes the time of the directory that they are in.
        const describeAll = describeTree('%u %g', method === 'tar' ? '.' : '');
        assert.deepEqual(
          (await inside(describeAll, `/made/${method}/tree`)).split('\n').sort(),
          (await outside(describeAll, tree)).split('\n').sort(),
        );
        assert.equal(await inside(`ls -A /made/${method}`), 'tree\n');

        const back = join(local, `back-${method}`);
        const returned = await outOf(method, `/made/${method}/tree`, back);
        assert.deepEqual({ ...returned }, { ...copied });
        // The bits that run a program as somebody else stay in the container.
        const expected = (await outside(describeTree('', method === 'tar' ? '.' : ''), tree)).replace(
          / 4751 /,
          ' 751 ',
        );
        assert.deepEqual(
          (await outside(describeTree('', method === 'tar' ? '.' : ''), back)).split('\n').sort(),
          expected.split('\n').sort(),
        );
      });

      test(`${method}: a file takes the place of a file and of a link, and belongs to whom it shall`, async () => {
        const path = `/tmp/${method}`;
        await inside(`mkdir ${path}; echo old >${path}/file; mkdir ${path}/other; ln -s other ${path}/link`);
        const owner = { uid: 1234, gid: 2345 };
        await into(method, join(tree, 'nothing'), `${path}/file`, { owner });
        await into(method, join(tree, 'nothing'), `${path}/link`);
        assert.equal(
          await inside(`cd ${path}; stat -c '%n %s %u %g %F' file; stat -c '%n %F' link; ls -A . other`),
          'file 0 1234 2345 regular empty file\nlink regular empty file\n.:\nfile\nlink\nother\n\nother:\n',
        );
      });

      test(`${method}: a directory fills an empty one, and touches no other`, async () => {
        const path = `/srv/${method}`;
        await inside(`mkdir -p ${path}/empty ${path}/full/x; echo kept >${path}/file`);
        await into(method, join(tree, 'a'), `${path}/empty`);
        assert.equal(await inside(`ls ${path}/empty`), 'b\nbig\n');
        await assert.rejects(into(method, tree, `${path}/full`), { code: 'ALREADY_EXISTS' });
        await assert.rejects(into(method, tree, `${path}/file`), { code: 'ALREADY_EXISTS' });
        await assert.rejects(into(method, join(tree, 'nothing'), `${path}/full`), { code: 'ALREADY_EXISTS' });
        assert.equal(
          await inside(`ls -A ${path} ${path}/full; cat ${path}/file`),
          `${path}:\nempty\nfile\nfull\n\n${path}/full:\nx\nkept\n`,
        );
      });

      test(`${method}: a link comes out as a link, what is missing as an error`, async () => {
        await inside(`mkdir -p /tmp/links; ln -sf /etc/passwd /tmp/links/${method}`);
        const to = join(local, `link-${method}`);
        await outOf(method, `/tmp/links/${method}`, to);
        assert.equal((await run('readlink', [to])).stdout, '/etc/passwd\n');
        await assert.rejects(outOf(method, '/tmp/links/none', join(local, 'none')), { code: 'PATH_NOT_FOUND' });
        assert.ok(!(await readdir(local)).includes('none'));
      });

      test(`${method}: an abort in the middle leaves nothing on either side`, async () => {
        await run('sh', ['-c', 'head -c 30000000 /dev/zero >large'], { cwd: local });
        const before = (await readdir(local)).sort();
        const entering = new AbortController();
        const path = `/var/aborted/${method}`;
        await assert.rejects(
          into(method, join(local, 'large'), `${path}/large`, {
            signal: entering.signal,
            onProgress: () => entering.abort(),
          }),
          { code: 'ABORTED' },
        );
        assert.equal(await inside('ls -A /var/aborted 2>/dev/null || echo absent'), 'absent\n');

        await inside('head -c 30000000 /dev/zero >/tmp/large');
        const leaving = new AbortController();
        await assert.rejects(
          outOf(method, '/tmp/large', join(local, `large-${method}`), {
            signal: leaving.signal,
            onProgress: () => leaving.abort(),
          }),
          { code: 'ABORTED' },
        );
        assert.deepEqual((await readdir(local)).sort(), before);
      });

      test(`${method}: a source that is cut short meanwhile is an error, and nothing arrives`, async () => {
        const source = join(local, `shrinking-${method}`);
        await run('truncate', ['-s', '30000000', source]);
        let isCut = false;
        const copying = into(method, source, `/var/shrunk/${method}`, {
          onProgress: () => {
            if (isCut) return;
            isCut = true;
            truncateSync(source, 1000);
          },
        });
        await assert.rejects(copying, { code: 'COPY_FAILED' });
        assert.equal(await inside('ls -A /var/shrunk 2>/dev/null || echo absent'), 'absent\n');
      });

      test(`${method}: a folder that is removed meanwhile is an error, and nothing arrives`, async () => {
        const source = join(local, `vanishing-${method}`);
        await run('mkdir', [source]);
        await run('sh', ['-c', 'for i in $(seq 40); do truncate -s 1000000 "file-$i"; done'], { cwd: source });
        let isGone = false;
        const copying = into(method, source, `/var/vanished/${method}`, {
          onProgress: () => {
            if (isGone) return;
            isGone = true;
            rmSync(source, { recursive: true });
          },
        });
        await assert.rejects(copying, ({ code }) => code === 'COPY_FAILED' || code === 'PATH_NOT_FOUND');
        assert.ok(isGone);
        assert.equal(await inside('ls -A /var/vanished 2>/dev/null || echo absent'), 'absent\n');
      });
    }
  });
}
