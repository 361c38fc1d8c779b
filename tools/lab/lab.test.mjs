// @ts-check
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { callContainerd, readContainerdVersion } from './containerd-api.mjs';
import { createDockerDaemon, dockerRequest, labDirectory, status, up } from './lab.mjs';
import { withLabLock } from './lab-directory.mjs';
import { endProcess, findEngineProcesses, isAlive, recordProcess, signalProcess } from './processes.mjs';
import { createTar } from './tar.mjs';

const temporary = mkdtempSync(join(tmpdir(), 'lab-test-'));
process.env.CRIKIT_LAB_DIR = join(temporary, 'lab');
after(() => rmSync(temporary, { recursive: true, force: true }));

test('the lab lives where CRIKIT_LAB_DIR says, and is empty before the first up', async () => {
  assert.equal(labDirectory(), join(temporary, 'lab'));
  assert.deepEqual(await status(), { directory: join(temporary, 'lab'), engines: {} });
});

test('without CRIKIT_LAB_DIR the folder comes from the path of the clone', () => {
  const chosen = process.env.CRIKIT_LAB_DIR;
  delete process.env.CRIKIT_LAB_DIR;
  try {
    assert.match(labDirectory(), /\/crikit-lab-[0-9a-f]{8}$/);
  } finally {
    process.env.CRIKIT_LAB_DIR = chosen;
  }
});

test('an unknown engine is a misuse', () => {
  assert.throws(() => up({ engines: ['dokcer'] }), { name: 'TypeError', message: /dokcer.*docker, docker-remote/ });
});

test('a folder too deep for unix sockets is refused by name', () => {
  const directory = join(temporary, 'x'.repeat(68));
  assert.throws(() => createDockerDaemon({ directory }), {
    code: 'LAB_START_FAILED',
    message: /too long for unix sockets/,
  });
});

test('making a daemon object touches nothing', async () => {
  const daemon = createDockerDaemon({ name: 'never-started' });
  assert.equal(daemon.pid(), undefined);
  assert.equal(await daemon.isRunning(), false);
  assert.throws(() => readFileSync(labDirectory()), { code: 'ENOENT' });
});

test('system tar reads back what createTar wrote', () => {
  const archive = createTar([
    { path: 'bin', type: 'directory' },
    { path: 'bin/tool', type: 'file', content: 'x'.repeat(1025), mode: 0o755 },
    { path: 'bin/same', type: 'hardlink', target: 'bin/tool' },
    { path: 'bin/link', type: 'symlink', target: '/bin/tool' },
    { path: 'home', type: 'directory', uid: 1000, gid: 1001 },
  ]);
  const listed = execFileSync('tar', ['--numeric-owner', '-tvf', '-'], { input: archive, encoding: 'utf8' });
  const lines = listed
    .trim()
    .split('\n')
    .map((line) => line.replace(/ +/g, ' ').replace(/ \d{4}-\S+ \S+/, ''));
  assert.deepEqual(lines, [
    'drwxr-xr-x 0/0 0 bin/',
    '-rwxr-xr-x 0/0 1025 bin/tool',
    'hrw-r--r-- 0/0 0 bin/same link to bin/tool',
    'lrw-r--r-- 0/0 0 bin/link -> /bin/tool',
    'drwxr-xr-x 1000/1001 0 home/',
  ]);
});

test('names that ustar cannot hold are refused', () => {
  assert.throws(() => createTar([{ path: 'x'.repeat(101), type: 'file' }]), RangeError);
});

test('the lock lets one in at a time', async () => {
  /** @type {string[]} */
  const order = [];
  const first = withLabLock('/somewhere', undefined, async () => {
    order.push('first in');
    await new Promise((resolve) => setImmediate(resolve));
    order.push('first out');
  });
  const second = withLabLock('/somewhere', undefined, async () => order.push('second in'));
  await Promise.all([first, second]);
  assert.deepEqual(
    order.filter((step) => step.startsWith('first')),
    ['first in', 'first out'],
  );
  assert.notEqual(order[1], 'second in');
});

test('a lock whose holder was killed is free', async () => {
  const program = `import { withLabLock } from ${JSON.stringify(import.meta.resolve('./lab-directory.mjs'))};
    setInterval(() => {}, 1000);
    await withLabLock('/elsewhere', undefined, () => { process.stdout.write('held'); return new Promise(() => {}); });`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  const interruption = new AbortController();
  const waiting = withLabLock('/elsewhere', interruption.signal, async () => 'ours');
  interruption.abort(new Error('not while it is held'));
  await assert.rejects(waiting, /not while it is held/);
  holder.kill('SIGKILL');
  assert.equal(await withLabLock('/elsewhere', undefined, async () => 'ours'), 'ours');
});

test('a process is told from another one that got its pid', () => {
  const own = recordProcess(process.pid);
  assert.ok(own);
  assert.equal(isAlive(own), true);
  const former = { ...own, startTime: '1' };
  assert.equal(isAlive(former), false);
  assert.equal(signalProcess(former, 'SIGKILL'), false);
});

test('a process that ignores SIGTERM ends all the same', async () => {
  const child = spawn(process.execPath, [
    '-e',
    "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('ready')",
  ]);
  await once(child.stdout, 'data');
  const record = recordProcess(/** @type {number} */ (child.pid));
  await endProcess(record, { graceMs: 50 });
  assert.equal(isAlive(record), false);
});

test('only engines are taken for engine processes, whatever has the folder in its arguments', async () => {
  const directory = join(temporary, 'folder');
  /** @type {(argv0: string, argument: string) => import('node:child_process').ChildProcess} */
  const idle = (argv0, argument) => spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', argument], { argv0 });
  const bystander = idle('tail', `${directory}/docker.log`);
  const engine = idle('dockerd', '/run/docker.sock');
  const ours = idle('/usr/sbin/dockerd', `${directory}/docker.sock`);
  try {
    await once(ours, 'spawn');
    assert.deepEqual(
      findEngineProcesses(directory).map(({ pid }) => pid),
      [ours.pid],
    );
  } finally {
    for (const child of [bystander, engine, ours]) child.kill('SIGKILL');
  }
});

test('a refused request carries its status and message, a silent daemon ends in LAB_TIMEOUT', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/silent') return;
    response.writeHead(409, { 'content-type': 'application/json' }).end('{"message":"name in use"}');
  });
  const socketPath = join(temporary, 'fake.sock');
  server.listen(socketPath);
  await once(server, 'listening');
  try {
    await assert.rejects(dockerRequest(socketPath, 'POST', '/containers/create', { body: {} }), {
      code: 'LAB_REQUEST_FAILED',
      statusCode: 409,
      message: /name in use/,
    });
    await assert.rejects(dockerRequest(socketPath, 'GET', '/silent', { timeoutMs: 20 }), { code: 'LAB_TIMEOUT' });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("containerd's version is read from its reply, a gRPC error carries its code, silence ends in LAB_TIMEOUT", async () => {
  const server = createHttp2Server();
  server.on('stream', (stream, headers) => {
    const path = headers[':path'];
    if (path === '/silent/Call') return;
    if (path !== '/containerd.services.version.v1.Version/Version') {
      stream.respond({ ':status': 200, 'grpc-status': '12', 'grpc-message': 'unknown service' }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, 8, 0x0a, 6]), Buffer.from('1.6.20')]));
  });
  const socketPath = join(temporary, 'fake-containerd.sock');
  server.listen(socketPath);
  await once(server, 'listening');
  try {
    assert.equal(await readContainerdVersion(socketPath), '1.6.20');
    await assert.rejects(callContainerd(socketPath, '/other/Call'), { code: 'LAB_REQUEST_FAILED', statusCode: 12 });
    await assert.rejects(callContainerd(socketPath, '/silent/Call', 20), { code: 'LAB_TIMEOUT' });
    await assert.rejects(callContainerd(join(temporary, 'nothing.sock'), '/other/Call'), { code: 'ENOENT' });
  } finally {
    server.close();
  }
});

test('the command explains itself, and refuses what it does not know', () => {
  const program = fileURLToPath(new URL('./lab.mjs', import.meta.url));
  assert.match(execFileSync(process.execPath, [program, '--help'], { encoding: 'utf8' }), /up\|down\|status/);
  assert.throws(() => execFileSync(process.execPath, [program, 'sideways'], { stdio: 'pipe' }), { status: 2 });
});
