import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Readable } from 'node:stream';
import { type ContainerEngine, type ExecRequest, silentLogger } from '@crikit/core';
import type { EngineFixture, FixtureContainer } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCriPod } from '../../../tools/lab/cri-pods.mjs';
import { createContainerdClient } from '../src/containerd-client.js';
import { connectContainerd as connectDriver } from '../src/containerd-driver.js';
import { Tasks } from '../src/generated/tasks_pb.js';
import {
  connectContainerd,
  createContainerdFixture,
  describeWithContainerds,
  waitUntil,
} from './containerd-fixture.js';

const mebibyte = 1024 * 1024;

describeWithContainerds('exec on containerd', ({ daemon, state }) => {
  let fixture: EngineFixture;
  let engine: ContainerEngine;
  let users: FixtureContainer;

  beforeAll(async () => {
    fixture = await createContainerdFixture(daemon);
    engine = fixture.engine;
    users = await fixture.runContainer({ image: 'users', env: { OWN: 'the container’s' } });
  });
  afterAll(() => fixture?.close());

  const textOf = async (request: ExecRequest): Promise<string> => {
    const { stdout } = await engine.exec(users.target, { check: true, ...request });
    return stdout.toString().trim();
  };

  describe('users', () => {
    test.each([
      ['root by default', {}, 'uid=0(root) gid=0(root) groups=0(root)'],
      [
        'a name with the groups of the container’s files',
        { user: 'app' },
        'uid=1000(app) gid=1000(app) groups=1000(app),2000(shared),2001(audit)',
      ],
      [
        'a number that the files know',
        { user: '1001' },
        'uid=1001(worker) gid=1001(worker) groups=1001(worker),2000(shared)',
      ],
      ['a number that they do not know', { user: '4711' }, 'uid=4711 gid=0(root) groups=0(root)'],
      ['numbers', { user: '4711:4712' }, 'uid=4711 gid=4712 groups=4712'],
      ['names', { user: 'app:audit' }, 'uid=1000(app) gid=2001(audit) groups=2001(audit)'],
    ])('%s', async (_name, options, expected) => {
      expect(await textOf({ cmd: ['id'], ...options })).toBe(expected);
    });

    test.each([['nobody-knows'], ['app:nobody-knows']])('%s is refused before anything starts', async (user) => {
      await expect(engine.exec(users.target, { cmd: ['id'], user })).rejects.toMatchObject({
        code: 'USER_NOT_FOUND',
        applied: 'no',
      });
    });

    test('a link of the container for /etc/passwd is followed inside it, never on the host', async () => {
      const hostile = await fixture.runContainer({ image: 'users' });
      const lay = (script: string): Promise<unknown> =>
        engine.exec(hostile.target, { cmd: ['sh', '-c', script], check: true });
      await lay(
        'cp /etc/passwd /tmp/mine && echo mine:x:77:78::/:/bin/sh >> /tmp/mine && ln -sf /tmp/mine /etc/passwd',
      );
      const { stdout } = await engine.exec(hostile.target, { cmd: ['id', '-u'], user: 'mine' });
      expect(stdout.toString()).toBe('77\n');
      await lay('ln -sf /proc/1/root/tmp/mine /etc/passwd');
      await expect(engine.exec(hostile.target, { cmd: ['id'], user: 'mine' })).rejects.toMatchObject({
        code: 'UNSUPPORTED',
      });
      await lay('rm /etc/passwd && mkfifo /etc/passwd');
      await expect(engine.exec(hostile.target, { cmd: ['id'], user: 'mine' })).rejects.toMatchObject({
        code: 'UNSUPPORTED',
      });
    });
  });

  test.each([
    ['a command that is not there', { cmd: ['no-such-command'] }, 'COMMAND_NOT_FOUND'],
    ['a path that is not there', { cmd: ['/no/such/command'] }, 'COMMAND_NOT_FOUND'],
    ['a file that is not executable', { cmd: ['/etc/passwd'] }, 'COMMAND_NOT_FOUND'],
    ['a directory', { cmd: ['/etc'] }, 'COMMAND_NOT_FOUND'],
    ['a working directory that is not there', { cmd: ['true'], workingDir: '/no/such' }, 'WORKDIR_NOT_FOUND'],
    ['a file as working directory', { cmd: ['true'], workingDir: '/etc/passwd' }, 'WORKDIR_NOT_FOUND'],
    ['a working directory that leads out', { cmd: ['true'], workingDir: '/proc/self/fd/7' }, 'INVALID_ARGUMENT'],
  ])('%s is a typed error', async (_name, request, code) => {
    await expect(engine.exec(users.target, request)).rejects.toMatchObject({ code, applied: 'no' });
    const running = engine.execAsync(users.target, request);
    if (code === 'INVALID_ARGUMENT') await expect(running).rejects.toMatchObject({ code });
    else expect(await (await running).result).toMatchObject({ error: { code } });
  });

  test('containers that are paused, stopped, without a task or unknown are typed errors at once', async () => {
    const container = await fixture.runContainer();
    const attempt = (target = container.target): Promise<unknown> => engine.exec(target, { cmd: ['true'] });
    await container.pause();
    await expect(attempt()).rejects.toMatchObject({ code: 'PAUSED', applied: 'no' });
    await container.resume();
    await attempt();
    await container.stop();
    await expect(attempt()).rejects.toMatchObject({ code: 'NOT_RUNNING', applied: 'no' });
    await daemon.ctr('default', 'tasks', 'delete', container.id);
    await expect(attempt()).rejects.toMatchObject({ code: 'NOT_RUNNING', applied: 'no' });
    await container.remove();
    await expect(attempt()).rejects.toMatchObject({ code: 'NOT_FOUND', applied: 'no' });
    await expect(attempt({ scope: 'default', id: 'not a name' })).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(attempt({ scope: 'no-such-namespace', id: container.id })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('100 MiB arrive intact each way', async () => {
    const input = randomBytes(mebibyte);
    const count = 100;
    const expected = createHash('sha256');
    for (let index = 0; index < count; index += 1) expected.update(input);
    const digest = expected.digest('hex');
    const source = Readable.from(
      (function* () {
        for (let index = 0; index < count; index += 1) yield input;
      })(),
    );
    const running = await engine.execAsync(users.target, { cmd: ['tee', '/dev/stderr'], input: source });
    const [stdout, stderr] = await Promise.all([hashOf(running.stdout), hashOf(running.stderr)]);
    expect(await running.result).toEqual({ exitCode: 0 });
    expect([stdout, stderr]).toEqual([digest, digest]);
  });

  test('a reader that does not read holds the command up, not memory', async () => {
    const running = await engine.execAsync(users.target, {
      cmd: ['sh', '-c', 'yes | head -c 200000000; echo end >&2'],
    });
    let stderr = '';
    running.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    await new Promise((resolve) => running.stdout.once('readable', resolve));
    const before = process.memoryUsage().rss;
    // Another exec from start to end is the measure of "long enough".
    for (let index = 0; index < 5; index += 1) await engine.exec(users.target, { cmd: ['true'] });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * mebibyte);
    expect(stderr).toBe('');
    let bytes = 0;
    for await (const chunk of running.stdout) bytes += (chunk as Buffer).length;
    expect(bytes).toBe(200_000_000);
    expect(await running.result).toEqual({ exitCode: 0 });
  });

  test('an end of the process is known at once though a child holds the streams', async () => {
    const running = await engine.execAsync(users.target, { cmd: ['sh', '-c', 'sleep 1000 & exit 6'] });
    running.stdout.resume();
    running.stderr.resume();
    const startedAt = performance.now();
    expect(await running.result).toEqual({ exitCode: 6 });
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    await running[Symbol.asyncDispose]();
  });

  test('32 execs at once across pods, and 24 on one, all end', async () => {
    const pods = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => createCriPod(state, { name: `many-${name}`, containers: [{ name: 'main' }] })),
    );
    try {
      const run = (id: string): Promise<unknown> =>
        engine.exec({ scope: 'k8s.io', id }, { cmd: ['true'], check: true });
      await Promise.all(Array.from({ length: 32 }, (_, index) => run(pods[index % 4]?.containers.main ?? '')));
      await Promise.all(Array.from({ length: 24 }, () => run(pods[0]?.containers.main ?? '')));
    } finally {
      await Promise.all(pods.map((pod) => pod.remove()));
    }
  });

  test.each([
    ['that ended', ['true']],
    ['that could not start', ['no-such-command']],
  ])('containerd keeps no record of an exec %s', async (_name, cmd) => {
    const { signal } = new AbortController();
    const context = { hostRoot: '/', environment: {}, signal, logger: silentLogger };
    const driver = await connectDriver({ address: daemon.socketPath }, context);
    const client = createContainerdClient(daemon.socketPath);
    try {
      const of = { scope: 'default', id: users.id };
      const handle = await driver.startExec(of, { cmd, env: [], tty: false, stdin: false }, { signal });
      handle.stdout.resume();
      handle.stderr?.resume();
      await handle.exit;
      await handle[Symbol.asyncDispose]();
      const request = { containerId: of.id, execId: handle.id };
      const isKnown = (): Promise<boolean> =>
        client.call(Tasks.method.get, request, { namespace: of.scope }).then(
          () => true,
          (error: { code: number }) => error.code !== 5,
        );
      await waitUntil(async () => !(await isKnown()));
    } finally {
      client.close();
      await driver[Symbol.asyncDispose]();
    }
  });

  const execsAtOnce = 8;
  const rounds = process.env.CRIKIT_LONG_TESTS === undefined ? 25 : 125;
  test(`${rounds * execsAtOnce} execs and ${rounds * 2} failed starts leave nothing behind, here or in the shim`, async () => {
    const container = await fixture.runContainer();
    const own = await connectContainerd(daemon.socketPath);
    try {
      const target = container.target;
      await own.exec(target, { cmd: ['true'] });
      const { pid = 0 } = await own.getContainerDetail(target);
      const shim = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
      const before = { here: descriptors('self').streams, shim: descriptors(shim) };
      for (let round = 0; round < rounds; round += 1) {
        await Promise.all(Array.from({ length: execsAtOnce }, () => own.exec(target, { cmd: ['cat'], input: 'x' })));
        const failing = Array.from({ length: 2 }, () => own.exec(target, { cmd: ['no-such-command'] }).catch(() => {}));
        await Promise.all(failing);
      }
      // Records of execs are deleted behind the caller's back.
      await waitUntil(() => {
        const { lasting } = descriptors(shim);
        return descriptors('self').streams <= before.here && lasting <= before.shim.lasting;
      });
      // Since Go 1.23 a shim has one of each process that it has started, until its garbage is collected.
      expect(descriptors(shim).ofProcesses).toBeLessThan(50);
      const folder = readdirSync(`${daemon.directory}/containerd/fifo`).find(
        (name) => name.split('-')[2] === String(process.pid),
      );
      expect(folder).toBeDefined();
      await own.close();
      const processes = await daemon.ctr('default', 'tasks', 'ps', container.id);
      expect(processes.trim().split('\n')).toHaveLength(2);
    } finally {
      await own.close();
    }
    const left = readdirSync(`${daemon.directory}/containerd/fifo`).filter(
      (name) => name.split('-')[2] === String(process.pid),
    );
    expect(left).toHaveLength(1);
  });
});

async function hashOf(stream: Readable): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** How many descriptors a process has open, by what they are. */
function descriptors(pid: string | undefined): { streams: number; ofProcesses: number; lasting: number } {
  const open = readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${descriptor}`)];
    } catch {
      return [];
    }
  });
  const ofProcesses = open.filter((target) => target.includes('[pidfd]')).length;
  return {
    // Of ourselves only these: others come and go with timers and loaded files.
    streams: open.filter((target) => /^(pipe|socket):|\/fifo\/|^\/dev\/pt/.test(target)).length,
    ofProcesses,
    lasting: open.length - ofProcesses,
  };
}
