import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type Agent, get, request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { type ContainerEngine, connectEngine } from '@crikit/core';
import { waitUntil } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createKubeletStylePod, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { docker } from '../src/docker.js';

// Containers of the lab have a network namespace with nothing but a loopback: what no other program can reach.
describeWithDocker('sockets in a pod’s network', ({ socketPath }) => {
  let engine: ContainerEngine;
  const made: string[] = [];
  const run = async (script: string): Promise<string> => {
    const { id } = await runContainer(socketPath, { cmd: ['sh', '-c', script] });
    made.push(id);
    return id;
  };
  const serve = 'mkdir /www; echo hello >/www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www';
  const echo = 'exec nc -ll -p 9000 -e cat';
  const dialUntilUp = async (id: string, port: number): Promise<Socket> => {
    let socket: Socket | undefined;
    await waitUntil(`port ${port} is open`, async () => {
      socket = await engine.dial(id, { port }).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ECONNREFUSED') throw error;
        return undefined;
      });
      return socket !== undefined;
    });
    return socket as Socket;
  };
  beforeAll(async () => {
    engine = await connectEngine(docker({ socketPath }));
  });
  afterAll(async () => {
    await engine?.close();
    await Promise.all(made.map((id) => removeContainer(socketPath, id)));
  });

  test('a dialled socket is an ordinary one: what is sent comes back, and either side may end first', async () => {
    const id = await run(echo);
    const socket = await dialUntilUp(id, 9000);
    const sent = randomBytes(1_000_000);
    socket.end(sent);
    expect((await readAll(socket)).equals(sent)).toBe(true);
  });

  test('what a server says at once arrives', async () => {
    const id = await run('exec nc -ll -p 9000 -e echo welcome');
    for (let round = 0; round < 20; round += 1) {
      expect((await readAll(await dialUntilUp(id, 9000))).toString()).toBe('welcome\n');
    }
  });

  test('a port that nobody listens on is refused as the system says it', async () => {
    const id = await run('exec sleep 1000000');
    await expect(engine.dial(id, { port: 1 })).rejects.toMatchObject({ code: 'ECONNREFUSED', port: 1 });
    await expect(engine.dial(id, { host: 'example.org', port: 1 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(engine.dial(id, { port: 0 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    await expect(engine.dial(id, { port: 1 }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    await removeContainer(socketPath, id);
    await expect(engine.dial(id, { port: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a unix socket in the container is reached by its path, links followed inside', async () => {
    const id = await run('exec sleep 1000000');
    const { pid } = await engine.getContainerDetail(id);
    const server = createServer((socket) => socket.end('by path'));
    server.listen(`/proc/${pid}/root/tmp/socket`);
    await once(server, 'listening');
    try {
      const script = 'ln -s /tmp/socket /tmp/link; ln -s /proc/1/root/tmp/socket /tmp/out; touch /tmp/file';
      await engine.exec(id, { cmd: ['sh', '-c', script], check: true });
      for (const path of ['/tmp/socket', '/tmp/link']) {
        expect((await readAll(await engine.dial(id, { path }))).toString()).toBe('by path');
      }
      await expect(engine.dial(id, { path: '/tmp/out' })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await expect(engine.dial(id, { path: '/tmp/file' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      await expect(engine.dial(id, { path: '/tmp/none' })).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    } finally {
      server.close();
    }
  });

  test('an agent for node:http keeps its connections', async () => {
    const id = await run(serve);
    (await dialUntilUp(id, 8080)).destroy();
    const agent = engine.httpAgent(id);
    expect(await fetchText(agent, '/')).toEqual([200, 'hello\n']);
    expect(await fetchText(agent, '/nothing')).toEqual([404, expect.any(String)]);
    agent.destroy();
  });

  test('a request that upgrades its connection goes on over it', async () => {
    const answer = 'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: echo\\r\\nConnection: Upgrade\\r\\n\\r\\n';
    const handler = `while IFS= read -r line; do [ "$line" = "$(printf '\\r')" ] && break; done; printf '${answer}'; exec cat`;
    const id = await run(`cat >/handler <<'END'\n#!/bin/sh\n${handler}\nEND
chmod +x /handler; exec nc -ll -p 9000 -e /handler`);
    (await dialUntilUp(id, 9000)).destroy();
    const agent = engine.httpAgent(id);
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

  test('what undici calls connects as well', async () => {
    const id = await run(serve);
    (await dialUntilUp(id, 8080)).destroy();
    const connector = engine.connector(id);
    const socket = await new Promise<Socket>((resolve, reject) => {
      connector({ hostname: '127.0.0.1', port: '8080', protocol: 'http:' }, (error, connected) =>
        error === null ? resolve(connected) : reject(error),
      );
    });
    socket.write('GET / HTTP/1.0\r\n\r\n');
    expect((await readAll(socket)).toString()).toMatch(/200 OK[\s\S]*hello\n$/);
  });

  test('containers of one pod share one process, which ends with the last of them', async () => {
    const pod = await createKubeletStylePod(socketPath, {
      namespace: 'network',
      name: 'web-0',
      containers: [{ name: 'a', cmd: ['sh', '-c', serve] }, { name: 'b' }],
    });
    try {
      const ids = Object.values(pod.containers) as string[];
      for (const id of ids) (await dialUntilUp(id, 8080)).destroy();
      const before = diallers();
      for (const id of ids) (await dialUntilUp(id, 8080)).destroy();
      expect(diallers()).toEqual(before);
    } finally {
      await pod.remove();
    }
  });

  test('a pod that is removed ends its connections', async () => {
    const id = await run(echo);
    const socket = await dialUntilUp(id, 9000);
    socket.on('error', () => {});
    socket.resume();
    const closed = once(socket, 'close');
    await removeContainer(socketPath, id);
    socket.write('x');
    await Promise.race([closed, once(socket, 'end')]);
    socket.destroy();
    await expect(engine.dial(id, { port: 9000 })).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('many pods are dialled at once', { timeout: 300_000 }, async () => {
    const own = await connectEngine(docker({ socketPath }));
    const before = diallers().length;
    const ids = await Promise.all(Array.from({ length: 20 }, () => run(serve)));
    try {
      const texts = await Promise.all(
        ids.map(async (id) => {
          (await dialUntilUp(id, 8080)).destroy();
          const agent = own.httpAgent(id);
          const [, text] = await fetchText(agent, '/');
          agent.destroy();
          return text;
        }),
      );
      expect(texts).toEqual(ids.map(() => 'hello\n'));
    } finally {
      await own.close();
    }
    await waitUntil('its processes are gone', () => diallers().length <= before + 20);
  });

  describe('a forwarded port', () => {
    test('listens on loopback only, and hands on every byte both ways', async () => {
      const id = await run(echo);
      (await dialUntilUp(id, 9000)).destroy();
      const forward = await engine.portForward(id, 9000);
      expect(forward.host).toBe('127.0.0.1');
      const sent = randomBytes(5_000_000);
      const answers = await Promise.all(
        Array.from({ length: 4 }, async () => {
          const socket = connect({ port: forward.port, host: forward.host, allowHalfOpen: true });
          socket.end(sent);
          return readAll(socket);
        }),
      );
      for (const answer of answers) expect(answer.equals(sent)).toBe(true);
      await forward.close();
      await forward.closed;
      const late = connect(forward.port, forward.host);
      await expect(once(late, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    });

    test('resets a connection whose other side is refused', async () => {
      const id = await run('exec sleep 1000000');
      const forward = await engine.portForward(id, 1);
      const socket = connect(forward.port, forward.host);
      await expect(once(socket, 'end')).rejects.toMatchObject({ code: 'ECONNRESET' });
      await forward.close();
    });

    test('closes when its life time is over', async () => {
      const id = await run('exec sleep 1000000');
      const forward = await engine.portForward(id, 1, { lifeTimeMs: 50 });
      await forward.closed;
    });
  });

  test('its processes end with the agent, also when that is killed', async () => {
    const id = await run(serve);
    (await dialUntilUp(id, 8080)).destroy();
    const before = diallers();
    const agent = spawn(process.execPath, [`${import.meta.dirname}/dial-agent.mjs`, socketPath, id]);
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

  test('by a command in the container where the network cannot be entered', async () => {
    const id = await run(echo);
    (await dialUntilUp(id, 9000)).destroy();
    const elsewhere = await connectEngine(docker({ socketPath }), { hostRoot: '/no/such/root' });
    try {
      const socket = await elsewhere.dial(id, { port: 9000 });
      socket.write('by exec');
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      expect(chunk.toString()).toBe('by exec');
      socket.destroy();
      await expect(elsewhere.dial(id, { port: 9000 }, { viaExec: false })).rejects.toMatchObject({
        code: 'UNSUPPORTED',
      });
    } finally {
      await elsewhere.close();
    }
  });
});

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
function diallers(): string[] {
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
