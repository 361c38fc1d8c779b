/** How commands in sessions behave on every engine: as any exec, and never in each other's way. */
import assert from 'node:assert/strict';
import type { ContainerEngine, ContainerTarget, ExecRequest, ExecSession, ExecTimeoutError } from '@crikit/core';
import type { EngineFixture, FixtureContainer } from './engine-fixture.js';
import { defineExecSuite } from './exec-suite.js';
import { type SuiteRunner, waitUntil } from './suite-runner.js';

export interface SessionSuiteOptions {
  readonly runner: SuiteRunner;
  createFixture(): Promise<EngineFixture>;
}

/** Includes the suite of exec as far as sessions take its commands, each in a session of its container. */
export function describeSessionBehaviour({ runner, createFixture }: SessionSuiteOptions): void {
  const { describe, test, beforeAll, afterAll } = runner;

  describe('in sessions', () => {
    const createSessionFixture = async () => {
      const fixture = await createFixture();
      return { ...fixture, engine: withSessions(fixture.engine) };
    };
    defineExecSuite({ runner, createFixture: createSessionFixture }, { sessionsOnly: true });
  });

  describe('session behaviour', () => {
    let fixture: EngineFixture;
    let shell: FixtureContainer;
    beforeAll(async () => {
      fixture = await createFixture();
      shell = await fixture.runContainer({ image: 'users' });
    });
    afterAll(async () => {
      await fixture?.close();
    });

    const withSession = async (
      run: (session: ExecSession) => Promise<void>,
      options: {
        readonly container?: FixtureContainer;
        readonly idleTimeoutMs?: number;
        readonly parallel?: number;
      } = {},
    ) => {
      const { container = shell, ...sessionOptions } = options;
      const session = await fixture.engine.openSession(container.target, sessionOptions);
      try {
        await run(session);
      } finally {
        await session.close();
      }
    };
    const textOf = async (session: ExecSession, script: string) => {
      const { stdout } = await session.exec({ cmd: ['sh', '-c', script] });
      return stdout.toString();
    };
    /** All that live but those of the question; where nobody reaps them, zombies stay. */
    const processes = async (container: FixtureContainer) => {
      const { stdout } = await fixture.engine.exec(container.target, { cmd: ['ps', '-o', 'pid,stat,args'] });
      return stdout
        .toString()
        .split('\n')
        .slice(1)
        .filter((line) => line.trim() !== '' && !/^ *\d+ +Z|ps -o pid,stat,args/.test(line));
    };

    test('a container without `sh` is a typed error that names `exec`', async () => {
      const bare = await fixture.runContainer({ image: 'no-shell' });
      await assert.rejects(fixture.engine.openSession(bare.target), {
        code: 'COMMAND_NOT_FOUND',
        applied: 'no',
        message: /Use `exec`/,
      });
    });

    test('commands of one session are children of one shell', async () => {
      const container = await fixture.runContainer();
      await withSession(
        async (session) => {
          const before = (await processes(container)).length;
          for (let index = 0; index < 20; index += 1)
            assert.equal(await textOf(session, `echo ${index}`), `${index}\n`);
          assert.equal((await processes(container)).length, before);
        },
        { container },
      );
    });

    test('what is asked at once is answered in order, each with its own output', async () => {
      await withSession(async (session) => {
        const order: number[] = [];
        await Promise.all(
          Array.from({ length: 30 }, async (_, index) => {
            const { stdout, stderr, exitCode } = await session.exec({
              cmd: ['sh', '-c', `echo ${index}; echo e${index} >&2; exit ${index}`],
            });
            order.push(index);
            assert.deepEqual([stdout.toString(), stderr.toString(), exitCode], [`${index}\n`, `e${index}\n`, index]);
          }),
        );
        assert.deepEqual(
          order,
          [...order].sort((a, b) => a - b),
        );
      });
    });

    test('several shells run several commands at once', async () => {
      await withSession(
        async (session) => {
          const meet = (own: string, other: string) =>
            `touch /tmp/${own}; while [ ! -e /tmp/${other} ]; do :; done; echo met`;
          const said = await Promise.all([
            textOf(session, meet('meet-a', 'meet-b')),
            textOf(session, meet('meet-b', 'meet-a')),
          ]);
          assert.deepEqual(said, ['met\n', 'met\n']);
        },
        { parallel: 2 },
      );
    });

    test('the user is the session’s', async () => {
      const session = await fixture.engine.openSession(shell.target, { user: 'app' });
      try {
        assert.equal(await textOf(session, 'id -un'), 'app\n');
        await assert.rejects(session.exec({ cmd: ['sh', '-c', 'exec sleep 3232'], timeoutMs: 400 }), (error) => {
          assert.equal((error as ExecTimeoutError).termination?.confirmed, true, (error as Error).message);
          return true;
        });
        assert.equal(await textOf(session, 'id -un'), 'app\n');
      } finally {
        await session.close();
      }
    });

    test('after a time-out the next command has nothing of the one before', async () => {
      await withSession(async (session) => {
        for (let round = 0; round < 3; round += 1) {
          await assert.rejects(
            session.exec({ cmd: ['sh', '-c', 'while :; do echo noise; echo noise >&2; done'], timeoutMs: 200 }),
            { code: 'TIMEOUT' },
          );
          const { stdout, stderr } = await session.exec({ cmd: ['echo', 'quiet'] });
          assert.deepEqual([stdout.toString(), stderr.toString()], ['quiet\n', '']);
        }
      });
    });

    test('a signal that aborts while the command waits for its turn starts nothing', async () => {
      await withSession(async (session) => {
        const caller = new AbortController();
        const first = textOf(session, 'sleep 0.5; echo first');
        const second = session.exec({ cmd: ['touch', '/tmp/never'], signal: caller.signal });
        caller.abort();
        await assert.rejects(second, { code: 'ABORTED', applied: 'no' });
        assert.equal(await first, 'first\n');
        assert.equal(await textOf(session, 'ls /tmp/never 2>/dev/null || echo none'), 'none\n');
      });
    });

    test('a child left in the background lives on, and says nothing in the next command', async () => {
      const container = await fixture.runContainer();
      await withSession(
        async (session) => {
          // Silent until the command's result is given, then noisy while the next ones run.
          const speak = 'touch /tmp/speaks; i=0; while [ $i -lt 100 ]; do echo leaked; sleep 0.02; i=$((i+1)); done';
          const { exitCode } = await session.exec({ cmd: ['sh', '-c', `(sleep 3; ${speak}; sleep 4343) & exit 4`] });
          assert.equal(exitCode, 4);
          await waitUntil(
            'the child speaks',
            async () => (await textOf(session, 'ls /tmp/speaks 2>/dev/null')) === '/tmp/speaks\n',
          );
          for (let round = 0; round < 20; round += 1) assert.equal(await textOf(session, 'echo own'), 'own\n');
        },
        { container },
      );
      const quiet = 'sleep 5454 >/dev/null 2>&1 &';
      await withSession(async (session) => assert.equal(await textOf(session, quiet), ''), { container });
      await waitUntil(
        'the session’s shells are gone',
        async () => !(await processes(container)).join().includes('crikit'),
      );
      assert.match((await processes(container)).join('\n'), /sleep 5454/);
      await container.remove();
    });

    test('a container that ends in the middle ends the command: never with exit code 0', async () => {
      const container = await fixture.runContainer();
      await withSession(
        async (session) => {
          const command = session.exec({ cmd: ['sleep', '6565'] });
          command.catch(() => {});
          await waitUntil('the command runs', async () => (await processes(container)).join().includes('sleep 6565'));
          await container.stop();
          const outcome = await command.then(
            ({ exitCode }) => exitCode,
            (error: { code: string }) => error.code,
          );
          assert.ok(outcome === 137 || outcome === 'NOT_RUNNING', String(outcome));
          await assert.rejects(session.exec({ cmd: ['true'] }), { code: 'NOT_RUNNING', applied: 'no' });
          await container.start();
          assert.equal(await textOf(session, 'echo again'), 'again\n');
        },
        { container },
      );
      await container.remove();
    });

    test('a paused container says so at once, and works when it is resumed', async () => {
      const container = await fixture.runContainer();
      await withSession(
        async (session) => {
          await textOf(session, 'echo up');
          await container.pause();
          const startedAt = performance.now();
          await assert.rejects(session.exec({ cmd: ['touch', '/tmp/late'] }), { code: 'PAUSED' });
          assert.ok(performance.now() - startedAt < 3_000);
          await container.resume();
          assert.equal(await textOf(session, 'ls /tmp/late 2>/dev/null || echo none'), 'none\n');
        },
        { container },
      );
      await container.remove();
    });

    test('an idle session has no shell, and opens one for the next command', async () => {
      const container = await fixture.runContainer();
      const before = (await processes(container)).length;
      await withSession(
        async (session) => {
          await waitUntil('the shell is gone', async () => (await processes(container)).length === before);
          assert.equal(await textOf(session, 'echo again'), 'again\n');
        },
        { container, idleTimeoutMs: 300 },
      );
      await container.remove();
    });

    test('closing kills the command that runs, and leaves no process', async () => {
      const container = await fixture.runContainer();
      const before = (await processes(container)).length;
      const session = await fixture.engine.openSession(container.target);
      const command = session.exec({ cmd: ['sh', '-c', 'setsid sleep 7676 & sleep 7676'] });
      command.catch(() => {});
      await waitUntil('the command runs', async () => (await processes(container)).length > before + 1);
      await session.close();
      await session.close();
      await assert.rejects(command, { code: 'ABORTED' });
      await assert.rejects(session.exec({ cmd: ['true'] }), { code: 'CLOSED', applied: 'no' });
      await waitUntil('nothing is left', async () => (await processes(container)).length === before);
      await container.remove();
    });

    test('`exec` with `reuse` needs no session that somebody opens', async () => {
      const container = await fixture.runContainer();
      const before = (await processes(container)).length;
      const ask = async () => {
        const { stdout } = await fixture.engine.exec(container.target, { cmd: ['echo', 'asked'], reuse: true });
        return stdout.toString();
      };
      assert.equal(await ask(), 'asked\n');
      await waitUntil('a shell is open', async () => (await processes(container)).length > before);
      assert.deepEqual(
        await Promise.all(Array.from({ length: 12 }, ask)),
        Array.from({ length: 12 }, () => 'asked\n'),
      );
      const bare = await fixture.runContainer({ image: 'no-shell' });
      for (let round = 0; round < 3; round += 1) {
        const { stdout } = await fixture.engine.exec(bare.target, { cmd: ['/bin/cat'], input: 'x', reuse: true });
        assert.equal(stdout.toString(), 'x');
      }
      await container.remove();
    });
  });
}

/** The engine, with each command that a session can take in the session of its container and user. */
function withSessions(engine: ContainerEngine): ContainerEngine {
  const sessions = new Map<string, Promise<ExecSession>>();
  const sessionOf = (target: ContainerTarget, user: string | undefined): Promise<ExecSession> => {
    const key = JSON.stringify([target, user]);
    const known = sessions.get(key);
    if (known !== undefined) return known;
    // The suite looks at a container while commands run in it.
    const opening = engine.openSession(target, { parallel: 4, ...(user === undefined ? {} : { user }) });
    sessions.set(key, opening);
    opening.catch(() => sessions.delete(key));
    return opening;
  };
  return {
    ...engine,
    async exec(target: ContainerTarget, request: ExecRequest) {
      const { user, tty, ...command } = request;
      if (tty === true || request.signal?.aborted === true) return engine.exec(target, request);
      try {
        const session = await sessionOf(target, user);
        return await session.exec(command);
      } catch (error) {
        const { code, remedy } = error as { code?: string; remedy?: string };
        if (code === 'COMMAND_NOT_FOUND' && remedy !== undefined) return engine.exec(target, request);
        throw error;
      }
    },
  };
}
