import { silentLogger } from '@crikit/core';
import { expect, test } from 'vitest';
import { podman } from './podman.js';
import { findPodmanEndpoints } from './podman-endpoints.js';

const find = (options: object, environment: Record<string, string>, hostRoot = '/') =>
  findPodmanEndpoints(options, { environment, hostRoot }).map(({ name, origin }) => `${origin} ${name}`);

test('an option wins over the environment, and that over the well-known paths', () => {
  const environment = { CONTAINER_HOST: 'unix:///run/a.sock, /run/b.sock', XDG_RUNTIME_DIR: '/run/user/1' };
  expect(find({ socketPath: '/mine' }, environment)).toEqual(['option /mine']);
  expect(find({}, environment)).toEqual(['environment /run/a.sock', 'environment /run/b.sock']);
  expect(find({}, { XDG_RUNTIME_DIR: '/run/user/1' }, '/hostfs')).toEqual([
    'well-known /hostfs/run/podman/podman.sock',
    'well-known /hostfs/run/user/1/podman/podman.sock',
  ]);
});

test('what is not there or cannot be reached is reported, with what to do', async () => {
  const context = { hostRoot: '/nonexistent', logger: silentLogger, signal: new AbortController().signal };
  const absent = await podman().probe({ ...context, environment: {} });
  expect(absent).toMatchObject({ status: 'not-applicable', attempts: [{ outcome: 'absent', code: 'ENOENT' }] });
  const remote = await podman().probe({ ...context, environment: { CONTAINER_HOST: 'ssh://core@host' } });
  expect(remote).toMatchObject({ status: 'failed', attempts: [{ code: 'UNSUPPORTED', remedy: expect.any(String) }] });
  await expect(podman({ socketPath: '/nonexistent' }).connect({ ...context, environment: {} })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    applied: 'no',
  });
});

test('an option that can never work is a misuse', () => {
  expect(() => podman({ socketPath: 'relative' })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
});
