/** How exec and execAsync behave on every engine, by the words of the public interface. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ExecField, ExecRequest, ExecTimeoutError, RunningExec } from '@crikit/core';
import type { EngineFixture, FixtureContainer } from './engine-fixture.js';
import { type SuiteRunner, skipTest, waitUntil } from './suite-runner.js';

export interface ExecSuiteOptions {
  readonly runner: SuiteRunner;
  createFixture(): Promise<EngineFixture>;
}

/** A container that answers at once must not wait for any deadline to say so. */
const atOnceMs = 2_000;

export function describeExecBehaviour(options: ExecSuiteOptions): void {
  defineExecSuite(options, { sessionsOnly: false });
}

/** With `sessionsOnly` just what a session can take: no terminals, and nothing that goes by `execAsync`. */
export function defineExecSuite(
  { runner, createFixture }: ExecSuiteOptions,
  { sessionsOnly }: { readonly sessionsOnly: boolean },
): void {
  const { describe, test, beforeAll, afterAll } = runner;

  describe('exec behaviour', () => {
    let fixture: EngineFixture;
    let shell: FixtureContainer;
    let users: FixtureContainer;
    beforeAll(async () => {
      fixture = await createFixture();
      shell = await fixture.runContainer({ env: { GREETING: 'from the container' } });
      users = await fixture.runContainer({ image: 'users' });
    });
    afterAll(async () => {
      await fixture?.close();
    });

    /** A test that only an engine can pass that declares these fields of an exec request. */
    const testWith = (fields: readonly ExecField[], name: string, run: () => Promise<void>): void =>
      test(name, async (...context) => {
        const missing = fields.filter((field) => fixture.driver?.execFields.has(field) === false);
        if (missing.length > 0) skipTest(context, `the engine declares no ${missing.join(', ')}`);
        else await run();
      });

    /** For what never goes through a session. */
    const describeOutside: typeof describe = sessionsOnly ? () => {} : describe;
    const testOutside: typeof testWith = sessionsOnly ? () => {} : testWith;

    const run = (request: ExecRequest, container: FixtureContainer = shell) =>
      fixture.engine.exec(container.target, request);
    const sh = (script: string, request: Omit<ExecRequest, 'cmd'> = {}, container: FixtureContainer = shell) =>
      run({ ...request, cmd: ['sh', '-c', script] }, container);
    const outputOf = async (request: ExecRequest, container?: FixtureContainer) => {
      const { exitCode, stdout, stderr } = await run(request, container);
      assert.equal(stderr.toString(), '');
      assert.equal(exitCode, 0);
      return stdout.toString();
    };
    const processesWith = async (mark: string, container: FixtureContainer = shell) => {
      const { stdout } = await sh('ps -o pid,args', {}, container);
      return stdout
        .toString()
        .split('\n')
        .filter((line) => line.includes(mark));
    };

    describe('results', () => {
      test('carry the command, the exit code and both outputs', async () => {
        const cmd = ['sh', '-c', 'echo out; echo err >&2; exit 3'];
        const result = await run({ cmd });
        assert.deepEqual(result.cmd, cmd);
        assert.equal(result.exitCode, 3);
        assert.equal(result.stdout.toString(), 'out\n');
        assert.equal(result.stderr.toString(), 'err\n');
        assert.equal(result.truncated, false);
      });

      for (const code of [0, 1, 125, 126, 127, 128, 137, 255]) {
        test(`have exit code ${code} when the command ends with it`, async () => {
          assert.equal((await sh(`exit ${code}`)).exitCode, code);
        });
      }

      testWith(['stdin'], 'have every byte as it was', async () => {
        const bytes = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
        const { stdout } = await run({ cmd: ['cat'], input: bytes });
        assert.deepEqual(stdout, bytes);
      });

      test('have output that looks like an engine’s own message', async () => {
        const said = 'OCI runtime exec failed: exec failed: no such file or directory: unknown\r\n';
        const { stdout, exitCode } = await run({ cmd: ['sh', '-c', 'printf "%s" "$1"; exit 126', 'sh', said] });
        assert.equal(stdout.toString(), said);
        assert.equal(exitCode, 126);
      });

      test('come from as many commands at once as are asked for', async () => {
        const results = await Promise.all(Array.from({ length: 20 }, (_, index) => sh(`echo ${index}; exit ${index}`)));
        assert.deepEqual(
          results.map(({ stdout, exitCode }) => [stdout.toString(), exitCode]),
          results.map((_, index) => [`${index}\n`, index]),
        );
      });

      test('become an error with the output when `check` is set', async () => {
        await assert.rejects(sh('echo why >&2; exit 4', { check: true }), {
          code: 'EXEC_FAILED',
          exitCode: 4,
          stderrSample: 'why\n',
        });
      });
    });

    describe('the request', () => {
      test('adds to the container’s own environment, and is tagged', async () => {
        const environment = await outputOf({ cmd: ['env'], env: { ADDED: 'a b=c\nd' } });
        assert.match(environment, /^GREETING=from the container$/m);
        assert.match(environment, /^ADDED=a b=c\nd$/m);
        assert.match(environment, /^_FROM=crikit$/m);
        assert.match(environment, /^_TS=\d{13}$/m);
      });

      test('sets the working directory', async () => {
        assert.equal(await outputOf({ cmd: ['pwd'], workingDir: '/tmp' }), '/tmp\n');
      });

      for (const [user, expected] of [
        [undefined, 'uid=0(root) gid=0(root)'],
        ['app', 'uid=1000(app) gid=1000(app)'],
        ['1001', 'uid=1001(worker) gid=1001(worker)'],
        ['1000:2000', 'uid=1000(app) gid=2000(shared)'],
        ['app:shared', 'uid=1000(app) gid=2000(shared)'],
        ['4242:4243', 'uid=4242 gid=4243'],
      ] as const) {
        testWith(['user'], `runs as ${user ?? 'root when no user is given'}`, async () => {
          const said = await outputOf({ cmd: ['id'], ...(user === undefined ? {} : { user }) }, users);
          assert.ok(said.startsWith(expected), said);
        });
      }

      testWith(['user'], 'gives a named user the groups that the container’s own files say', async () => {
        const groups = (await outputOf({ cmd: ['id', '-G'], user: 'app' }, users)).trim().split(' ');
        assert.deepEqual(groups.sort(), ['1000', '2000', '2001']);
      });

      test('is never read by a shell', async () => {
        const argument = '$(touch /tmp/pwned); `id` "\' \\ *';
        assert.equal(await outputOf({ cmd: ['printf', '%s', argument] }), argument);
      });

      test('is refused before it travels when it is too large', async () => {
        const request = { cmd: ['true', ...Array.from({ length: 20 }, () => 'x'.repeat(100_000))] };
        await assert.rejects(run(request), { code: 'TOO_LARGE', applied: 'no' });
      });
    });

    describe('a command that cannot start is a typed error', () => {
      for (const [what, request, code] of [
        ['not there', { cmd: ['no-such-command'] }, 'COMMAND_NOT_FOUND'],
        ['not there, by its path', { cmd: ['/no/such/command'] }, 'COMMAND_NOT_FOUND'],
        ['not executable', { cmd: ['/etc/passwd'] }, 'COMMAND_NOT_FOUND'],
        ['for an unknown user', { cmd: ['true'], user: 'nobody-here' }, 'USER_NOT_FOUND'],
        ['for an unknown group', { cmd: ['true'], user: 'root:nogroup-here' }, 'USER_NOT_FOUND'],
        ['in an unknown directory', { cmd: ['true'], workingDir: '/no/such/directory' }, 'WORKDIR_NOT_FOUND'],
        ['with a tty and not there', { cmd: ['no-such-command'], tty: true }, 'COMMAND_NOT_FOUND'],
      ] as const) {
        const fields = (['user', 'tty'] as const).filter((field) => field in request);
        testWith(fields, `when it is ${what}`, async () => {
          await assert.rejects(run(request), { code, applied: 'no' });
          const running = await fixture.engine.execAsync(shell.target, request).catch((error: unknown) => ({ error }));
          if ('error' in running) {
            assert.equal((running.error as { code?: string }).code, code);
            return;
          }
          const [output, result] = await Promise.all([readAll(running.stdout), running.result]);
          assert.equal(output.length, 0, output.toString());
          assert.equal('error' in result && result.error.code, code);
        });
      }

      testWith(['env', 'stdin'], 'also in an image that has no shell', async () => {
        const bare = await fixture.runContainer({ image: 'no-shell' });
        await assert.rejects(run({ cmd: ['sh'] }, bare), { code: 'COMMAND_NOT_FOUND' });
        assert.equal(await outputOf({ cmd: ['/bin/cat'], input: 'still here' }, bare), 'still here');
      });
    });

    describe('a container that cannot run a command says so at once', () => {
      const refusedAtOnce = async (container: FixtureContainer, code: string) => {
        const startedAt = performance.now();
        await assert.rejects(run({ cmd: ['true'] }, container), { code, applied: 'no' });
        assert.ok(performance.now() - startedAt < atOnceMs);
      };

      test('when it is stopped, and works when it is started again', async () => {
        const container = await fixture.runContainer();
        await container.stop();
        await refusedAtOnce(container, 'NOT_RUNNING');
        await container.start();
        assert.equal((await run({ cmd: ['true'] }, container)).exitCode, 0);
      });

      test('when it is paused, and works when it is resumed', async () => {
        const container = await fixture.runContainer();
        await container.pause();
        await refusedAtOnce(container, 'PAUSED');
        await container.resume();
        assert.equal((await run({ cmd: ['true'] }, container)).exitCode, 0);
      });

      test('when it is gone', async () => {
        const container = await fixture.runContainer();
        await container.remove();
        await refusedAtOnce(container, 'NOT_FOUND');
      });
    });

    describe('stdin', () => {
      test('ends at once when there is no input', async () => {
        assert.equal(await outputOf({ cmd: ['cat'] }), '');
      });

      testWith(['stdin'], 'takes text, bytes, streams and iterables', async () => {
        for (const input of ['abc', Buffer.from('abc'), Readable.from(['a', 'bc']), pieces('a', 'b', 'c')]) {
          assert.equal(await outputOf({ cmd: ['cat'], input }), 'abc');
        }
      });

      testWith(['stdin'], 'is half-closed: what the command says afterwards still arrives', async () => {
        const { stdout, exitCode } = await sh('cat >/dev/null; echo after; exit 7', { input: 'x'.repeat(100_000) });
        assert.equal(stdout.toString(), 'after\n');
        assert.equal(exitCode, 7);
      });

      for (const [when, script] of [
        ['ends at once', 'echo ignored; exit 5'],
        ['runs on', 'echo ignored; sleep 0.5; exit 5'],
      ] as const) {
        testWith(['stdin'], `need not be read by a command that ${when}, and costs no output in silence`, async () => {
          const result = await sh(script, { input: Buffer.alloc(8 * 1024 * 1024) }).catch((error: unknown) => ({
            error,
          }));
          if ('error' in result) {
            if (fixture.mayLoseOutputOnUnreadInput !== true) throw result.error;
            assert.equal((result.error as { code?: string }).code, 'PROTOCOL', String(result.error));
          } else {
            assert.equal(result.stdout.toString(), 'ignored\n');
            assert.equal(result.exitCode, 5);
          }
        });
      }

      testWith(['stdin'], 'that fails to be read kills the command', async () => {
        const broken = Readable.from(
          (async function* () {
            yield 'beginning';
            throw new Error('the disk is gone');
          })(),
        );
        await assert.rejects(sh('cat >/dev/null; sleep 3131', { input: broken }), (error: Error) => {
          assert.match(String((error.cause as Error | undefined)?.message), /the disk is gone/);
          return true;
        });
        await waitUntil('the command is gone', async () => (await processesWith('sleep 3131')).length === 0);
      });

      testOutside(['stdin'], 'can be written to and read from in turn', async () => {
        const running = await fixture.engine.execAsync(shell.target, { cmd: ['cat'], input: 'pipe' });
        const said: string[] = [];
        running.stdout.on('data', (chunk: Buffer) => said.push(chunk.toString()));
        running.stderr.resume();
        for (const line of ['one\n', 'two\n']) {
          running.stdin?.write(line);
          await waitUntil(`the answer to ${line}`, () => said.join('').endsWith(line));
        }
        running.stdin?.end();
        assert.deepEqual(await running.result, { exitCode: 0 });
        assert.equal(said.join(''), 'one\ntwo\n');
      });
    });

    describeOutside('a terminal', () => {
      testWith(['tty'], 'is one, with one stream for both outputs', async () => {
        const { stdout, stderr, exitCode } = await sh('test -t 0 -a -t 1 -a -t 2 && echo out; echo err >&2; exit 6', {
          tty: true,
        });
        assert.equal(stdout.toString(), 'out\r\nerr\r\n');
        assert.equal(stderr.length, 0);
        assert.equal(exitCode, 6);
      });

      for (const input of ['a line\n', 'half a line', '']) {
        testWith(['tty', 'stdin'], `ends the command’s input after ${JSON.stringify(input)}`, async () => {
          const { exitCode, stdout } = await sh('cat >/tmp/typed; echo; cat /tmp/typed | wc -c', { tty: true, input });
          assert.equal(exitCode, 0);
          assert.match(stdout.toString(), new RegExp(`\\b${input.length}\\r\\n$`));
        });
      }

      testWith(['tty', 'stdin'], 'has the size that was asked for, and another when it is resized', async () => {
        const running = await fixture.engine.execAsync(shell.target, {
          // The trap reports every change, and input ends it.
          cmd: ['sh', '-c', 'trap "stty size" WINCH; stty size; while ! read -t 1 line; do :; done'],
          tty: true,
          input: 'pipe',
          columns: 91,
          rows: 17,
        });
        const said: string[] = [];
        running.stdout.on('data', (chunk: Buffer) => said.push(chunk.toString()));
        running.stderr.resume();
        await waitUntil('the first size', () => said.join('').includes('17 91'));
        await running.resize(120, 40);
        await waitUntil('the second size', () => said.join('').includes('40 120'));
        running.stdin?.end('\n');
        assert.deepEqual(await running.result, { exitCode: 0 });
      });

      testWith(['tty', 'stdin'], 'hands on what engines use as keys to detach', async () => {
        const running = await fixture.engine.execAsync(shell.target, {
          cmd: ['sh', '-c', 'stty raw -echo; echo ready; head -c 3 | od -An -tx1'],
          tty: true,
          input: 'pipe',
        });
        const said: string[] = [];
        running.stdout.on('data', (chunk: Buffer) => said.push(chunk.toString()));
        running.stderr.resume();
        // What is typed earlier is still read by a terminal that gives such keys a meaning.
        await waitUntil('the terminal is raw', () => said.join('').includes('ready'));
        running.stdin?.write('\x10\x11x');
        await waitUntil('the keys arrive', () => said.join('').includes('10 11 78'));
        assert.deepEqual(await running.result, { exitCode: 0 });
      });

      test('is needed for resizing', async () => {
        const running = await fixture.engine.execAsync(shell.target, { cmd: ['true'] });
        drain(running);
        await assert.rejects(running.resize(1, 1), { code: 'UNSUPPORTED' });
        await running.result;
      });
    });

    describe('time-out and abort', () => {
      const doomed = [
        ['a command', '4141', 'exec sleep 4141'],
        ['its children', '4142', 'sleep 4142 & sleep 4142'],
        ['a child that left for a session of its own', '4143', 'setsid sleep 4143 & sleep 4143'],
        ['a command that ignores signals', '4144', 'trap "" TERM INT HUP; while :; do sleep 4144; done'],
      ] as const;
      const outcomes: Promise<unknown>[] = [];
      beforeAll(async () => {
        // All at once: most of their time is the time-out.
        for (const [, , script] of doomed) {
          const outcome = sh(`echo before; ${script}`, { timeoutMs: 1_000 });
          outcome.catch(() => {});
          outcomes.push(outcome);
        }
      });
      for (const [index, [what, mark]] of doomed.entries()) {
        test(`kill ${what}, and say so with what was written before`, async () => {
          await assert.rejects(
            async () => outcomes[index],
            (error: ExecTimeoutError) => {
              assert.equal(error.code, 'TIMEOUT');
              assert.equal(error.applied, 'yes');
              assert.equal(error.stdout.toString(), 'before\n');
              assert.equal(error.termination?.confirmed, true, error.message);
              return true;
            },
          );
          assert.deepEqual(await processesWith(mark), []);
        });
      }

      test('end exec with the signal’s reason', async () => {
        const caller = new AbortController();
        const reason = new Error('enough');
        const command = sh('echo before; exec sleep 5151', { signal: caller.signal });
        await waitUntil('the command runs', async () => (await processesWith('sleep 5151')).length > 0);
        caller.abort(reason);
        await assert.rejects(command, { code: 'ABORTED', cause: reason });
        assert.deepEqual(await processesWith('sleep 5151'), []);
      });

      test('before the start send nothing', async () => {
        await assert.rejects(sh('exit 0', { signal: AbortSignal.abort() }), { code: 'ABORTED', applied: 'no' });
      });

      testWith(['user'], 'kill the command of another user', async () => {
        await assert.rejects(
          sh('exec sleep 6161', { timeoutMs: 1_000, user: 'app' }, users),
          (error: ExecTimeoutError) => {
            assert.equal(error.code, 'TIMEOUT');
            assert.equal(error.termination?.confirmed, true, error.message);
            return true;
          },
        );
        assert.deepEqual(await processesWith('sleep 6161', users), []);
      });

      testOutside([], 'of execAsync end its result with an error, never with a rejection', async () => {
        const running = await fixture.engine.execAsync(shell.target, { cmd: ['sleep', '7171'], timeoutMs: 300 });
        drain(running);
        const result = await running.result;
        assert.equal('error' in result && result.error.code, 'TIMEOUT');
        await waitUntil('its streams end', () => running.stdout.readableEnded && running.stderr.readableEnded);
      });

      testOutside([], 'are not needed to kill: `kill` does it, twice as well as once', async () => {
        const running = await fixture.engine.execAsync(shell.target, { cmd: ['sleep', '8181'] });
        drain(running);
        await running.kill();
        await running.kill();
        const result = await running.result;
        assert.equal('error' in result && result.error.code, 'ABORTED');
        assert.deepEqual(await processesWith('sleep 8181'), []);
      });
    });

    describe('output', () => {
      test('beyond the cap is cut, and the command killed', async () => {
        const result = await sh('yes 9191', { maxOutputBytes: 10_000 });
        assert.equal(result.truncated, true);
        assert.equal(result.stdout.length, 10_000);
        assert.deepEqual(await processesWith('yes 9191'), []);
      });

      test('of exactly the cap is not cut', async () => {
        const result = await sh('head -c 10000 /dev/zero', { maxOutputBytes: 10_000 });
        assert.deepEqual([result.truncated, result.stdout.length, result.exitCode], [false, 10_000, 0]);
      });

      test('that a background child holds open does not keep the result', async () => {
        const container = await fixture.runContainer();
        const startedAt = performance.now();
        const { exitCode, stdout } = await sh('sleep 30 & echo done; exit 9', {}, container);
        assert.deepEqual([exitCode, stdout.toString()], [9, 'done\n']);
        assert.ok(performance.now() - startedAt < 8_000);
        await container.remove();
      });

      test('that the command has closed itself does not end it', async () => {
        const startedAt = performance.now();
        const { exitCode } = await sh('exec >&- 2>&-; sleep 0.5; exit 8');
        assert.equal(exitCode, 8);
        assert.ok(performance.now() - startedAt > 450);
      });

      test('comes in many small pieces in their order', async () => {
        const { stdout } = await sh('i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done');
        assert.equal(stdout.toString(), `${Array.from({ length: 3000 }, (_, index) => index).join('\n')}\n`);
      });

      testOutside([], 'stops when nobody reads it, and goes on when somebody does', async () => {
        const running = await fixture.engine.execAsync(shell.target, {
          cmd: ['sh', '-c', 'head -c 33554432 /dev/zero; echo written >/tmp/written'],
        });
        running.stderr.resume();
        await waitUntil('the command has begun', () => running.stdout.readableLength > 0);
        const { stdout } = await sh('sleep 0.5; ls /tmp/written 2>/dev/null || true');
        assert.equal(stdout.toString(), '');
        assert.equal((await readAll(running.stdout)).length, 32 * 1024 * 1024);
        assert.deepEqual(await running.result, { exitCode: 0 });
      });

      testOutside([], 'of 200 MiB arrives as it was written', async () => {
        // Alike nowhere, and cheap to write: it is the way that is tested.
        const { stdout: block } = await sh('head -c 1048576 /dev/urandom >/tmp/block; cat /tmp/block');
        const parts = 200;
        const partAt = (index: number) => Buffer.concat([Buffer.from(`${index}\n`), block]);
        const running = await fixture.engine.execAsync(shell.target, {
          cmd: [
            'sh',
            '-c',
            `i=0; while [ $i -lt ${parts} ]; do echo $i; cat /tmp/block; i=$((i+1)); done; rm /tmp/block`,
          ],
        });
        running.stderr.resume();
        let part = 0;
        let expected = partAt(part);
        for await (const chunk of running.stdout as AsyncIterable<Buffer>) {
          for (let at = 0; at < chunk.length; ) {
            const piece = chunk.subarray(at, at + expected.length);
            assert.ok(piece.equals(expected.subarray(0, piece.length)), `part ${part} is not as it was written`);
            at += piece.length;
            expected = expected.subarray(piece.length);
            if (expected.length === 0) {
              part += 1;
              expected = partAt(part);
            }
          }
        }
        assert.deepEqual([block.length, part, expected.length], [1024 * 1024, parts, partAt(parts).length]);
        assert.deepEqual(await running.result, { exitCode: 0 });
      });

      testWith(['stdin'], 'tells that 100 MiB of stdin arrived as they were sent', async () => {
        const piece = randomBytes(1024 * 1024);
        const hash = createHash('sha256');
        const input = (async function* () {
          for (let count = 0; count < 100; count += 1) {
            piece.writeUInt32BE(count);
            hash.update(piece);
            yield Buffer.from(piece);
          }
        })();
        const said = await outputOf({ cmd: ['sha256sum'], input });
        assert.equal(said.split(' ')[0], hash.digest('hex'));
      });
    });

    describeOutside('a container that ends in the middle', () => {
      test('ends its commands: never with exit code 0', async () => {
        const container = await fixture.runContainer();
        const running = await fixture.engine.execAsync(container.target, { cmd: ['sh', '-c', 'echo up; sleep 100'] });
        const output = readAll(running.stdout);
        running.stderr.resume();
        await waitUntil('the command runs', async () => (await processesWith('sleep 100', container)).length > 0);
        await container.stop();
        const result = await running.result;
        assert.ok('error' in result || result.exitCode === 137, JSON.stringify(result));
        assert.ok(['', 'up\n'].includes((await output).toString()));
      });
    });
  });
}

async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function drain(running: RunningExec): void {
  running.stdout.resume();
  running.stderr.resume();
}

async function* pieces(...texts: string[]): AsyncIterable<string> {
  yield* texts;
}
