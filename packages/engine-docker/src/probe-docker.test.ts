import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type EngineContext, silentLogger } from '@crikit/core';
import { compareApiVersions, readDaemonVersion } from '@crikit/dockerode-api';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  cutOff,
  type FakeDockerDaemon,
  type FakeReply,
  fakeVersion,
  hang,
  hangUp,
  json,
  startFakeDockerDaemon,
  text,
} from '../test/fake-docker-daemon.js';
import { docker } from './docker.js';
import { negotiateApiVersion, objectToDocker } from './docker-version.js';

const context = (parts: Partial<EngineContext> = {}): EngineContext => ({
  hostRoot: '/',
  environment: {},
  signal: new AbortController().signal,
  logger: silentLogger,
  ...parts,
});

let daemon: FakeDockerDaemon;
let directory: string;
beforeEach(async () => {
  daemon = await startFakeDockerDaemon();
  directory = mkdtempSync(join(tmpdir(), 'crikit-probe-'));
});
afterEach(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

const probe = (socketPath: string, parts?: Partial<EngineContext>) => docker({ socketPath }).probe(context(parts));

test('a daemon that answers is available, with its version', async () => {
  expect(await probe(daemon.socketPath)).toEqual({
    status: 'available',
    version: '20.10.24',
    attempts: [
      {
        endpoint: daemon.socketPath,
        origin: 'option',
        step: 'done',
        outcome: 'ok',
        message: expect.stringContaining('API 1.41'),
      },
    ],
  });
});

test('probing leaves no connection behind', async () => {
  await probe(daemon.socketPath);
  await expect.poll(() => daemon.connections.size).toBe(0);
});

describe('a daemon that cannot be used is a failed attempt', () => {
  const podman = { ...fakeVersion, Components: [{ Name: 'Podman Engine', Version: '4.3.1' }] };
  const pouch: FakeReply = (_, response) => void response.end(JSON.stringify({ ApiVersion: '1.24', Version: '1.3.0' }));
  test.each<[string, FakeReply, { step: string; code: string }]>([
    ['when its API is too old', json({ ...fakeVersion, ApiVersion: '1.40' }), { step: 'version', code: 'TOO_OLD' }],
    [
      'when its API is too new',
      json({ ...fakeVersion, ApiVersion: '2.0', MinAPIVersion: '1.99' }),
      { step: 'version', code: 'TOO_NEW' },
    ],
    ['when it is Podman', json(podman), { step: 'version', code: 'NOT_DOCKER' }],
    ['when it is Pouch', pouch, { step: 'version', code: 'NOT_DOCKER' }],
    ['when it is some web server', text('<html>', 404), { step: 'handshake', code: 'NOT_DOCKER' }],
    ['when its version is no object', text('null'), { step: 'handshake', code: 'NOT_DOCKER' }],
    ['when it hangs up', hangUp, { step: 'handshake', code: 'ECONNRESET' }],
    ['when its reply is cut off', cutOff, { step: 'handshake', code: 'ECONNRESET' }],
  ])('%s', async (_, reply, expected) => {
    daemon.on('GET /version', reply);
    const { status, attempts } = await probe(daemon.socketPath);
    expect(status).toBe('failed');
    expect(attempts[0]).toMatchObject({ ...expected, outcome: 'failed', remedy: expect.any(String) });
  });

  test('when it hangs, at the latest after its own deadline', async () => {
    daemon.on('GET /version', hang);
    const { status, attempts } = await probe(daemon.socketPath);
    expect(status).toBe('failed');
    expect(attempts[0]).toMatchObject({ step: 'handshake', code: 'TIMEOUT', endpoint: daemon.socketPath });
  });

  test('when it hangs and the caller gives up', async () => {
    daemon.on('GET /version', hang);
    const caller = new AbortController();
    const probed = probe(daemon.socketPath, { signal: caller.signal });
    await expect.poll(() => daemon.requests.length).toBe(1);
    caller.abort();
    expect((await probed).attempts[0]).toMatchObject({ code: 'TIMEOUT' });
  });

  test('when something else than HTTP listens there', async () => {
    const path = join(directory, 'other.sock');
    const server = await listen(path, 'SSH-2.0-OpenSSH_9.2\r\n');
    const { attempts } = await probe(path);
    server.close();
    expect(attempts[0]).toMatchObject({ step: 'handshake', code: 'NOT_DOCKER' });
  });
});

describe('a socket that is not there', () => {
  test('is a failure when it was named, and no Docker here when it is well-known', async () => {
    const missing = join(directory, 'missing.sock');
    expect(await probe(missing)).toMatchObject({ status: 'failed', attempts: [{ outcome: 'absent', code: 'ENOENT' }] });
    const report = await docker().probe(context({ hostRoot: directory }));
    expect(report.status).toBe('not-applicable');
    expect(report.attempts.map(({ outcome }) => outcome)).toEqual(['absent', 'absent']);
  });

  test('is reported when a file or a dead socket is in its place', async () => {
    const file = join(directory, 'file');
    writeFileSync(file, '');
    expect((await probe(file)).attempts[0]).toMatchObject({ outcome: 'failed', code: 'ENOTSOCK' });
    const dead = join(directory, 'dead.sock');
    await leaveDeadSocket(dead);
    expect((await probe(dead)).attempts[0]).toMatchObject({ outcome: 'failed', code: 'ECONNREFUSED', step: 'connect' });
  });
});

test('an endpoint over tcp where nothing listens is refused', async () => {
  const server = await listen(0, '');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  const { attempts } = await docker({ host: `tcp://127.0.0.1:${port}` }).probe(context());
  expect(attempts[0]).toMatchObject({ step: 'connect', code: 'ECONNREFUSED', endpoint: `tcp://127.0.0.1:${port}` });
});

test('the first of several endpoints that answers is taken, and every attempt is told', async () => {
  const environment = { DOCKER_SOCK: `${join(directory, 'missing.sock')},${daemon.socketPath}` };
  const report = await docker().probe(context({ environment }));
  expect(report.status).toBe('available');
  expect(report.attempts.map(({ outcome }) => outcome)).toEqual(['absent', 'ok']);
});

test('connecting to nothing tells what was tried', async () => {
  const missing = join(directory, 'missing.sock');
  await expect(docker({ socketPath: missing }).connect(context())).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    applied: 'no',
    retryable: true,
    message: expect.stringContaining(missing),
  });
});

describe('the API version', () => {
  const daemonWith = (apiVersion: string, oldestApiVersion?: string) => ({
    version: '1',
    apiVersion,
    oldestApiVersion,
    program: 'Engine',
    hasApiVersionHeader: true,
    signature: undefined,
    clockSeconds: undefined,
  });

  test.each([
    ['1.41', '1.12', '1.41'],
    ['1.44', '1.24', '1.44'],
    ['1.45', '1.24', '1.45'],
    ['1.52', '1.44', '1.45'],
  ])('that a daemon of %s (from %s) is spoken to is %s', (newest, oldest, expected) => {
    expect(negotiateApiVersion(daemonWith(newest, oldest), 'docker:test')).toBe(expected);
  });

  test('is not found with one that is too old', () => {
    expect(() => negotiateApiVersion(daemonWith('1.40'), 'docker:test')).toThrow(/too old/);
    expect(objectToDocker(daemonWith('1.41'))).toBeUndefined();
  });

  test('is compared by numbers, not by letters', () => {
    expect(compareApiVersions('1.9', '1.41')).toBeLessThan(0);
    expect(compareApiVersions('2.0', '1.41')).toBeGreaterThan(0);
    expect(compareApiVersions('1.41', '1.41')).toBe(0);
  });

  test('comes with the daemon’s own clock', async () => {
    const endpoint = { kind: 'unix', path: daemon.socketPath, name: 'x', origin: 'option' } as const;
    const { clockSeconds } = await readDaemonVersion(endpoint, new AbortController().signal);
    expect(Math.abs((clockSeconds ?? 0) * 1_000 - Date.now())).toBeLessThan(5_000);
  });
});

function listen(where: string | number, greeting: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.end(greeting);
  });
  return new Promise((resolve) => {
    const done = (): void => resolve(server);
    if (typeof where === 'string') server.listen(where, done);
    else server.listen(where, '127.0.0.1', done);
  });
}

/** A socket file whose owner is gone: what a daemon leaves that was killed. */
async function leaveDeadSocket(path: string): Promise<void> {
  const { spawn } = await import('node:child_process');
  const program = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  const child = spawn(process.execPath, ['-e', program]);
  await new Promise((resolve) => child.once('exit', resolve));
}
