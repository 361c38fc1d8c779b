import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createContainerEngine } from './create-container-engine.js';
import type { DriverExecRequest, EngineDriver, ExecHandle } from './engine-contract.js';
import { type FakeExec, fakeDefinition, fakeDriver, fakeExec } from './engine-test-double.js';
import { EngineUnavailableError } from './errors/engine-unavailable-error.js';

interface Setup {
  readonly execs: FakeExec[];
  readonly engine: ReturnType<typeof createContainerEngine>;
}

function setup(
  onStart: (exec: FakeExec) => void,
  driver: Partial<EngineDriver> = {},
  handle: (fake: () => FakeExec) => Partial<ExecHandle> = () => ({}),
): Setup {
  const execs: FakeExec[] = [];
  const engine = createContainerEngine(
    fakeDefinition(),
    fakeDriver({
      startExec: async (_, request: DriverExecRequest) => {
        const fake: FakeExec = fakeExec(
          request,
          handle(() => fake),
        );
        execs.push(fake);
        queueMicrotask(() => onStart(fake));
        return fake.handle;
      },
      ...driver,
    }),
  );
  return { execs, engine };
}

/** What a process does that prints and ends; a second exec (the kill inside) finds nothing left. */
function printing(out: string, err: string, exitCode: number) {
  return (exec: FakeExec): void => {
    exec.stdout.end(out);
    exec.stderr.end(err);
    exec.exit(exitCode);
  };
}

/** A process that runs until it is killed by the second exec, as on an engine without a kill of its own. */
function running(first: (exec: FakeExec) => void = () => {}) {
  const all: FakeExec[] = [];
  return (exec: FakeExec): void => {
    all.push(exec);
    if (all.length === 1) {
      first(exec);
      return;
    }
    printing('', '', 0)(exec);
    all[0]?.stdout.end();
    all[0]?.stderr.end();
    all[0]?.exit(137);
  };
}

afterEach(() => {
  vi.useRealTimers();
});

describe('exec', () => {
  test('gives the exit code and both outputs, and releases the handle', async () => {
    const { engine, execs } = setup(printing('out', 'err', 3));
    const result = await engine.exec('c1', { cmd: ['a'] });
    expect(result).toEqual({
      cmd: ['a'],
      exitCode: 3,
      stdout: Buffer.from('out'),
      stderr: Buffer.from('err'),
      truncated: false,
    });
    expect(execs[0]?.disposed).toBe(true);
  });

  test('turns a non-zero exit code into an error with samples when asked to', async () => {
    const { engine } = setup(printing('some output', 'and why', 3));
    await expect(engine.exec('c1', { cmd: ['a'], check: true })).rejects.toMatchObject({
      code: 'EXEC_FAILED',
      exitCode: 3,
      stdoutSample: 'some output',
      stderrSample: 'and why',
      message: expect.stringContaining('and why'),
    });
    await expect(setup(printing('', '', 0)).engine.exec('c1', { cmd: ['a'], check: true })).resolves.toMatchObject({
      exitCode: 0,
    });
  });

  test.each([
    ['text', 'grüße'],
    ['bytes', Buffer.from('grüße')],
    ['a stream', Readable.from([Buffer.from('grü'), Buffer.from('ße')])],
    [
      'an async iterable',
      (async function* () {
        yield 'grü';
        yield Buffer.from('ße');
      })(),
    ],
  ])('feeds %s to stdin and ends it', async (_, input) => {
    const { engine } = setup(async (exec) => {
      const read = await text(exec.stdin);
      printing(read, '', 0)(exec);
    });
    expect((await engine.exec('c1', { cmd: ['cat'], input })).stdout.toString()).toBe('grüße');
  });

  test('takes it as no error that a command ends without having read its input', async () => {
    const endless = new Readable({
      read() {
        this.push(Buffer.alloc(1024));
      },
    });
    const { engine } = setup((exec) => {
      exec.stdin.destroy();
      printing('done', '', 0)(exec);
    });
    expect((await engine.exec('c1', { cmd: ['true'], input: endless })).exitCode).toBe(0);
    await vi.waitUntil(() => endless.destroyed);
  });

  test('kills the command when its input fails', async () => {
    const { engine, execs } = setup(running());
    const input = new Readable({
      read() {
        this.destroy(new Error('disk on fire'));
      },
    });
    await expect(engine.exec('c1', { cmd: ['cat'], input })).rejects.toMatchObject({
      code: 'ABORTED',
      cause: { message: 'disk on fire' },
      termination: { methods: ['container-marker'], confirmed: true },
    });
    expect(execs[0]?.disposed).toBe(true);
  });

  test('kills a command that writes too much and keeps what fits', async () => {
    const { engine } = setup(running((exec) => exec.stdout.write(Buffer.alloc(100, 'x'))));
    const result = await engine.exec('c1', { cmd: ['yes'], maxOutputBytes: 64 });
    expect(result).toMatchObject({ exitCode: 137, truncated: true });
    expect(result.stdout.length).toBe(64);
  });

  test('lets output of exactly the limit pass', async () => {
    const { engine } = setup(printing('12345678', '', 0));
    expect(await engine.exec('c1', { cmd: ['a'], maxOutputBytes: 8 })).toMatchObject({ truncated: false });
  });

  test('rejects on time-out with the partial output and how the process was ended', async () => {
    const { engine } = setup(running((exec) => exec.stdout.write('partial')));
    const error = await engine.exec('c1', { cmd: ['sleep', '9'], timeoutMs: 20 }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({
      name: 'ExecTimeoutError',
      code: 'TIMEOUT',
      stdout: Buffer.from('partial'),
      termination: { methods: ['container-marker'], confirmed: true },
    });
    expect(String(error)).toContain('longer than 20 ms');
  });

  test('rejects on abort, and says when the end could not be confirmed', async () => {
    const controller = new AbortController();
    let starts = 0;
    const { engine } = setup(() => {}, {
      startExec: async (_, request) => {
        starts += 1;
        if (starts > 1) throw new Error('no sh here');
        setImmediate(() => controller.abort(new Error('user pressed Ctrl-C')));
        return fakeExec(request).handle;
      },
    });
    const call = engine.exec('c1', { cmd: ['sleep', '9'], signal: controller.signal });
    await expect(call).rejects.toMatchObject({
      name: 'ExecAbortedError',
      cause: { message: 'user pressed Ctrl-C' },
      termination: { methods: ['none'], confirmed: false },
      message: expect.stringContaining('not confirmed'),
    });
  });

  test('uses the engine’s own kill where there is one', async () => {
    const signals: string[] = [];
    const { engine } = setup(running(), {}, (fake) => ({
      async kill(signal) {
        signals.push(signal);
        printing('', '', 137)(fake());
      },
    }));
    await expect(engine.exec('c1', { cmd: ['sleep', '9'], timeoutMs: 5 })).rejects.toMatchObject({
      termination: { methods: ['engine', 'container-marker'], confirmed: true },
    });
    expect(signals).toEqual(['SIGKILL']);
  });

  test('sends nothing when the signal was aborted before', async () => {
    const { engine, execs } = setup(printing('', '', 0));
    await expect(engine.exec('c1', { cmd: ['a'], signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'ExecAbortedError',
      applied: 'no',
      termination: undefined,
    });
    expect(execs).toEqual([]);
  });

  test('waits a moment for a start that is under way when the caller gives up, and kills what was started', async () => {
    const controller = new AbortController();
    const begin = running();
    const execs: FakeExec[] = [];
    const { engine } = setup(() => {}, {
      startExec: async (_, request) => {
        const fake = fakeExec(request);
        execs.push(fake);
        if (execs.length === 1) {
          controller.abort();
          await delay(10);
        }
        begin(fake);
        return fake.handle;
      },
    });
    await expect(engine.exec('c1', { cmd: ['sleep', '9'], signal: controller.signal })).rejects.toMatchObject({
      name: 'ExecAbortedError',
      termination: { methods: ['container-marker'], confirmed: true },
    });
    expect(execs[0]?.disposed).toBe(true);
  });

  test('never takes an unknown end for success', async () => {
    const error = new EngineUnavailableError('dockerd went away', { engine: 'fake' });
    const { engine } = setup((exec) => {
      exec.stdout.end('half');
      exec.stderr.end();
      exec.exit({ kind: 'unknown', error });
    });
    await expect(engine.exec('c1', { cmd: ['a'] })).rejects.toBe(error);
  });

  test('rejects when output broke off although the exit code is known', async () => {
    const { engine } = setup((exec) => {
      exec.stderr.end();
      exec.exit(0);
      exec.stdout.destroy(new Error('connection reset'));
    });
    await expect(engine.exec('c1', { cmd: ['a'] })).rejects.toMatchObject({ code: 'PROTOCOL' });
  });

  test('does not wait for a child that holds stdout open after the command has ended', async () => {
    vi.useFakeTimers();
    const { engine } = setup((exec) => {
      exec.stdout.write('done');
      exec.stderr.end();
      exec.exit(0);
    });
    const call = engine.exec('c1', { cmd: ['sh', '-c', 'sleep 99 &'] });
    await vi.advanceTimersByTimeAsync(2_500);
    expect((await call).stdout.toString()).toBe('done');
  });

  test('limits how many starts are under way at once', async () => {
    let underWay = 0;
    let most = 0;
    const { engine } = setup(() => {}, {
      limits: { parallelDetails: 1, parallelExecStarts: 3 },
      startExec: async (_, request) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await delay(1);
        underWay -= 1;
        const fake = fakeExec(request);
        printing('', '', 0)(fake);
        return fake.handle;
      },
    });
    await Promise.all(Array.from({ length: 20 }, () => engine.exec('c1', { cmd: ['a'] })));
    expect(most).toBe(3);
  });

  test('gives one stream with a terminal', async () => {
    const { engine } = setup((exec) => {
      exec.stdout.end('both');
      exec.exit(0);
    });
    const result = await engine.exec('c1', { cmd: ['a'], tty: true });
    expect([result.stdout.toString(), result.stderr.length]).toEqual(['both', 0]);
  });

  test('names a missing directory when a shell stands in for the engine', async () => {
    const { engine } = setup((exec) => printing('', `${exec.request.cmd[4]}:workdir`, 126)(exec), {
      execFields: new Set(['env'] as const),
    });
    await expect(engine.exec('c1', { cmd: ['a'], workingDir: '/none' })).rejects.toMatchObject({
      code: 'WORKDIR_NOT_FOUND',
      applied: 'no',
    });
  });

  test.each(['', 'a/b', '../x', 'a\0'])('refuses %j as a container id', async (id) => {
    const { engine, execs } = setup(printing('', '', 0));
    await expect(engine.exec(id, { cmd: ['a'] })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(execs).toEqual([]);
  });

  test('is refused after close', async () => {
    const { engine } = setup(printing('', '', 0));
    await engine.close();
    await expect(engine.exec('c1', { cmd: ['a'] })).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('execAsync', () => {
  test('streams both ways and gives the exit code', async () => {
    const { engine } = setup(async (exec) => {
      exec.stdout.end(await text(exec.stdin));
      exec.stderr.end('note');
      exec.exit(0);
    });
    const running = await engine.execAsync('c1', { cmd: ['cat'], input: 'pipe' });
    running.stdin?.end('hello');
    expect(await text(running.stdout)).toBe('hello');
    expect(await text(running.stderr)).toBe('note');
    expect(await running.result).toEqual({ exitCode: 0 });
  });

  test('resolves its result with the error instead of rejecting', async () => {
    const { engine } = setup(running());
    const command = await engine.execAsync('c1', { cmd: ['sleep', '9'], timeoutMs: 5 });
    expect(await command.result).toMatchObject({ error: { name: 'ExecTimeoutError' } });
    expect(await text(command.stdout)).toBe('');
  });

  test('is killed by kill and by disposal', async () => {
    for (const end of ['kill', Symbol.asyncDispose] as const) {
      const { engine, execs } = setup(running());
      const command = await engine.execAsync('c1', { cmd: ['sleep', '9'] });
      await command[end]();
      expect(await command.result).toMatchObject({ error: { code: 'ABORTED', termination: { confirmed: true } } });
      command.stdout.resume();
      command.stderr.resume();
      await vi.waitUntil(() => execs[0]?.disposed);
    }
  });

  test('knows the end while nobody reads, and delivers everything to a late reader', async () => {
    const data = Buffer.alloc(1024 * 1024, 'x');
    const { engine } = setup((exec) => {
      exec.stdout.end(data);
      exec.stderr.end();
      exec.exit(0);
    });
    const running = await engine.execAsync('c1', { cmd: ['a'] });
    expect(await running.result).toEqual({ exitCode: 0 });
    expect((await text(running.stdout)).length).toBe(data.length);
  });

  test('holds the source back while its reader is slow', async () => {
    let produced = 0;
    const source = new PassThrough();
    const { engine } = setup(() => {}, {
      startExec: async (_, request) => fakeExec(request, { stdout: source }).handle,
    });
    const running = await engine.execAsync('c1', { cmd: ['yes'] });
    while (source.write(Buffer.alloc(16 * 1024)) && produced < 1000) {
      produced += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(produced).toBeLessThan(20);
    running.stdout.destroy();
    running.stderr.destroy();
  });

  test('ends the streams when a stray child holds them, without an error', async () => {
    vi.useFakeTimers();
    const { engine, execs } = setup((exec) => {
      exec.stdout.write('said');
      exec.exit(0);
    });
    const running = await engine.execAsync('c1', { cmd: ['a'] });
    running.stderr.resume();
    const read = text(running.stdout);
    await vi.advanceTimersByTimeAsync(2_500);
    expect(await read).toBe('said');
    expect(execs[0]?.disposed).toBe(true);
  });

  describe('where a shell stands in for what the engine has not', () => {
    const bare = { execFields: new Set(['tty', 'stdin'] as const) };
    // The shell's fourth argument, after its script and its own name.
    const shellSays = (exec: FakeExec, what: string) => `${exec.request.cmd[4]}:${what}`;

    test.each([
      ['stderr', false],
      ['the terminal', true],
    ] as const)('does not hand on what the shell says on %s about a missing command', async (_, tty) => {
      const { engine } = setup((exec) => {
        exec.exit(127);
        // Later than the end, and in pieces.
        setTimeout(() => {
          const said = shellSays(exec, 'command');
          const stream = tty ? exec.stdout : exec.stderr;
          stream.write(said.slice(0, 10));
          stream.write(said.slice(10));
          exec.stdout.end();
          exec.stderr.end();
        }, 20);
      }, bare);
      const running = await engine.execAsync('c1', { cmd: ['none'], tty });
      const [stdout, stderr, result] = await Promise.all([text(running.stdout), text(running.stderr), running.result]);
      expect({ stdout, stderr, result }).toMatchObject({
        stdout: '',
        stderr: '',
        result: { error: { code: 'COMMAND_NOT_FOUND' } },
      });
    });

    test('hands on output that only begins alike', async () => {
      const { engine } = setup((exec) => {
        const said = shellSays(exec, 'command');
        exec.stderr.write(said.slice(0, 8));
        exec.stderr.end('!');
        exec.stdout.end();
        exec.exit(0);
      }, bare);
      const running = await engine.execAsync('c1', { cmd: ['a'] });
      running.stdout.resume();
      expect(await text(running.stderr)).toMatch(/^[0-9a-f]{8}!$/);
      const short = setup((exec) => {
        exec.stderr.end(shellSays(exec, '').slice(0, 8));
        exec.stdout.end();
        exec.exit(0);
      }, bare);
      const other = await short.engine.execAsync('c1', { cmd: ['a'] });
      other.stdout.resume();
      expect(await text(other.stderr)).toMatch(/^[0-9a-f]{8}$/);
    });
  });

  test('output that the engine loses ends its stream with the error, which nobody has to listen for', async () => {
    const { engine } = setup((exec) => {
      exec.stdout.write('half');
      exec.stdout.destroy(new Error('lost'));
      exec.stderr.end();
      exec.exit(0);
    });
    const running = await engine.execAsync('c1', { cmd: ['a'] });
    running.stderr.resume();
    let hasEnded = false;
    running.stdout.resume().on('end', () => {
      hasEnded = true;
    });
    await new Promise((resolve) => running.stdout.once('close', resolve));
    expect(await running.result).toEqual({ exitCode: 0 });
    expect(running.stdout.errored).toMatchObject({ message: 'lost' });
    expect(hasEnded).toBe(false);
  });

  test('resizes a terminal only', async () => {
    const sizes: number[][] = [];
    const { engine } = setup(
      () => {},
      {},
      () => ({
        async resize(columns, rows) {
          sizes.push([columns, rows]);
        },
      }),
    );
    const plain = await engine.execAsync('c1', { cmd: ['a'] });
    await expect(plain.resize(80, 24)).rejects.toMatchObject({ code: 'UNSUPPORTED' });
    const terminal = await engine.execAsync('c1', { cmd: ['a'], tty: true });
    await terminal.resize(80, 24);
    expect(sizes).toEqual([[80, 24]]);
  });
});
