// A daemon to test against. Its commands run on this machine, without any container around them: replace it by yours.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export async function startExampleDaemon() {
  const directory = mkdtempSync(join(tmpdir(), 'example-daemon-'));
  const socketPath = join(directory, 'example.sock');
  const containers = new Map();
  const execs = new Map();
  let pids = 1000;

  const server = createServer((request, response) => {
    const reply = (status, body) => response.writeHead(status).end(JSON.stringify(body));
    const [, kind, id] = (request.url ?? '').split('/').map(decodeURIComponent);
    if (kind === 'version') return reply(200, { version: '1.0.0' });
    if (kind === 'containers' && id === undefined) return reply(200, [...containers.values()]);
    const found = kind === 'containers' ? containers.get(id) : execs.get(id);
    return found === undefined ? reply(404, 'no such thing') : reply(200, found);
  });
  server.on('upgrade', (request, socket) => {
    socket.on('error', () => {});
    const container = containers.get(decodeURIComponent((request.url ?? '').split('/')[2] ?? ''));
    if (container === undefined) return socket.end('HTTP/1.1 404 no such container\r\nConnection: close\r\n\r\n');
    if (container.state !== 'up') {
      return socket.end(`HTTP/1.1 409 container is ${container.state === 'frozen' ? 'paused' : 'ended'}\r\n\r\n`);
    }
    const { cmd, env, stdin } = JSON.parse(decodeURIComponent(request.headers['exec-request']));
    const execId = randomBytes(8).toString('hex');
    socket.write(`HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: example\r\nExec-Id: ${execId}\r\n\r\n`);
    const lines = [...Object.entries(container.env).map((pair) => pair.join('=')), ...env];
    const variables = Object.fromEntries(
      lines.map((line) => [line.split('=', 1)[0], line.slice(line.indexOf('=') + 1)]),
    );
    const child = spawn(cmd[0], cmd.slice(1), { env: { PATH: process.env.PATH, ...variables }, stdio: 'pipe' });
    child.stdin.on('error', () => {});
    if (stdin) socket.pipe(child.stdin);
    else child.stdin.end();
    const frame = (stream) => (chunk) => {
      const header = Buffer.alloc(8);
      header[0] = stream;
      header.writeUInt32BE(chunk.length, 4);
      socket.write(Buffer.concat([header, chunk]));
    };
    child.stdout.on('data', frame(1));
    child.stderr.on('data', frame(2));
    child.on('error', (error) => execs.set(execId, { exitCode: -1, failure: error.message }));
    child.on('close', (code, signal) => {
      if (!execs.has(execId)) execs.set(execId, { exitCode: signal === null ? code : 137 });
      socket.destroySoon();
    });
    return undefined;
  });
  await new Promise((resolve) => server.listen(socketPath, resolve));

  const start = (container) =>
    Object.assign(container, { state: 'up', pid: ++pids, exitCode: null, startedAt: new Date().toISOString() });
  const end = (container, exitCode) => Object.assign(container, { state: 'ended', pid: 0, exitCode });
  return {
    socketPath,
    create({ env = {}, labels = {} } = {}) {
      const id = randomBytes(32).toString('hex');
      containers.set(id, start({ id, name: id.slice(0, 8), env, labels }));
      return id;
    },
    start: (id) => start(containers.get(id)),
    end: (id, exitCode) => end(containers.get(id), exitCode),
    freeze: (id) => Object.assign(containers.get(id), { state: 'frozen' }),
    thaw: (id) => Object.assign(containers.get(id), { state: 'up' }),
    remove: (id) => containers.delete(id),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
