import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { namesContainer, readContainerFile } from './read-container-file.js';

const containerId = 'c0ffee';
let hostRoot: string;
let root: string;

/** A /proc in which process 42 has our own mounts and a root that is a folder of ours. */
beforeEach(() => {
  hostRoot = mkdtempSync(join(tmpdir(), 'crikit-read-'));
  root = join(hostRoot, 'rootfs');
  mkdirSync(join(root, 'etc'), { recursive: true });
  const directory = join(hostRoot, 'proc/42');
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'cgroup'), `4:memory:/kubepods/pod1/${containerId}\n`);
  writeFileSync(join(directory, 'mountinfo'), readFileSync('/proc/self/mountinfo'));
  symlinkSync(root, join(directory, 'root'));
  writeFileSync(join(hostRoot, 'secret'), 'of the host');
});
afterEach(() => rmSync(hostRoot, { recursive: true }));

const read = (path = '/etc/passwd', id = containerId): string | undefined =>
  readContainerFile({ hostRoot, containerId: id, pid: 42 }, path, 100)?.toString();

describe('a file of a container', () => {
  test('is read, and undefined where it is not', () => {
    expect(read()).toBeUndefined();
    expect(read('/no/such')).toBeUndefined();
    writeFileSync(join(root, 'etc/passwd'), 'root:x');
    expect(read()).toBe('root:x');
    expect(read('/etc/passwd/below')).toBeUndefined();
  });

  test('is found through links that stay inside, absolute and relative', () => {
    mkdirSync(join(root, 'data'));
    writeFileSync(join(root, 'data/users'), 'mine');
    symlinkSync('/data/users', join(root, 'etc/passwd'));
    symlinkSync('../data/../etc/passwd', join(root, 'etc/relative'));
    expect(read()).toBe('mine');
    expect(read('/etc/relative')).toBe('mine');
  });

  test('is never one of the host’s, wherever links lead', () => {
    symlinkSync('../../../../../secret', join(root, 'etc/passwd'));
    expect(read()).toBeUndefined();
    symlinkSync(join(hostRoot, 'secret'), join(root, 'etc/absolute'));
    expect(read('/etc/absolute')).toBeUndefined();
    rmSync(join(root, 'etc'), { recursive: true });
    symlinkSync('/proc/self/root', join(root, 'etc'));
    expect(read()).toBeUndefined();
  });

  test('is refused when it is no file, too large, or links have no end', () => {
    execFileSync('mkfifo', [join(root, 'etc/pipe')]);
    expect(() => read('/etc/pipe')).toThrow(/no regular file/);
    expect(() => read('/etc')).toThrow(/is a directory/);
    writeFileSync(join(root, 'etc/large'), 'x'.repeat(101));
    expect(() => read('/etc/large')).toThrow(/101 bytes/);
    symlinkSync('passwd', join(root, 'etc/passwd'));
    expect(() => read()).toThrow(/too many symbolic links/);
  });

  test('is refused when the process is not the container’s', () => {
    writeFileSync(join(root, 'etc/passwd'), 'root:x');
    expect(() => read('/etc/passwd', 'other')).toThrow(/not in container/);
  });

  test('leaves no descriptor open, found or not', () => {
    const count = (): number =>
      readdirSync('/proc/self/fd').filter((descriptor) => {
        try {
          return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith(hostRoot);
        } catch {
          return false;
        }
      }).length;
    const before = count();
    read();
    expect(() => read('/etc')).toThrow();
    expect([before, count()]).toEqual([0, 0]);
  });
});

describe('a cgroup', () => {
  test.each([
    ['0::/kubepods/pod1/abc', true],
    ['0::/system.slice/cri-containerd-abc.scope', true],
    ['0::/system.slice/docker-abc.scope', true],
    ['0::/default/abc\n1:x:/', true],
    ['0::/kubepods/pod1/abcd', false],
    ['0::/kubepods/pod1/xabc', false],
    ['0::/', false],
  ])('%s names container abc: %s', (cgroup, expected) => {
    expect(namesContainer(cgroup, 'abc')).toBe(expected);
  });
});
