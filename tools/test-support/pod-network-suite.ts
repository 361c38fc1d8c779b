/** What every engine's sockets in a pod's network do; containers of the lab have a network with nothing but a loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { type Agent, get, request } from 'node:http';
import { connect as connectTo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { fetch, Agent as UndiciAgent } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { ContainerEngine } from '../../packages/core/src/container-engine.js';
import type { EngineFixture, FixtureContainer } from '../../packages/engine-conformance/src/engine-fixture.js';
import { waitUntil } from '../../packages/engine-conformance/src/suite-runner.js';

export interface PodNetworkSuiteOptions {
  createFixture(): Promise<EngineFixture>;
  /** One more engine on the same daemon. */
  connect(): Promise<ContainerEngine>;
  /** A program that dials port 8080 of the container, says so and waits; to be killed. */
  agentArguments(id: string): readonly string[];
}

const podsAtOnce = process.env.CRIKIT_LONG_TESTS === undefined ? 8 : 100;

export function describePodNetwork({ createFixture, connect, agentArguments }: PodNetworkSuiteOptions): void {
  let fixture: EngineFixture;
  let engine: ContainerEngine;
  const run = (script: string): Promise<FixtureContainer> => fixture.runContainer({ cmd: ['sh', '-c', script] });
  const serve = 'mkdir /www; echo hello >/www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www';
  const echo = 'exec nc -ll -p 9000 -e cat';
  const dialUntilUp = ({ target }: FixtureContainer, port: number, from = engine) => dialUntilOpen(from, target, port);
  /** Runs Node in the network of a container that has none. */
  const serveByNode = async ({ target }: FixtureContainer, port: number): Promise<ChildProcess> => {
    const { pid } = await engine.getContainerDetail(target);
    const program = `${import.meta.dirname}/http-and-websocket-server.mjs`;
    const server = spawn('nsenter', [`--net=/proc/${pid}/ns/net`, process.execPath, program, String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(server.stdout as NonNullable<typeof server.stdout>, 'data');
    return server;
  };
  beforeAll(async () => {
    fixture = await createFixture();
    engine = fixture.engine;
  });
  afterAll(() => fixture?.close());

  test('a dialled socket is an ordinary one: what is sent comes back, and either side may end first', async () => {
    const container = await run(echo);
    const socket = await dialUntilUp(container, 9000);
    const sent = randomBytes(1_000_000);
    socket.end(sent);
    expect((await readAll(socket)).equals(sent)).toBe(true);
  });

  test('what a server says at once arrives', async () => {
    const container = await run('exec nc -ll -p 9000 -e echo welcome');
    for (let round = 0; round < 20; round += 1) {
      expect((await readAll(await dialUntilUp(container, 9000))).toString()).toBe('welcome\n');
    }
  });

  test('a port that nobody listens on is refused as the system says it', async () => {
    const container = await run('exec sleep 1000000');
    await expect(engine.dial(container.target, { port: 1 })).rejects.toMatchObject({ code: 'ECONNREFUSED', port: 1 });
    await expect(engine.dial(container.target, { host: 'example.org', port: 1 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    });
    await expect(engine.dial(container.target, { port: 0 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(engine.dial(container.target, { port: 1 }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await container.remove();
    await expect(engine.dial(container.target, { port: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a unix socket in the container is reached by its path, links followed inside', async () => {
    const container = await run('exec sleep 1000000');
    const { pid } = await engine.getContainerDetail(container.target);
    const server = createServer((socket) => socket.end('by path'));
    server.listen(`/proc/${pid}/root/tmp/socket`);
    await once(server, 'listening');
    try {
      const script = 'ln -s /tmp/socket /tmp/link; ln -s /proc/1/root/tmp/socket /tmp/out; touch /tmp/file';
      await engine.exec(container.target, { cmd: ['sh', '-c', script], check: true });
      for (const path of ['/tmp/socket', '/tmp/link']) {
        expect((await readAll(await engine.dial(container.target, { path }))).toString()).toBe('by path');
      }
      await expect(engine.dial(container.target, { path: '/tmp/out' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await expect(engine.dial(container.target, { path: '/tmp/file' })).rejects.toMatchObject({
        code: 'INVALID_ARGUMENT',
      });
      await expect(engine.dial(container.target, { path: '/tmp/none' })).rejects.toMatchObject({
        code: 'PATH_NOT_FOUND',
      });
    } finally {
      server.close();
    }
  });

  test('an agent for node:http keeps its connections', async () => {
    const container = await run('exec sleep 1000000');
    const server = await serveByNode(container, 8080);
    const agent = engine.httpAgent(container.target);
    try {
      for (const path of ['/first', '/second', '/third']) {
        const [status, text] = await fetchText(agent, path);
        expect([status, JSON.parse(text)]).toEqual([200, { method: 'GET', path, body: '', connections: 1 }]);
      }
    } finally {
      agent.destroy();
      server.kill();
    }
  });

  test('a WebSocket goes through an agent for node:http', async () => {
    const container = await run('exec sleep 1000000');
    const server = await serveByNode(container, 8080);
    const agent = engine.httpAgent(container.target);
    try {
      const socket = new WebSocket('ws://127.0.0.1:8080/', { agent });
      await once(socket, 'open');
      for (const sent of [Buffer.from('hello'), randomBytes(1_000_000)]) {
        socket.send(sent, { binary: true });
        const [answer] = (await once(socket, 'message')) as [Buffer];
        expect(answer.equals(sent)).toBe(true);
      }
      socket.close(1000);
      expect((await once(socket, 'close'))[0]).toBe(1000);
    } finally {
      agent.destroy();
      server.kill();
    }
  });

  test('undici’s fetch connects by `connector`, and keeps its connection', async () => {
    const container = await run('exec sleep 1000000');
    const server = await serveByNode(container, 8080);
    const dispatcher = new UndiciAgent({ connect: engine.connector(container.target), connections: 1 });
    try {
      for (const body of ['one', 'x'.repeat(1_000_000)]) {
        const response = await fetch('http://127.0.0.1:8080/path', { dispatcher, method: 'POST', body });
        const { body: said, ...rest } = (await response.json()) as { body: string };
        expect(said === body).toBe(true);
        expect(rest).toEqual({ method: 'POST', path: '/path', connections: 1 });
      }
      await expect(fetch('http://127.0.0.1:8079/', { dispatcher })).rejects.toMatchObject({
        cause: { code: 'ECONNREFUSED' },
      });
    } finally {
      await dispatcher.destroy();
      server.kill();
    }
  });

  test('a request that upgrades its connection goes on over it', async () => {
    const answer = 'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n';
    const handler = `while IFS= read -r line; do [ "$line" = "$(printf '\\r')" ] && break; done; printf '${answer}'; exec cat`;
    const container = await run(`cat >/handler <<'END'\n#!/bin/sh\n${handler}\nEND
chmod +x /handler; exec nc -ll -p 9000 -e /handler`);
    (await dialUntilUp(container, 9000)).destroy();
    const agent = engine.httpAgent(container.target);
    const upgrade = request({
      agent,
      host: '127.0.0.1',
      port: 9000,
      headers: { connection: 'Upgrade', upgrade: 'echo' },
    });
    upgrade.end();
    const [, socket] = (await once(upgrade, 'upgrade')) as [unknown, Socket];
    socket.end('over the same connection');
    expect((await readAll(socket)).toString()).toBe('over the same connection');
    agent.destroy();
  });

  test('a pod that is removed ends its connections, forwarded ones too, and its process', async () => {
    const container = await run(echo);
    const before = diallers();
    const own = await connect();
    try {
      const socket = await dialUntilUp(container, 9000, own);
      const forward = await own.portForward(container.target, 9000);
      const forwarded = connectTo(forward.port, forward.host);
      const sockets = [socket, forwarded];
      const ends = sockets.map(async (each) => {
        each.on('error', () => {});
        each.write('x');
        await once(each, 'data');
        each.resume();
        await Promise.race([once(each, 'end'), once(each, 'close')]);
      });
      await waitUntil('both are answered', () => sockets.every(({ bytesRead }) => bytesRead === 1));
      await container.remove();
      await Promise.all(ends);
      for (const each of sockets) each.destroy();
      await expect(own.dial(container.target, { port: 9000 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
      await waitUntil('its process is gone', () => diallers().every((pid) => before.includes(pid)), 20_000);
    } finally {
      await own.close();
    }
  });

  test(`${podsAtOnce} pods are dialled at once, and nothing stays of it`, { timeout: 600_000 }, async () => {
    const containers: FixtureContainer[] = [];
    // Not all at once: engines take long for that.
    for (let made = 0; made < podsAtOnce; made += 4) {
      containers.push(...(await Promise.all(Array.from({ length: Math.min(4, podsAtOnce - made) }, () => run(serve)))));
    }
    const own = await connect();
    const before = { diallers: diallers(), descriptors: readdirSync('/proc/self/fd').length };
    try {
      const texts = await Promise.all(
        containers.map(async (container) => {
          (await dialUntilUp(container, 8080, own)).destroy();
          const agent = own.httpAgent(container.target);
          const [, text] = await fetchText(agent, '/');
          agent.destroy();
          return text;
        }),
      );
      expect(texts).toEqual(containers.map(() => 'hello\n'));
      expect(diallers()).toHaveLength(before.diallers.length + podsAtOnce);
    } finally {
      await own.close();
    }
    await waitUntil('its processes are gone', () => diallers().length <= before.diallers.length, 30_000);
    await waitUntil(
      'its descriptors are closed',
      () => readdirSync('/proc/self/fd').length <= before.descriptors,
      30_000,
    );
    while (containers.length > 0) await Promise.all(containers.splice(0, 4).map((container) => container.remove()));
  });

  describe('a forwarded port', () => {
    test('listens on loopback only, and hands on every byte both ways', async () => {
      const container = await run(echo);
      (await dialUntilUp(container, 9000)).destroy();
      const forward = await engine.portForward(container.target, 9000);
      expect(forward.host).toBe('127.0.0.1');
      const sent = randomBytes(5_000_000);
      const answers = await Promise.all(
        Array.from({ length: 4 }, async () => {
          const socket = connectTo({ port: forward.port, host: forward.host, allowHalfOpen: true });
          socket.end(sent);
          return readAll(socket);
        }),
      );
      for (const answer of answers) expect(answer.equals(sent)).toBe(true);
      await forward.close();
      await forward.closed;
      const late = connectTo(forward.port, forward.host);
      await expect(once(late, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    });

    test('resets a connection whose other side is refused', async () => {
      const container = await run('exec sleep 1000000');
      const forward = await engine.portForward(container.target, 1);
      const socket = connectTo(forward.port, forward.host);
      await expect(once(socket, 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
      await forward.close();
    });

    test('closes when its life time is over', async () => {
      const container = await run('exec sleep 1000000');
      const forward = await engine.portForward(container.target, 1, { lifeTimeMs: 50 });
      await forward.closed;
    });
  });

  test('its processes end with the agent, also when that is killed', async () => {
    const container = await run(serve);
    (await dialUntilUp(container, 8080)).destroy();
    const before = diallers();
    const agent = spawn(process.execPath, agentArguments(container.id));
    try {
      await once(agent.stdout, 'data');
      await waitUntil('it has a process of its own', () => diallers().length > before.length);
      agent.kill('SIGKILL');
      await once(agent, 'exit');
      await waitUntil('that is gone', () => diallers().every((pid) => before.includes(pid)));
    } finally {
      agent.kill('SIGKILL');
    }
  });

  test('by a command in the container where there is no `nsenter`', async () => {
    const container = await run(echo);
    (await dialUntilUp(container, 9000)).destroy();
    const without = await connect();
    const { PATH } = process.env;
    const directory = mkdtempSync(`${tmpdir()}/crikit-no-nsenter-`);
    // What an engine may need for its execs.
    symlinkSync('/usr/bin/mkfifo', `${directory}/mkfifo`);
    process.env.PATH = directory;
    try {
      const socket = await without.dial(container.target, { port: 9000 });
      socket.write('by exec');
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      expect(chunk.toString()).toBe('by exec');
      socket.destroy();
      await expect(without.dial(container.target, { port: 9000 }, { viaExec: false })).rejects.toMatchObject({
        code: 'UNSUPPORTED',
        remedy: expect.stringContaining('util-linux'),
      });
    } finally {
      process.env.PATH = PATH;
      await without.close();
      rmSync(directory, { recursive: true });
    }
  });
}

/** Waits until somebody listens. */
async function dialUntilOpen(
  engine: ContainerEngine,
  target: FixtureContainer['target'],
  port: number,
): Promise<Socket> {
  let socket: Socket | undefined;
  await waitUntil(
    `port ${port} is open`,
    async () => {
      socket = await engine.dial(target, { port }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ECONNREFUSED') throw error;
        return undefined;
      });
      return socket !== undefined;
    },
    60_000,
  );
  return socket as Socket;
}

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

async function fetchText(agent: Agent, path: string): Promise<[number | undefined, string]> {
  const [response] = await once(get({ agent, host: '127.0.0.1', port: 8080, path }), 'response');
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return [response.statusCode, text];
}

/** Processes in pods' networks, of whatever parent. */
export function diallers(): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return (
        /^\d+$/.test(name) &&
        readFileSync(`/proc/${name}/cmdline`, 'utf8').includes("require('node:net');\nconst connecting")
      );
    } catch {
      return false;
    }
  });
}
