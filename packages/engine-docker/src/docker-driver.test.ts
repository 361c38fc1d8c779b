import { Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import {
  type DriverExecRequest,
  type EngineDriver,
  type EngineEvent,
  type ExecHandle,
  silentLogger,
} from '@crikit/core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
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

const id = 'a'.repeat(64);
const reference = { scope: '', id };
const inspected = {
  Id: id,
  Name: '/web',
  State: { Status: 'running', Pid: 7, ExitCode: 0, StartedAt: '2026-11-23T13:26:01Z', FinishedAt: '' },
  Config: { Env: ['A=1'], Labels: {} },
  HostConfig: { Runtime: 'runc' },
};
const listed = { Id: id, Names: ['/web'], Image: 'web:1', Labels: {}, State: 'running', Status: 'Up 5 minutes' };
const request: DriverExecRequest = { cmd: ['true'], env: [], tty: false, stdin: false };

let daemon: FakeDockerDaemon;
let driver: EngineDriver;
const call = () => ({ signal: new AbortController().signal });

beforeEach(async () => {
  daemon = await startFakeDockerDaemon();
  daemon.on('GET /containers/json', json([listed]));
  daemon.on(`GET /containers/${id}/json`, json(inspected));
  daemon.on(`POST /containers/${id}/exec`, json({ Id: 'e1' }, 201));
  daemon.on('GET /exec/e1/json', json({ Running: false, ExitCode: 0, Pid: 8 }));
  driver = await connect();
});
afterEach(async () => {
  await driver[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
});

function connect(): Promise<EngineDriver> {
  return docker({ socketPath: daemon.socketPath }).connect({
    hostRoot: '/',
    environment: {},
    logger: silentLogger,
    ...call(),
  });
}

describe('connecting', () => {
  test('names the engine after its endpoint and declares what there is', () => {
    expect(driver).toMatchObject({ id: `docker:${daemon.socketPath}`, version: '20.10.24', locality: 'this-kernel' });
    expect(Object.keys(driver.features).sort()).toEqual(['archive', 'events']);
  });

  test.each(['tcp://192.0.2.1:2375', 'what is this', 'tcp://192.0.2.1:2376'])(
    'to an explicit socket does not mind DOCKER_HOST=%s, and leaves it as it is',
    async (dockerHost) => {
      const before = process.env.DOCKER_HOST;
      process.env.DOCKER_HOST = dockerHost;
      try {
        const other = await connect();
        expect(await other.listAllContainers(call())).toHaveLength(1);
        expect(process.env.DOCKER_HOST).toBe(dockerHost);
      } finally {
        if (before === undefined) delete process.env.DOCKER_HOST;
        else process.env.DOCKER_HOST = before;
      }
    },
  );
});

describe('ids', () => {
  test.each(['', '/', 'a/b', '../aa', 'aa?x=1', 'aa#', 'a a', '%2e'])(
    '"%s" is refused before it travels',
    async (bad) => {
      const of = { scope: '', id: bad };
      const before = daemon.requests.length;
      const refused = expect.objectContaining({ code: 'INVALID_ARGUMENT' });
      await expect(driver.getSource(of, call())).rejects.toEqual(refused);
      await expect(driver.startExec(of, request, call())).rejects.toEqual(refused);
      await expect(driver.features.archive?.getArchive(of, '/x', call())).rejects.toEqual(refused);
      const [outcome] = await driver.getContainerDetails([of], call());
      expect(outcome).toMatchObject({ error: { code: 'INVALID_ARGUMENT' } });
      expect(daemon.requests).toHaveLength(before);
    },
  );
});

describe('a reply that is not what the API says', () => {
  const protocol = expect.objectContaining({ code: 'PROTOCOL' });

  test.each<[string, FakeReply]>([
    ['truncated', text('[{"Id":"aa"')],
    ['null', text('null')],
    ['empty', text('')],
    ['an object', json({})],
    ['a list of something else', json([{ id: 1 }])],
  ])('list: %s', async (_, reply) => {
    daemon.on('GET /containers/json', reply);
    await expect(driver.listAllContainers(call())).rejects.toEqual(protocol);
  });

  test.each<[string, FakeReply]>([
    ['truncated', text('{"Id":"aa","State":{')],
    ['null', text('null')],
    ['without a state', json({ Id: id })],
    ['a list', json([])],
  ])('inspect: %s', async (_, reply) => {
    daemon.on(`GET /containers/${id}/json`, reply);
    await expect(driver.getSource(reference, call())).rejects.toEqual(protocol);
    expect(await driver.getContainerDetails([reference], call())).toMatchObject([{ error: { code: 'PROTOCOL' } }]);
  });

  test.each<[string, FakeReply]>([
    ['truncated', text('{"Id"', 201)],
    ['null', text('null', 201)],
    ['with an id that leads elsewhere', json({ Id: '../x' }, 201)],
  ])('exec: %s', async (_, reply) => {
    daemon.on(`POST /containers/${id}/exec`, reply);
    await expect(driver.startExec(reference, request, call())).rejects.toEqual(protocol);
  });
});

describe('a daemon', () => {
  const calls: [string, string, () => Promise<unknown>][] = [
    ['list', 'GET /containers/json', () => driver.listAllContainers(call())],
    ['inspect', `GET /containers/${id}/json`, () => driver.getSource(reference, call())],
    ['exec create', `POST /containers/${id}/exec`, () => driver.startExec(reference, request, call())],
  ];

  test.each(calls)('that fails %s with 500 is quoted', async (_, start, act) => {
    daemon.on(start, json({ message: 'disk on fire' }, 500));
    await expect(act()).rejects.toMatchObject({ code: 'PROTOCOL', message: expect.stringContaining('disk on fire') });
  });

  test.each(calls)('that hangs up at %s is unavailable', async (_, start, act) => {
    daemon.on(start, hangUp);
    await expect(act()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
  });

  test('that hangs keeps nobody longer than the caller’s signal', async () => {
    const caller = new AbortController();
    daemon.on('GET /containers/json', hang);
    const list = driver.listAllContainers({ signal: caller.signal });
    await expect.poll(() => daemon.requests).toContain('GET /containers/json?all=1');
    caller.abort();
    await expect(list).rejects.toMatchObject({ code: 'ABORTED' });
    await expect.poll(() => daemon.connections.size).toBe(0);
  });

  test('that cuts a list off after its headers is noticed at once', async () => {
    daemon.on('GET /containers/json', cutOff);
    await expect(driver.listAllContainers(call())).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    await expect.poll(() => daemon.connections.size).toBe(0);
  });

  test('that cuts the creation of an exec off keeps nobody longer than the caller’s signal', async () => {
    const caller = new AbortController();
    const path = `/containers/${reference.id}/exec`;
    daemon.on(`POST ${path}`, cutOff);
    const request = { cmd: ['true'], env: [], tty: false, stdin: false };
    const start = driver.startExec(reference, request, { signal: caller.signal });
    await expect.poll(() => daemon.requests).toContain(`POST ${path}`);
    caller.abort();
    await expect(start).rejects.toMatchObject({ code: 'ABORTED' });
  });

  test('that does not answer about one container delays no other', async () => {
    const other = 'b'.repeat(64);
    daemon.on(`GET /containers/${other}/json`, hang);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const asking = driver.getContainerDetails([{ scope: '', id: other }, reference], call());
      const isAsked = () => [other, id].every((each) => daemon.requests.includes(`GET /containers/${each}/json`));
      // Of the one that was answered the timer is gone.
      while (!isAsked() || vi.getTimerCount() > 1) await new Promise(setImmediate);
      vi.advanceTimersByTime(3_000);
      expect(await asking).toMatchObject([{ error: { code: 'TIMEOUT' } }, { detail: { name: 'web' } }]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('that is gone is unavailable', async () => {
    await daemon[Symbol.asyncDispose]();
    await expect(driver.listAllContainers(call())).rejects.toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
    daemon = await startFakeDockerDaemon();
  });
});

describe('list and details', () => {
  test('share a revision while nothing changes', async () => {
    const [before] = await driver.listAllContainers(call());
    expect(before).not.toHaveProperty('revision');
    const [outcome] = await driver.getContainerDetails('all', call());
    const revision = outcome !== undefined && 'detail' in outcome ? outcome.detail.revision : undefined;
    expect(revision).toBeDefined();
    expect((await driver.listAllContainers(call()))[0]?.revision).toBe(revision);
    daemon.on('GET /containers/json', json([{ ...listed, Status: 'Exited (0) 1 second ago', State: 'exited' }]));
    expect((await driver.listAllContainers(call()))[0]).not.toHaveProperty('revision');
  });

  test('tell a container that is gone from one that fails', async () => {
    daemon.on(`GET /containers/${id}/json`, json({ message: `No such container: ${id}` }, 404));
    expect(await driver.getContainerDetails([reference], call())).toMatchObject([{ error: { code: 'NOT_FOUND' } }]);
  });

  test('ask for at most 16 containers at once', async () => {
    let open = 0;
    let most = 0;
    daemon.on('GET /containers/', (_, response) => {
      open += 1;
      most = Math.max(most, open);
      setImmediate(() => {
        open -= 1;
        response.end(JSON.stringify(inspected));
      });
    });
    const references = Array.from({ length: 60 }, (_, index) => ({ scope: '', id: `c${index}` }));
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    expect(await driver.getContainerDetails(references, call())).toHaveLength(60);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(16);
  });
});

function frame(stream: number, content: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(content), 4);
  return Buffer.concat([header, Buffer.from(content)]);
}

describe('an exec', () => {
  test('costs three calls: create, start, inspect', async () => {
    daemon.onHijack((socket) => socket.end(Buffer.concat([frame(1, 'out'), frame(2, 'err')])));
    const before = daemon.requests.length;
    const handle = await driver.startExec(reference, request, call());
    const output = await Promise.all([readText(handle.stdout), readText(handle.stderr as Readable)]);
    expect(output).toEqual(['out', 'err']);
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 0 });
    expect(daemon.requests.slice(before)).toEqual([
      `POST /containers/${id}/exec`,
      'POST /exec/e1/start',
      'GET /exec/e1/json',
    ]);
  });

  test('whose process never was is not started, and the message is no output', async () => {
    daemon.on('GET /exec/e1/json', json({ Running: false, ExitCode: 126, Pid: 0 }));
    daemon.onHijack((socket) => socket.end(frame(1, 'exec: "x": executable file not found in $PATH\r\n')));
    const handle = await driver.startExec(reference, request, call());
    expect(await readText(handle.stdout)).toBe('');
    expect(await handle.exit).toMatchObject({
      kind: 'not-started',
      error: { code: 'COMMAND_NOT_FOUND', applied: 'no' },
    });
  });

  test('that ends with 126 by itself has its output', async () => {
    daemon.on('GET /exec/e1/json', json({ Running: false, ExitCode: 126, Pid: 8 }));
    daemon.onHijack((socket) => socket.end(frame(1, 'cannot\r\n')));
    const handle = await driver.startExec(reference, request, call());
    expect(await readText(handle.stdout)).toBe('cannot\r\n');
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 126 });
  });

  test('ends by what inspection says while a child holds its streams', async () => {
    daemon.onHijack((socket) => socket.write(frame(1, 'done\n')));
    const handle = await driver.startExec(reference, request, call());
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 0 });
    expect(handle.stdout.readableEnded).toBe(false);
    await release(handle);
  });

  test.each<[string, FakeReply]>([
    ['does not know it any more', json({ message: 'No such exec instance: e1' }, 404)],
    ['hangs up', hangUp],
    ['answers nonsense', text('null')],
  ])('ends unknown, never with 0, when the stream breaks off and the daemon %s', async (_, reply) => {
    daemon.on('GET /exec/e1/json', reply);
    daemon.onHijack((socket) => socket.destroy());
    const handle = await driver.startExec(reference, request, call());
    handle.stdout.resume();
    const exit = await handle.exit;
    expect(exit).toMatchObject({ kind: 'unknown', error: { code: 'UNAVAILABLE', applied: 'unknown' } });
  });

  test('ends with its exit code when one inspection breaks off', async () => {
    let asked = 0;
    daemon.on('GET /exec/e1/json', (incoming, response) => {
      asked += 1;
      if (asked === 1) incoming.socket.destroy();
      else json({ Running: false, ExitCode: 5, Pid: 8 })(incoming, response);
    });
    const handle = await driver.startExec(reference, request, call());
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 5 });
  });

  test('is followed to its end when it closes its streams before', async () => {
    let asked = 0;
    daemon.on('GET /exec/e1/json', (incoming, response) => {
      asked += 1;
      json(asked < 4 ? { Running: true, ExitCode: null, Pid: 8 } : { Running: false, ExitCode: 5, Pid: 8 })(
        incoming,
        response,
      );
    });
    const handle = await driver.startExec(reference, request, call());
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 5 });
    expect(asked).toBe(4);
  });

  test('fails to read when a frame was cut off', async () => {
    daemon.onHijack((socket) => socket.end(frame(1, 'a long output').subarray(0, 12)));
    const handle = await driver.startExec(reference, request, call());
    handle.stderr?.on('error', () => {});
    await expect(readText(handle.stdout)).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  test.each([
    [409, `Container ${id} is paused, unpause the container before exec`, 'PAUSED'],
    [409, `Container ${id} is not running`, 'NOT_RUNNING'],
    [404, `No such container: ${id}`, 'NOT_FOUND'],
  ])('that is refused with %d "%s" is %s', async (status, message, code) => {
    daemon.on(`POST /containers/${id}/exec`, json({ message }, status));
    await expect(driver.startExec(reference, request, call())).rejects.toMatchObject({ code, applied: 'no' });
  });

  test('that is refused at its start says so', async () => {
    daemon.on('POST /exec/e1/start', json({ message: `Container ${id} is not running` }, 409));
    await expect(driver.startExec(reference, request, call())).rejects.toMatchObject({ code: 'NOT_RUNNING' });
  });

  test('half-closes its stdin and goes on reading', async () => {
    daemon.onHijack((socket) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => chunks.push(chunk));
      socket.on('end', () => socket.end(frame(1, Buffer.concat(chunks).toString().toUpperCase())));
    });
    const handle = await driver.startExec(reference, { ...request, stdin: true }, call());
    Readable.from(['hello ', 'there']).pipe(handle.stdin as NonNullable<typeof handle.stdin>);
    expect(await readText(handle.stdout)).toBe('HELLO THERE');
  });

  test.each([
    ['a line', 'ls\n', 'ls\n\x04'],
    ['half a line', 'ls', 'ls\x04\x04'],
    ['nothing', '', '\x04'],
  ])('with a tty is told the end of its input after %s by ^D, and the connection stays', async (_, input, expected) => {
    let received = '';
    daemon.onHijack((socket) => {
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString();
      });
    });
    daemon.on('GET /exec/e1/json', json({ Running: true, ExitCode: null, Pid: 8 }));
    const handle = await driver.startExec(reference, { ...request, stdin: true, tty: true }, call());
    expect(handle.stderr).toBeUndefined();
    handle.stdin?.end(input);
    await expect.poll(() => received).toBe(expected);
    expect(daemon.connections.size).toBeGreaterThan(0);
    await release(handle);
  });

  test('has a host pid as soon as its process exists', async () => {
    let asked = 0;
    daemon.on('GET /exec/e1/json', (incoming, response) => {
      asked += 1;
      json({ Running: true, ExitCode: null, Pid: asked < 3 ? 0 : 8 })(incoming, response);
    });
    daemon.onHijack(() => {});
    const handle = await driver.startExec(reference, request, call());
    expect(await handle.hostPid()).toBe(8);
    await release(handle);
  });

  test('that has ended has no host pid', async () => {
    daemon.on('GET /exec/e1/json', json({ Running: false, ExitCode: 0, Pid: 8 }));
    const handle = await driver.startExec(reference, request, call());
    expect(await handle.hostPid()).toBeUndefined();
  });

  test('that is released leaves no connection and has no known end', async () => {
    daemon.on('GET /exec/e1/json', json({ Running: true, ExitCode: null, Pid: 8 }));
    daemon.onHijack(() => {});
    const handle = await driver.startExec(reference, request, call());
    expect(await handle.hostPid()).toBe(8);
    await release(handle);
    expect(await handle.exit).toMatchObject({ kind: 'unknown', error: { code: 'CLOSED' } });
  });

  test('outlives the signal of its start', async () => {
    daemon.onHijack(() => {});
    daemon.on('GET /exec/e1/json', json({ Running: true, ExitCode: null, Pid: 8 }));
    const caller = new AbortController();
    const handle = await driver.startExec(reference, request, { signal: caller.signal });
    caller.abort();
    expect(await handle.hostPid()).toBe(8);
    expect(handle.stdout.destroyed).toBe(false);
    await release(handle);
  });

  async function release(handle: ExecHandle): Promise<void> {
    await handle[Symbol.asyncDispose]();
  }
});

describe('archives', () => {
  test('tell a missing path from a missing container', async () => {
    daemon.on(`GET /containers/${id}/archive`, json({ message: `Could not find the file /x in container ${id}` }, 404));
    await expect(driver.features.archive?.getArchive(reference, '/x', call())).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
    });
    daemon.on(`GET /containers/${id}/archive`, json({ message: `No such container: ${id}` }, 404));
    await expect(driver.features.archive?.getArchive(reference, '/x', call())).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
  });

  test('that break off in the middle fail to read', async () => {
    daemon.on(`GET /containers/${id}/archive`, cutOff);
    const archive = (await driver.features.archive?.getArchive(reference, '/x', call())) as Readable;
    await expect(readText(archive)).rejects.toThrow();
  });

  test('follow the signal to their end', async () => {
    daemon.on(`GET /containers/${id}/archive`, (_, response) => {
      response.writeHead(200);
      response.write('beginning');
    });
    const caller = new AbortController();
    const archive = (await driver.features.archive?.getArchive(reference, '/x', { signal: caller.signal })) as Readable;
    const reading = readText(archive);
    caller.abort();
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('that are refused are not read on', async () => {
    daemon.on(`PUT /containers/${id}/archive`, json({ message: `Could not find the file /x in container ${id}` }, 404));
    const endless = new Readable({
      read() {
        this.push(Buffer.alloc(64 * 1024));
      },
    });
    await expect(driver.features.archive?.putArchive(reference, '/x', endless, call())).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
    });
    expect(endless.destroyed).toBe(true);
  });
});

describe('events', () => {
  const event = (Action: string) => ({ Type: 'container', Action, Actor: { ID: id, Attributes: {} }, time: 1 });

  test('are asked for since the present', async () => {
    daemon.on('GET /events', (_, response) => void response.writeHead(200).flushHeaders());
    const feed = await driver.features.events?.openEvents(() => {}, call());
    const asked = new URL(daemon.requests.at(-1)?.slice('GET '.length) ?? '', 'http://localhost');
    expect(JSON.parse(asked.searchParams.get('filters') ?? '')).toEqual({ type: ['container'] });
    expect(Math.abs(Number(asked.searchParams.get('since')) - Date.now() / 1_000)).toBeLessThan(10);
    expect(asked.searchParams.get('since')).toMatch(/^\d+\.\d{3}$/);
    await feed?.[Symbol.asyncDispose]();
    await expect
      .poll(() => [...daemon.connections].filter(({ destroyed }) => !destroyed).length)
      .toBeLessThanOrEqual(1);
  });

  test('are asked for since the call, however long the daemon takes to say what it is', async () => {
    daemon.on('GET /version', (_, response) => {
      setTimeout(() => response.end(JSON.stringify(fakeVersion)), 50);
    });
    daemon.on('GET /events', (_, response) => void response.writeHead(200).flushHeaders());
    const calledAtMs = Date.now();
    const feed = await driver.features.events?.openEvents(() => {}, call());
    const since = /since=([\d.]+)/.exec(daemon.requests.at(-1) ?? '')?.[1];
    expect(Number(since) * 1_000 - calledAtMs).toBeLessThan(40);
    await feed?.[Symbol.asyncDispose]();
  });

  test('of a daemon with another clock are asked for by that clock, since before the call', async () => {
    daemon.on('GET /version', (_, response) => {
      response.writeHead(200, { 'Api-Version': '1.41', Date: 'Mon, 01 Jan 2024 00:00:00 GMT' });
      response.end(JSON.stringify(fakeVersion));
    });
    daemon.on('GET /events', (_, response) => void response.writeHead(200).flushHeaders());
    const feed = await driver.features.events?.openEvents(() => {}, call());
    expect(daemon.requests.at(-1)).toContain(`since=${Date.UTC(2024, 0, 1) / 1_000 - 1}.000`);
    await feed?.[Symbol.asyncDispose]();
  });

  test('come in order, and their loss is told once', async () => {
    const seen: EngineEvent[] = [];
    daemon.on('GET /events', (incoming, response) => {
      response.writeHead(200);
      response.write(`${JSON.stringify(event('create'))}\n${JSON.stringify(event('start')).slice(0, 20)}`);
      setImmediate(() => {
        response.write(`${JSON.stringify(event('start')).slice(20)}\n`, () =>
          setImmediate(() => incoming.socket.destroy()),
        );
      });
    });
    const feed = await driver.features.events?.openEvents((happened) => seen.push(happened), call());
    expect((await feed?.ended)?.error).toMatchObject({ code: 'UNAVAILABLE' });
    expect(seen.map(({ action }) => action)).toEqual(['created', 'started']);
  });

  test('of a daemon that came back older are asked for in its own version', async () => {
    daemon.on('GET /version', json({ ...fakeVersion, ApiVersion: '1.45' }));
    const urls: string[] = [];
    daemon.on('GET /events', (incoming, response) => {
      urls.push(incoming.url ?? '');
      response.writeHead(200).flushHeaders();
    });
    const newer = await driver.features.events?.openEvents(() => {}, call());
    daemon.on('GET /version', json(fakeVersion));
    const older = await driver.features.events?.openEvents(() => {}, call());
    expect(urls.map((url) => url.slice(0, 6))).toEqual(['/v1.45', '/v1.41']);
    await newer?.[Symbol.asyncDispose]();
    await older?.[Symbol.asyncDispose]();
  });

  test('of the daemon that was connected are opened after a ping, without its costly version', async () => {
    const signed = { Server: 'Docker/20.10.24 (linux)', 'Api-Version': '1.41', Date: 'Mon, 01 Jan 2024 00:00:00 GMT' };
    const sign = (headers: object, body: string): FakeReply => {
      return (_, response) => void response.writeHead(200, { ...headers }).end(body);
    };
    daemon.on('GET /version', sign(signed, JSON.stringify(fakeVersion)));
    daemon.on('GET /_ping', sign(signed, 'OK'));
    const opened: string[] = [];
    daemon.on('GET /events', (incoming, response) => {
      opened.push(incoming.url ?? '');
      response.writeHead(200).flushHeaders();
    });
    const other = await connect();
    const asked = daemon.requests.length;
    const feed = await other.features.events?.openEvents(() => {}, call());
    expect(daemon.requests.slice(asked).map((line) => line.split('?')[0])).toEqual(['GET /_ping', 'GET /events']);
    expect(daemon.requests.at(-1)).toContain(`since=${Date.UTC(2024, 0, 1) / 1_000 - 1}.000`);
    await feed?.[Symbol.asyncDispose]();

    daemon.on('GET /_ping', sign({ ...signed, Server: 'Docker/25.0.0 (linux)', 'Api-Version': '1.44' }, 'OK'));
    daemon.on('GET /version', json({ ...fakeVersion, ApiVersion: '1.44' }));
    const later = await other.features.events?.openEvents(() => {}, call());
    expect(opened.map((url) => url.slice(0, 6))).toEqual(['/v1.41', '/v1.44']);
    await later?.[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  });

  test('cannot be opened on a daemon that is gone or became something else', async () => {
    daemon.on('GET /version', json({ ...fakeVersion, ApiVersion: '1.30' }));
    await expect(driver.features.events?.openEvents(() => {}, call())).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    daemon.on('GET /version', hangUp);
    await expect(driver.features.events?.openEvents(() => {}, call())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});
