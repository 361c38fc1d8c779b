/** How copying into and out of a container behaves, by whatever means it is done. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineFixture, FixtureContainer } from './engine-fixture.js';
import { type SuiteRunner, skipTest } from './suite-runner.js';

export interface CopySuiteOptions {
  readonly runner: SuiteRunner;
  createFixture(): Promise<EngineFixture>;
}

export function describeCopyBehaviour({ runner, createFixture }: CopySuiteOptions): void {
  const { describe, beforeAll, afterAll } = runner;

  describe('copy behaviour', () => {
    let fixture: EngineFixture;
    let container: FixtureContainer;
    let local: string;
    beforeAll(async () => {
      local = await mkdtemp(join(tmpdir(), 'crikit-copy-'));
      fixture = await createFixture();
      container = await fixture.runContainer();
    });
    afterAll(async () => {
      await fixture?.close();
      await rm(local, { recursive: true, force: true });
    });

    const test = (name: string, run: () => Promise<void>): void =>
      runner.test(name, async (...context) => {
        if (fixture.engine.supports('copy', await fixture.engine.getContainerDetail(container.target))) await run();
        else skipTest(context, 'nothing can copy to or from this engine’s containers');
      });

    const inside = async (script: string): Promise<string> => {
      const { stdout } = await fixture.engine.exec(container.target, { cmd: ['sh', '-c', script], check: true });
      return stdout.toString();
    };
    const copyIn = (...args: [string, string, object?]) => fixture.engine.copyToContainer(container.target, ...args);
    const copyOut = (...args: [string, string, object?]) => fixture.engine.copyFromContainer(container.target, ...args);
    const write = async (name: string, content: string | Buffer, mode = 0o644): Promise<string> => {
      const path = join(local, name);
      await writeFile(path, content);
      await chmod(path, mode);
      return path;
    };

    test('a file goes in and comes out with its content and mode', async () => {
      const content = randomBytes(3 * 1024 * 1024 + 17);
      const source = await write('probe', content, 0o750);
      const into = await copyIn(source, '/tmp/probe');
      assert.equal(into.bytes, content.length);
      assert.equal(
        await inside('sha256sum </tmp/probe | cut -d" " -f1; stat -c %a /tmp/probe'),
        `${sha256(content)}\n750\n`,
      );
      const out = await copyOut('/tmp/probe', join(local, 'probe-back'));
      assert.equal(out.bytes, content.length);
      assert.deepEqual(await readFile(join(local, 'probe-back')), content);
      assert.equal((await lstat(join(local, 'probe-back'))).mode & 0o777, 0o750);
    });

    test('a directory goes in and comes out with what is in it, links as links', async () => {
      const tree = join(local, 'tree');
      await mkdir(join(tree, 'deep', 'er'), { recursive: true });
      await mkdir(join(tree, 'empty'));
      await writeFile(join(tree, 'deep', 'er', 'ünïcode name'), 'x');
      await writeFile(join(tree, 'deep', 'empty-file'), '');
      await writeFile(join(tree, `${'long-'.repeat(40)}name`), 'long');
      await symlink('deep/er', join(tree, 'link'));
      await symlink('/etc/passwd', join(tree, 'absolute-link'));
      await copyIn(tree, '/tmp/tree');
      assert.equal(
        await inside(
          'cd /tmp/tree && find . | sort | wc -l && readlink link && readlink absolute-link && cat deep/er/*',
        ),
        '9\ndeep/er\n/etc/passwd\nx',
      );
      await copyOut('/tmp/tree', join(local, 'tree-back'));
      const names = async (path: string) => (await readdir(path, { recursive: true })).sort();
      assert.deepEqual(await names(join(local, 'tree-back')), await names(tree));
      assert.equal(await readlink(join(local, 'tree-back', 'absolute-link')), '/etc/passwd');
    });

    test('missing parent directories are made', async () => {
      await copyIn(await write('one', '1'), '/var/made/for/this/one');
      assert.equal(await inside('cat /var/made/for/this/one; stat -c %a /var/made'), '1755\n');
    });

    test('a destination with a slash at its end keeps the source’s name', async () => {
      await copyIn(await write('named', 'n'), '/tmp/');
      assert.equal(await inside('cat /tmp/named'), 'n');
    });

    test('a file takes the place of a file', async () => {
      await copyIn(await write('first', 'first'), '/tmp/replaced');
      await copyIn(await write('second', 'second'), '/tmp/replaced');
      assert.equal(await inside('cat /tmp/replaced'), 'second');
    });

    test('everything belongs to the owner that was asked for', async () => {
      await copyIn(await write('owned', 'o'), '/tmp/owned', { owner: { uid: 1234, gid: 2345 } });
      assert.equal(await inside('stat -c "%u %g" /tmp/owned'), '1234 2345\n');
    });

    test('what is not there is a typed error, and leaves nothing behind', async () => {
      await assert.rejects(copyIn(join(local, 'missing'), '/tmp/x'), { code: 'PATH_NOT_FOUND' });
      await assert.rejects(copyOut('/no/such/path', join(local, 'nothing')), { code: 'PATH_NOT_FOUND' });
      assert.ok(!(await readdir(local)).some((name) => name.startsWith('nothing')));
      await assert.rejects(copyOut('relative', join(local, 'nothing')), { code: 'INVALID_ARGUMENT' });
    });

    test('an abort leaves nothing behind on this side', async () => {
      await inside('head -c 50000000 /dev/zero >/tmp/large');
      const caller = new AbortController();
      const before = (await readdir(local)).sort();
      const copying = copyOut('/tmp/large', join(local, 'large'), {
        signal: caller.signal,
        onProgress: () => caller.abort(),
      });
      await assert.rejects(copying, { code: 'ABORTED' });
      assert.deepEqual((await readdir(local)).sort(), before);
    });

    test('more than the limit does not come out', async () => {
      await assert.rejects(copyOut('/tmp/large', join(local, 'large'), { maxBytes: 1_000_000 }), { code: 'TOO_LARGE' });
    });

    test('a container that is gone is not found', async () => {
      const gone = await fixture.runContainer();
      await gone.remove();
      const source = await write('for-nobody', '');
      await assert.rejects(fixture.engine.copyToContainer(gone.target, source, '/tmp/x'), { code: 'NOT_FOUND' });
    });
  });
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}
