import { describe, expect, test } from 'vitest';
import { pouch } from './pouch.js';
import { findPouchEndpoints } from './pouch-endpoints.js';

const find = (environment: Record<string, string> = {}, hostRoot = '/', options = {}) =>
  findPouchEndpoints(options, { environment, hostRoot }).map(({ kind, name, origin }) => `${kind} ${name} ${origin}`);

describe('the endpoint', () => {
  test('is the well-known socket below the host root when nothing is said', () => {
    expect(find()).toEqual(['unix /var/run/pouchd.sock well-known']);
    expect(find({}, '/hostfs')).toEqual(['unix /hostfs/var/run/pouchd.sock well-known']);
  });

  test('is the option’s alone, as this process sees it', () => {
    expect(find({ POUCH_SOCK: '/a' }, '/hostfs', { socketPath: '/b' })).toEqual(['unix /b option']);
  });

  test('is the environment’s, which may have several', () => {
    expect(find({ POUCH_SOCK: '/a, unix:///b,/a' })).toEqual(['unix /a environment', 'unix /b environment']);
    expect(find({ POUCH_SOCK: ' ' })).toEqual(['unix /var/run/pouchd.sock well-known']);
  });

  test('that is no path of a socket is reported, not skipped', () => {
    expect(find({ POUCH_SOCK: 'tcp://127.0.0.1:4243' })).toEqual(['unsupported tcp://127.0.0.1:4243 environment']);
  });

  test('is not Docker’s', () => {
    expect(find({ DOCKER_HOST: 'unix:///d', DOCKER_SOCK: '/d' })).toEqual(['unix /var/run/pouchd.sock well-known']);
  });
});

test('a socket path that is not absolute is refused at once', () => {
  expect(() => pouch({ socketPath: 'pouchd.sock' })).toThrow(/absolute/);
});
