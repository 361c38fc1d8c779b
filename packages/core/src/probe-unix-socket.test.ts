import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { probeUnixSocket } from './probe-unix-socket.js';

let directory: string;
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crikit-probe-'));
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  rmSync(directory, { recursive: true });
});

function probe(path: string, signal: AbortSignal = AbortSignal.timeout(2_000)) {
  return probeUnixSocket(path, { origin: 'option', signal });
}

async function listen(path: string): Promise<void> {
  const server = createServer((socket) => socket.end());
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

describe('probeUnixSocket', () => {
  test('says that something listens', async () => {
    const path = join(directory, 'live.sock');
    await listen(path);
    expect(await probe(path)).toMatchObject({ endpoint: path, origin: 'option', step: 'connect', outcome: 'ok' });
  });

  test.each(['missing.sock', 'missing/engine.sock', 'file/engine.sock'])('calls %s absent', async (name) => {
    writeFileSync(join(directory, 'file'), '');
    expect(await probe(join(directory, name))).toMatchObject({ step: 'stat', outcome: 'absent', code: 'ENOENT' });
  });

  test('tells a file and a directory from a socket', async () => {
    writeFileSync(join(directory, 'file'), '');
    mkdirSync(join(directory, 'made-by-a-mount'));
    expect(await probe(join(directory, 'file'))).toMatchObject({ outcome: 'failed', code: 'ENOTSOCK' });
    expect(await probe(join(directory, 'made-by-a-mount'))).toMatchObject({
      code: 'ENOTSOCK',
      remedy: expect.stringContaining('mount the directory'),
    });
  });

  test('tells a socket whose daemon is gone', async () => {
    const path = join(directory, 'dead.sock');
    // Killed, so that nobody removes the socket's file.
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(() => execFileSync(process.execPath, ['-e', script], { stdio: 'ignore' })).toThrow();
    expect(await probe(path)).toMatchObject({
      step: 'connect',
      outcome: 'failed',
      code: 'ECONNREFUSED',
      remedy: expect.stringContaining('daemon'),
    });
  });

  test('tells a socket that it may not use', async (context) => {
    if (process.getuid?.() !== 0) context.skip('only root can become another user');
    const path = join(directory, 'root.sock');
    await listen(path);
    const script = `
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      require('node:net').connect(${JSON.stringify(path)}).on('error', (error) => console.log(error.code));`;
    execFileSync('chmod', ['755', directory]);
    execFileSync('chmod', ['600', path]);
    expect(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }).trim()).toBe('EACCES');
    execFileSync('chmod', ['700', directory]);
    process.seteuid?.(65534);
    try {
      expect(await probe(path)).toMatchObject({
        outcome: 'failed',
        code: 'EACCES',
        remedy: expect.stringContaining('root'),
      });
    } finally {
      process.seteuid?.(0);
    }
  });

  test('gives up with the signal', async () => {
    const path = join(directory, 'live.sock');
    await listen(path);
    expect(await probe(path, AbortSignal.abort())).toMatchObject({
      step: 'connect',
      outcome: 'failed',
      code: 'TIMEOUT',
    });
  });
});
