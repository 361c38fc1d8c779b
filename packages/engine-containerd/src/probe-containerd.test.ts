import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@crikit/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { probeContainerd } from './probe-containerd.js';

let folder: string;
let servers: Server[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'crikit-probe-'));
  servers = [];
});
afterEach(() => {
  for (const server of servers) server.close();
  rmSync(folder, { recursive: true });
});

async function listen(server: Server, name = 'containerd.sock'): Promise<string> {
  const path = join(folder, name);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

/** Answers every call with this gRPC status and, for status 0, this version. */
function grpcServer(status: number, version = ''): Server {
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    if (status !== 0) {
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(status) });
      stream.end();
      return;
    }
    const message = Buffer.concat([Buffer.from([0x0a, version.length]), Buffer.from(version)]);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat([head, message]));
  });
  return server;
}

const probe = (address?: string, hostRoot = '/', signal = AbortSignal.timeout(5_000)) =>
  probeContainerd(address === undefined ? {} : { address }, {
    hostRoot,
    environment: {},
    signal,
    logger: silentLogger,
  });

describe('probing', () => {
  test('tells the version of a daemon that answers', async () => {
    const path = await listen(grpcServer(0, 'v1.7.24'));
    expect(await probe(path)).toEqual({
      status: 'available',
      version: 'v1.7.24',
      attempts: [
        { endpoint: path, origin: 'option', step: 'done', outcome: 'ok', message: `${path}: containerd v1.7.24.` },
      ],
    });
  });

  test.each([
    ['a containerd that is too old', () => grpcServer(0, '1.5.18'), 'version', 'TOO_OLD'],
    ['a gRPC server that is not containerd', () => grpcServer(12), 'handshake', 'NOT_CONTAINERD'],
    [
      'a server of HTTP/1',
      () => createHttpServer((_request, reply) => reply.end('hello')),
      'handshake',
      'NOT_CONTAINERD',
    ],
    ['a server that hangs up', () => createServer((socket) => socket.destroy()), 'handshake', expect.any(String)],
    ['a server that says nothing', () => createServer(() => {}), 'handshake', 'TIMEOUT'],
  ])('%s is reported with what to do', async (_name, create, step, code) => {
    const path = await listen(create());
    expect(await probe(path)).toMatchObject({
      status: 'failed',
      attempts: [{ endpoint: path, step, outcome: 'failed', code, message: expect.stringContaining(path) }],
    });
  });

  test('a version of another form is not too old', async () => {
    expect((await probe(await listen(grpcServer(0, 'dev')))).status).toBe('available');
  });

  test('nothing at the well-known places is not applicable; a named place without anything is a failure', async () => {
    const nothing = await probe(undefined, folder);
    expect(nothing.status).toBe('not-applicable');
    expect(nothing.attempts.map(({ outcome }) => outcome)).toEqual(['absent', 'absent', 'absent', 'absent']);
    expect((await probe(join(folder, 'missing'))).status).toBe('failed');
  });

  test('a file that is no socket is reported', async () => {
    const path = join(folder, 'file');
    writeFileSync(path, '');
    expect(await probe(path)).toMatchObject({ status: 'failed', attempts: [{ step: 'stat', code: 'ENOTSOCK' }] });
  });

  test('two names of one socket are tried once', async () => {
    const path = await listen(grpcServer(0, '2.1.9'));
    const other = join(folder, 'other.sock');
    symlinkSync(path, other);
    const context = { hostRoot: '/', environment: {}, signal: AbortSignal.timeout(5_000), logger: silentLogger };
    const { attempts } = await probeContainerd({ address: [path, other] }, context);
    expect(attempts.map(({ endpoint }) => endpoint)).toEqual([path]);
  });
});
