import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RUNTIME_RUND } from './container.js';
import { hostPath } from './host-path.js';
import { isRuncLikeRuntime } from './runc-like-runtime.js';
import { transferToHostPathForContainer } from './transfer-to-host-path-for-container.js';

let directory: string;
let merged: string;
let volume: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'crikit-host-path-'));
  merged = join(directory, 'merged');
  volume = join(directory, 'volume');
  await mkdir(join(merged, 'etc'), { recursive: true });
  await mkdir(join(merged, 'usr/lib'), { recursive: true });
  await mkdir(join(volume, 'nested'), { recursive: true });
  await writeFile(join(volume, 'file'), 'x');
  await writeFile(join(merged, 'usr/lib/os-release'), 'x');
  await symlink('../usr/lib/os-release', join(merged, 'etc/os-release'));
  await symlink('/etc/os-release', join(merged, 'absolute'));
  await symlink('../../../../../../usr', join(merged, 'etc/above'));
  await symlink('/data', join(merged, 'to-volume'));
  await symlink('/etc', join(volume, 'to-etc'));
  await symlink('loop', join(merged, 'loop'));
  for (let index = 0; index < 41; index += 1) await symlink(`chain-${index + 1}`, join(merged, `chain-${index}`));
});

afterAll(() => rm(directory, { recursive: true, force: true }));

const state = { status: 'running', pid: 4242 } as const;
const stopped = { status: 'exited', pid: 0 } as const;

function stoppedContainer(mounts: { source: string; destination: string }[] = []) {
  const withAccess = mounts.map((mount) => ({ ...mount, readWrite: true }));
  return { id: 'c1', runtime: 'runc', state: stopped, mounts: withAccess, mergedDir: merged };
}

describe('hostPath', () => {
  it('puts the host root in front, once, and does not leave it', () => {
    expect(hostPath('/', '/etc/hosts')).toBe('/etc/hosts');
    expect(hostPath('/hostfs', '/etc/hosts')).toBe('/hostfs/etc/hosts');
    expect(hostPath('/hostfs/', '/../../etc')).toBe('/hostfs/etc');
  });

  it('refuses relative paths', () => {
    expect(() => hostPath('/hostfs', 'etc')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => hostPath('hostfs', '/etc')).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});

describe('isRuncLikeRuntime', () => {
  it.each(['runc', 'crun', 'youki'])('is true for %s', (runtime) => expect(isRuncLikeRuntime(runtime)).toBe(true));
  it.each([RUNTIME_RUND, 'runv', 'kata', 'runsc', 'my-runc', '', undefined])('is false for %s', (runtime) =>
    expect(isRuncLikeRuntime(runtime)).toBe(false),
  );
});

describe('transferToHostPathForContainer', () => {
  it('goes through the process of a runc container below the host root', async () => {
    const container = { id: 'c1', runtime: 'crun', state, mounts: [], mergedDir: merged };
    const options = { hostRoot: '/hostfs' };
    expect(await transferToHostPathForContainer(container, '/etc/../tmp/x/', false, options)).toBe(
      '/hostfs/proc/4242/root/tmp/x',
    );
    expect(await transferToHostPathForContainer(container, '/', false, options)).toBe('/hostfs/proc/4242/root/');
  });

  it('takes the host root of the environment when it is given none', async () => {
    vi.stubEnv('HOSTFS', '/node');
    const container = { id: 'c1', runtime: 'runc', state, mounts: [] };
    expect(await transferToHostPathForContainer(container, '/x', false)).toBe('/node/proc/4242/root/x');
    vi.unstubAllEnvs();
    expect(await transferToHostPathForContainer(container, '/x', false)).toMatch(/\/proc\/4242\/root\/x$/);
  });

  it('does not use the process of a virtual machine', async () => {
    const container = { id: 'c1', runtime: 'kata', state, mounts: [], mergedDir: merged };
    expect(await transferToHostPathForContainer(container, '/etc', false)).toBe(join(merged, 'etc'));
  });

  it('prefers the innermost mount, then the merged directory', async () => {
    const container = stoppedContainer([
      { source: volume, destination: '/data' },
      { source: join(volume, 'nested'), destination: '/data/deep/er' },
      { source: join(volume, 'file'), destination: '/etc/hosts' },
    ]);
    expect(await transferToHostPathForContainer(container, '/data/deep/er/x', false)).toBe(join(volume, 'nested/x'));
    expect(await transferToHostPathForContainer(container, '/data/x', false)).toBe(join(volume, 'x'));
    expect(await transferToHostPathForContainer(container, '/data', false)).toBe(volume);
    expect(await transferToHostPathForContainer(container, '/database', false)).toBe(join(merged, 'database'));
    expect(await transferToHostPathForContainer(container, '/etc/hosts', false)).toBe(join(volume, 'file'));
    expect(await transferToHostPathForContainer(container, '/', false)).toBe(merged);
  });

  it('passes over mounts that are no directory or file on the host', async () => {
    const container = stoppedContainer([
      { source: join(directory, 'absent'), destination: '/data' },
      { source: 'tmpfs', destination: '/data' },
      { source: '/dev/null', destination: '/data' },
    ]);
    expect(await transferToHostPathForContainer(container, '/data/x', false)).toBe(join(merged, 'data/x'));
  });

  it('follows relative and absolute links inside the root, and cannot climb above it', async () => {
    const container = stoppedContainer([{ source: volume, destination: '/data' }]);
    const target = join(merged, 'usr/lib/os-release');
    expect(await transferToHostPathForContainer(container, '/etc/os-release', true)).toBe(target);
    expect(await transferToHostPathForContainer(container, '/absolute', true)).toBe(target);
    expect(await transferToHostPathForContainer(container, '/etc/above/lib', true)).toBe(join(merged, 'usr/lib'));
    expect(await transferToHostPathForContainer(container, '/to-volume/to-etc/os-release', true)).toBe(target);
    expect(await transferToHostPathForContainer(container, '/to-volume/missing/x', true)).toBe(
      join(volume, 'missing/x'),
    );
  });

  it('leaves links alone when it is not asked to follow them', async () => {
    expect(await transferToHostPathForContainer(stoppedContainer(), '/absolute', false)).toBe(join(merged, 'absolute'));
  });

  it('follows 40 links and refuses more', async () => {
    expect(await transferToHostPathForContainer(stoppedContainer(), '/chain-1', true)).toBe(join(merged, 'chain-41'));
    for (const path of ['/chain-0', '/loop']) {
      await expect(transferToHostPathForContainer(stoppedContainer(), path, true)).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
    }
  });

  it.each(['', 'etc', './etc', '/etc\0'])('refuses %j', async (path) => {
    await expect(transferToHostPathForContainer(stoppedContainer(), path, true)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
  });

  it.each([undefined, ''])('refuses / where it would be the root of the host (mergedDir %j)', async (mergedDir) => {
    const container = {
      id: 'c1',
      runtime: 'kata',
      state,
      mounts: [],
      ...(mergedDir === undefined ? {} : { mergedDir }),
    };
    await expect(transferToHostPathForContainer(container, '/', false)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    await expect(transferToHostPathForContainer(container, '/x', true)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });
});
