import { describe, expect, test } from 'vitest';
import { containerd } from './containerd.js';
import { findContainerdEndpoints } from './containerd-endpoints.js';

const wellKnown = [
  '/run/containerd/containerd.sock',
  '/run/k3s/containerd/containerd.sock',
  '/run/k0s/containerd.sock',
  '/var/snap/microk8s/common/run/containerd.sock',
];

const find = (address?: string | string[], environment: Record<string, string> = {}, hostRoot = '/') =>
  findContainerdEndpoints(address === undefined ? {} : { address }, { hostRoot, environment }).map(
    ({ path, origin }) => `${origin} ${path}`,
  );

describe('endpoints', () => {
  test('are the well-known ones below the host root when nobody names any', () => {
    expect(find()).toEqual(wellKnown.map((path) => `well-known ${path}`));
    expect(find(undefined, {}, '/hostfs')).toEqual(wellKnown.map((path) => `well-known /hostfs${path}`));
  });

  test('of the environment replace them, lists and both variables together, each once', () => {
    const environment = { CONTAINERD_SOCK: '/a, unix:///b,,', CONTAINERD_ADDRESS: '/b,/c' };
    expect(find(undefined, environment, '/hostfs')).toEqual(['environment /a', 'environment /b', 'environment /c']);
  });

  test('of the options replace all others', () => {
    expect(find(['unix:///x', '/y'], { CONTAINERD_SOCK: '/a' })).toEqual(['option /x', 'option /y']);
  });
});

describe('options that can never work are refused', () => {
  test.each([
    [{ address: 'containerd.sock' }],
    [{ address: [] }],
    [{ address: ['/a', 'tcp://b'] }],
    [{ namespaces: [] }],
    [{ namespaces: ['k8s.io', 'a b'] }],
    [{ namespaces: ['-a'] }],
    [{ fifoDirectory: 'relative' }],
  ])('%j', (options) => {
    expect(() => containerd(options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
