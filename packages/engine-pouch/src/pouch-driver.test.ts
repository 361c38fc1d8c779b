import { Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import {
  createContainerEngine,
  type DriverExecRequest,
  type EngineDriver,
  type EngineEvent,
  silentLogger,
} from '@crikit/core';
import { afterEach, describe, expect, test } from 'vitest';
import { type PouchReplay, readRecordedJson, recordedExecId, startPouchReplay } from '../test/pouch-replay.js';
import { pouch } from './pouch.js';
import type { PouchOptions } from './pouch-options.js';

const call = () => ({ signal: new AbortController().signal });
const idOf = (name: string) => (readRecordedJson(name) as { Id: string }).Id;
const run1 = { scope: '', id: idOf('inspect-running') };
const request = (cmd: readonly string[], members: Partial<DriverExecRequest> = {}): DriverExecRequest => ({
  cmd,
  env: ['CRIKIT_EXEC_MARKER=0123'],
  user: '0',
  tty: false,
  stdin: false,
  ...members,
});
/** As Pouch was asked for its events when it was recorded. */
const events = 'GET /events?filters={"type":{"container":true}}';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function connect(
  names: readonly string[],
  options: PouchOptions = {},
  also: Record<string, string> = {},
): Promise<{ replay: PouchReplay; driver: EngineDriver }> {
  const replay = await startPouchReplay(['version', 'info', ...names], { also });
  cleanups.push(async () => replay[Symbol.asyncDispose]());
  const driver = await pouch({ socketPath: replay.socketPath, ...options }).connect({
    hostRoot: '/',
    environment: {},
    logger: silentLogger,
    ...call(),
  });
  cleanups.push(async () => driver[Symbol.asyncDispose]());
  return { replay, driver };
}

describe('connecting', () => {
  test('names the engine after its socket and declares what there is', async () => {
    const { replay, driver } = await connect([]);
    expect(driver).toMatchObject({
      id: `pouch:${replay.socketPath}`,
      version: '1.3.0-bc5839e3',
      locality: 'this-kernel',
      containerIdSchemes: ['pouch'],
    });
    expect(Object.keys(driver.features)).toEqual(['events']);
    expect(driver.execFields.has('workingDir')).toBe(false);
  });

  test('declares the archive only when it is allowed', async () => {
    const { driver } = await connect([], { allowArchive: true });
    expect(Object.keys(driver.features).sort()).toEqual(['archive', 'events']);
    expect(pouch().possibleFeatures).toEqual(['events']);
    expect(pouch({ allowArchive: true }).possibleFeatures).toEqual(['events', 'archive']);
  });
});

describe('containers', () => {
  test('are listed in one call, without the filters that Pouch’s versions read differently', async () => {
    const { replay, driver } = await connect(['list-all']);
    const asked = replay.requests.length;
    expect(await driver.listAllContainers(call())).toHaveLength(7);
    expect(replay.requests.slice(asked)).toEqual(['GET /containers/json?all=1']);
  });

  test('are inspected by their ids; one that is gone fails alone', async () => {
    const { driver } = await connect(['inspect-running', 'inspect-k8s', 'inspect-unknown']);
    const references = [run1, { scope: '', id: idOf('inspect-k8s') }, { scope: '', id: 'deadbeef' }];
    expect(await driver.getContainerDetails(references, call())).toMatchObject([
      { detail: { name: 'run1', status: 'running' } },
      { detail: { kubernetes: { podName: 'mypod', containerName: 'app', trust: 'engine' } } },
      { error: { code: 'NOT_FOUND', message: expect.stringContaining('deadbeef: not found') } },
    ]);
  });

  test('are handed out as they came', async () => {
    const { driver } = await connect(['inspect-vol']);
    expect(await driver.getSource({ scope: '', id: idOf('inspect-vol') }, call())).toEqual(
      readRecordedJson('inspect-vol'),
    );
  });

  test.each(['', '/', 'a/b', '..', 'k8s%2Fx'])('with id "%s" are refused before anything travels', async (id) => {
    const { replay, driver } = await connect([]);
    const asked = replay.requests.length;
    await expect(driver.getSource({ scope: '', id }, call())).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(replay.requests).toHaveLength(asked);
  });
});

describe('an exec', () => {
  const exec = async (name: string, wanted: DriverExecRequest) => {
    const { replay, driver } = await connect([name]);
    const handle = await driver.startExec(run1, wanted, call());
    cleanups.push(async () => handle[Symbol.asyncDispose]());
    return { replay, handle };
  };
  const outcome = async (name: string, wanted: DriverExecRequest) => {
    const { handle } = await exec(name, wanted);
    const [stdout, stderr, exit] = await Promise.all([
      readText(handle.stdout),
      handle.stderr === undefined ? undefined : readText(handle.stderr),
      handle.exit,
    ]);
    return { stdout, stderr, exit };
  };

  test('costs three calls: create, start, inspect', async () => {
    const { replay, handle } = await exec('exec-basic', request(['sh', '-c', 'echo o; echo e >&2; exit 7']));
    expect([await readText(handle.stdout), await readText(handle.stderr as Readable)]).toEqual(['o\n', 'e\n']);
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 7 });
    const id = recordedExecId('exec-basic');
    expect(replay.requests.slice(-3)).toEqual([
      `POST /containers/${run1.id}/exec`,
      `POST /exec/${id}/start`,
      `GET /exec/${id}/json`,
    ]);
  });

  test('that is killed has the signal’s code', async () => {
    expect(await outcome('exec-signal', request(['sh', '-c', 'kill -9 $$']))).toEqual({
      stdout: '',
      stderr: '',
      exit: { kind: 'exited', exitCode: 137 },
    });
  });

  test('runs as the user that was asked for', async () => {
    const named = await outcome('exec-user', request(['id'], { user: 'app' }));
    expect(named.stdout).toBe('uid=1000(app) gid=1000(app)\n');
    const numbered = await outcome('exec-userid', request(['id'], { user: '1234:99' }));
    expect(numbered.stdout).toBe('uid=1234 gid=99\n');
  });

  test('has its own environment on top of the container’s', async () => {
    const { stdout } = await outcome(
      'exec-env',
      request(['env'], { env: ['A=1', 'PATH=/bin', 'CRIKIT_EXEC_MARKER=1'] }),
    );
    expect(stdout).toBe('PATH=/bin\nA=1\nHOME=/root\n');
  });

  test('with a terminal has one stream, not framed', async () => {
    const wanted = request(['sh', '-c', 'echo o; echo e >&2; tty'], { tty: true });
    expect(await outcome('exec-tty', wanted)).toEqual({
      stdout: 'o\r\ne\r\n/dev/pts/0\r\n',
      stderr: undefined,
      exit: { kind: 'exited', exitCode: 0 },
    });
  });

  test.each([
    ['a missing command', 'exec-nocmd', request(['/no/such']), 'COMMAND_NOT_FOUND'],
    ['an unknown user', 'exec-nouser', request(['id'], { user: 'nosuch' }), 'USER_NOT_FOUND'],
  ])('of %s is not started, and Pouch’s message is no output', async (_, name, wanted, code) => {
    expect(await outcome(name, wanted)).toMatchObject({
      stdout: '',
      stderr: '',
      exit: { kind: 'not-started', error: { code, applied: 'no' } },
    });
  });

  test('gets its input after the upgrade, and goes on after its end', async () => {
    const wanted = request(['sh', '-c', 'cat; echo EOF-seen'], { stdin: true });
    const { replay, handle } = await exec('exec-stdin-halfclose', wanted);
    Readable.from(['hello ', 'stdin\n']).pipe(handle.stdin as NonNullable<typeof handle.stdin>);
    expect(await readText(handle.stdout)).toBe('hello stdin\nEOF-seen\n');
    expect(await handle.exit).toEqual({ kind: 'exited', exitCode: 0 });
    expect(replay.stdin.get('exec-stdin-halfclose')).toBe('hello stdin\n');
    expect(replay.dropped.size).toBe(0);
  });

  test('that runs on has not ended, though its exit code is 0, and has no host pid', async () => {
    const { handle } = await exec('exec-long', request(['sleep', '300']));
    handle.stdout.resume();
    handle.stderr?.resume();
    expect(await handle.hostPid()).toBeUndefined();
    await expect(Promise.race([handle.exit, handle.hostPid()])).resolves.toBeUndefined();
    await handle[Symbol.asyncDispose]();
    expect(await handle.exit).toMatchObject({ kind: 'unknown', error: { code: 'CLOSED' } });
  });

  test('in a stopped container is refused at once', async () => {
    const { driver } = await connect(['exec-create-stopped', 'inspect-exited']);
    const starting = driver.startExec({ scope: '', id: idOf('inspect-exited') }, request(['id']), call());
    await expect(starting).rejects.toMatchObject({ code: 'NOT_RUNNING', applied: 'no' });
  });

  test('in a paused container is told apart, though Pouch uses the same words', async () => {
    const id = idOf('inspect-paused');
    const { driver } = await connect(
      ['inspect-paused'],
      {},
      { [`POST /containers/${id}/exec {"Cmd":["id"]}`]: 'exec-create-stopped' },
    );
    const starting = driver.startExec({ scope: '', id }, request(['id']), call());
    await expect(starting).rejects.toMatchObject({ code: 'PAUSED', applied: 'no' });
  });

  test('in an unknown container says so', async () => {
    const { driver } = await connect(['exec-create-unknown']);
    const starting = driver.startExec({ scope: '', id: 'nonesuch' }, request(['id']), call());
    await expect(starting).rejects.toMatchObject({ code: 'NOT_FOUND', applied: 'no' });
  });
});

describe('a working directory', () => {
  test('is not left to Pouch, which would ignore it', async () => {
    const { replay, driver } = await connect(['exec-workdir']);
    const engine = createContainerEngine(pouch(), driver, { agentName: false });
    // What was recorded is that `pwd` printed "/" although "/tmp" was asked for: so a shell has to go there.
    await expect(engine.exec(run1, { cmd: ['pwd'], workingDir: '/tmp' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(replay.requests.at(-1)).toBe(`POST /containers/${run1.id}/exec`);
    await expect(replay[Symbol.asyncDispose]()).rejects.toThrow(/never recorded[\s\S]*"sh","-c".*"\/tmp".*"pwd"/);
    cleanups.splice(0);
  });
});

describe('events', () => {
  test('are read in Pouch’s spelling, from the recorded stream', async () => {
    const { replay, driver } = await connect([], {}, { [events]: 'events-stream' });
    const seen: EngineEvent[] = [];
    const feed = await driver.features.events?.openEvents((event) => void seen.push(event), call());
    await expect.poll(() => replay.requests.at(-1)).toMatch(/^GET \/events/);
    replay.endStreams();
    expect((await feed?.ended)?.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true });
    expect(seen.map(({ action }) => action).slice(0, 5)).toEqual([
      'created',
      'started',
      'created',
      'started',
      'exited',
    ]);
    expect(seen.at(-1)).toMatchObject({ action: 'removed', timeMs: 1795439024098 });
    // By the clock of the recorded replies, which may have been a second behind when the call began.
    expect(replay.requests.at(-1)).toContain(`since=${Date.UTC(2026, 10, 23, 13, 1, 41) / 1_000}`);
  });

  test('are asked for by a map, since a whole second', async () => {
    const { replay, driver } = await connect([], {}, { [events]: 'events-stream' });
    const feed = await driver.features.events?.openEvents(() => {}, call());
    const asked = new URL(replay.requests.at(-1)?.slice('GET '.length) ?? '', 'http://pouch');
    expect(JSON.parse(asked.searchParams.get('filters') ?? '')).toEqual({ type: { container: true } });
    expect(asked.searchParams.get('since')).toMatch(/^\d+$/);
    await feed?.[Symbol.asyncDispose]();
    expect(await feed?.ended).toEqual({});
  });

  test('that Pouch refuses in one line of status 200 end with its words', async () => {
    const { driver } = await connect([], {}, { [events]: 'events-badsince' });
    const feed = await driver.features.events?.openEvents(() => {}, call());
    expect((await feed?.ended)?.error).toMatchObject({
      code: 'PROTOCOL',
      message: expect.stringContaining('strconv.ParseInt'),
    });
  });
});

describe('the archive, where it is allowed', () => {
  const archive = async (...names: string[]) => {
    const { replay, driver } = await connect(['inspect-running', ...names], { allowArchive: true });
    const { archive: feature } = driver.features;
    if (feature === undefined) throw new Error('there is no archive');
    return { replay, feature };
  };

  test('gives a file', async () => {
    const { feature } = await archive('archive-get-file');
    const tar = await readText(await feature.getArchive(run1, '/tmp/a.txt', call()));
    expect(tar.slice(0, 5)).toBe('a.txt');
  });

  test('tells a missing path, and does not show where on the node it is', async () => {
    const { feature } = await archive('archive-get-missing');
    const reading = feature.getArchive(run1, '/nope', call());
    await expect(reading).rejects.toMatchObject({ code: 'PATH_NOT_FOUND', message: expect.stringContaining('/nope') });
    await expect(reading).rejects.toMatchObject({ message: expect.not.stringContaining('/var/lib/pouch') });
  });

  test('takes a tar for a directory, after a look that it is one', async () => {
    const { replay, feature } = await archive('archive-head-dir', 'archive-put');
    await feature.putArchive(run1, '/tmp', Readable.from([Buffer.alloc(1024)]), call());
    expect(replay.requests.slice(-2)).toEqual([
      `HEAD /containers/${run1.id}/archive?path=%2Ftmp`,
      `PUT /containers/${run1.id}/archive?path=%2Ftmp`,
    ]);
  });

  test.each([
    ['is missing', '/nope', ['archive-head-missing', 'archive-get-missing']],
    ['is a file', '/tmp/a.txt', ['archive-head-file']],
  ])('sends nothing where the directory %s', async (_, path, names) => {
    const { replay, feature } = await archive(...names);
    const tar = Readable.from([Buffer.alloc(1024)]);
    await expect(feature.putArchive(run1, path, tar, call())).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    expect(tar.destroyed).toBe(true);
    expect(replay.requests.filter((asked) => asked.startsWith('PUT'))).toEqual([]);
  });

  test('does not serve a virtual machine, even for who gives no more than its id', async () => {
    const { replay, driver } = await connect(['inspect-rund'], { allowArchive: true });
    const of = { scope: '', id: idOf('inspect-rund') };
    const reading = driver.features.archive?.getArchive(of, '/etc', call());
    await expect(reading).rejects.toMatchObject({ code: 'UNSUPPORTED', applied: 'no' });
    expect(replay.requests.at(-1)).toBe(`GET /containers/${of.id}/json`);
  });
});

test('the archive is withheld, with the reason, as long as it is not allowed', async () => {
  const { driver } = await connect(['inspect-running']);
  const engine = createContainerEngine(pouch(), driver);
  const detail = await engine.getContainerDetail(run1);
  expect(engine.supports('archive', detail)).toBe(false);
  expect(detail.withheld.archive).toMatch(/out of a container onto the node/);
});
