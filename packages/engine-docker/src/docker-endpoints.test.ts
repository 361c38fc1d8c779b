import { isInvalidArgumentError } from '@crikit/core';
import { describe, expect, test } from 'vitest';
import { docker } from './docker.js';
import { findDockerEndpoints, parseDockerEndpoint } from './docker-endpoints.js';

const node = { hostRoot: '/', environment: {} };
const namesOf = (...given: Parameters<typeof findDockerEndpoints>) =>
  findDockerEndpoints(...given).map(({ name }) => name);

describe('endpoints', () => {
  test('are the well-known ones below the host root when nothing is named', () => {
    const environment = { XDG_RUNTIME_DIR: '/run/user/1000' };
    expect(namesOf({}, { hostRoot: '/hostfs', environment })).toEqual([
      '/hostfs/var/run/docker.sock',
      '/hostfs/run/docker.sock',
      '/hostfs/run/user/1000/docker.sock',
    ]);
    expect(findDockerEndpoints({}, node).every(({ origin }) => origin === 'well-known')).toBe(true);
  });

  test('are the environment’s alone when it names any, as this process sees them', () => {
    const environment = { DOCKER_HOST: 'unix:///a.sock, tcp://10.0.0.7:2375', DOCKER_SOCK: '/b.sock,/a.sock' };
    expect(namesOf({}, { hostRoot: '/hostfs', environment })).toEqual(['/a.sock', 'tcp://10.0.0.7:2375', '/b.sock']);
  });

  test('are the option’s alone when there is one', () => {
    const environment = { DOCKER_HOST: 'tcp://10.0.0.7:2375' };
    expect(namesOf({ socketPath: '/c.sock' }, { hostRoot: '/hostfs', environment })).toEqual(['/c.sock']);
    expect(namesOf({ host: 'unix:///c.sock' }, { hostRoot: '/', environment })).toEqual(['/c.sock']);
  });

  test('ignore empty settings', () => {
    expect(namesOf({}, { hostRoot: '/', environment: { DOCKER_HOST: '', DOCKER_SOCK: ' , ' } })).toContain(
      '/run/docker.sock',
    );
  });
});

describe('an endpoint', () => {
  test.each([
    ['tcp://10.0.0.7', '10.0.0.7', 2375],
    ['tcp://10.0.0.7:1234', '10.0.0.7', 1234],
    ['tcp://docker.local:80/', 'docker.local', 80],
    ['tcp://[::1]:2375', '::1', 2375],
  ])('%s is %s port %d', (text, host, port) => {
    expect(parseDockerEndpoint(text, 'option', false)).toMatchObject({ kind: 'tcp', host, port });
  });

  test.each(['tcp://10.0.0.7:2376', 'https://10.0.0.7', 'ssh://me@host', 'npipe:////./pipe/docker_engine', 'fd://'])(
    '%s is known and not supported',
    (text) => {
      expect(parseDockerEndpoint(text, 'environment', false)).toMatchObject({ kind: 'unsupported', name: text });
    },
  );

  test('that wants TLS by the environment is not reached without it', () => {
    const environment = { DOCKER_HOST: 'tcp://10.0.0.7:2375', DOCKER_TLS_VERIFY: '1' };
    expect(findDockerEndpoints({}, { hostRoot: '/', environment })[0]).toMatchObject({ kind: 'unsupported' });
  });

  test('that is nothing like one is a mistake as an option, and a failed attempt from the environment', () => {
    expect(() => docker({ host: 'what' })).toThrow(expect.toSatisfy(isInvalidArgumentError));
    expect(parseDockerEndpoint('what', 'environment', false).kind).toBe('unsupported');
  });
});

test('options that can never work are refused at once', () => {
  for (const options of [{ socketPath: 'docker.sock' }, { socketPath: '/a.sock', host: 'unix:///b.sock' }]) {
    expect(() => docker(options)).toThrow(expect.toSatisfy(isInvalidArgumentError));
  }
});
