import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { contextOf } from './check-context-in-test.js';
import type { CheckTask } from './check-task.js';
import { type CheckRunner, createCheckRunner, type RunChecksOptions } from './run-checks.js';

const runners: CheckRunner[] = [];
afterEach(() => {
  for (const runner of runners.splice(0)) runner.close();
});

function makeRunner(options: Partial<RunChecksOptions> = {}): CheckRunner {
  const runner = createCheckRunner({
    settings: contextOf().settings,
    environment: process.env,
    limitMs: 5_000,
    signal: new AbortController().signal,
    programPath: join(import.meta.dirname, '__fixtures__', 'check-process.mjs'),
    processes: 2,
    ...options,
  });
  runners.push(runner);
  return runner;
}

const task = (subject: string): CheckTask => ({ check: 'fifo-directory', subject });

/** The pid that a well-behaved check tells. */
function pidOf(outcome: Awaited<ReturnType<CheckRunner['run']>>[number] | undefined): number {
  const { ended } = outcome ?? {};
  if (ended?.kind !== 'done') throw new Error(`It ended otherwise: ${JSON.stringify(ended)}.`);
  return Number(ended.result.findings[0]?.message);
}

describe('checks', () => {
  test('run in few processes, which are used again, and answer in order', async () => {
    const runner = makeRunner();
    const outcomes = await runner.run(['1', '2', '3', '4', '5'].map(task));
    expect(outcomes.map((outcome) => outcome.task.subject)).toEqual(['1', '2', '3', '4', '5']);
    const pids = new Set(outcomes.map(pidOf));
    expect(pids.size).toBeLessThanOrEqual(2);
    expect(pids).not.toContain(process.pid);
    const [again] = await runner.run([task('6')]);
    expect(pids).toContain(pidOf(again));
  });

  test.each(['waits for ever', 'blocks'])(
    'one that %s is killed when its time is over, and the others run',
    async (how) => {
      const outcomes = await makeRunner({ limitMs: 1_000 }).run([task(how), task(how), task('well')]);
      expect(outcomes.map(({ ended }) => ended.kind)).toEqual(['timed-out', 'timed-out', 'done']);
      for (const { durationMs } of outcomes.slice(0, 2)) expect(durationMs).toBeGreaterThanOrEqual(990);
    },
  );

  test.each([
    ['throws', 'TypeError: out of order'],
    ['exits', 'code 3'],
    ['rejects', 'Error: said no'],
  ])('one that %s is told with what is known of it, and the others run', async (how, message) => {
    const outcomes = await makeRunner({ processes: 1 }).run([task(how), task('well')]);
    expect(outcomes[0]?.ended).toEqual({ kind: 'crashed', message: expect.stringContaining(message) });
    expect(outcomes[1]?.ended.kind).toBe('done');
  });

  test('are not disturbed by what a package prints', async () => {
    const [outcome] = await makeRunner().run([task('talks')]);
    expect(outcome?.ended.kind).toBe('done');
  });

  test('whose process cannot start are told as crashed', async () => {
    const [early] = await makeRunner({ environment: { ...process.env, NEVER_READY: '1' } }).run([task('well')]);
    expect(early?.ended).toEqual({ kind: 'crashed', message: 'it ended with code 4' });
    const [missing] = await makeRunner({ programPath: '/nonexistent/program.js' }).run([task('well')]);
    expect(missing?.ended).toEqual({ kind: 'crashed', message: expect.stringContaining('Cannot find module') });
  });

  test('end at once when the caller gives up, with the reason', async () => {
    const controller = new AbortController();
    const running = makeRunner({ signal: controller.signal }).run([task('waits for ever')]);
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });

  test('leave no process behind', async () => {
    const runner = makeRunner();
    const [outcome] = await runner.run([task('well')]);
    const pid = pidOf(outcome);
    runner.close();
    await expect.poll(() => isAlive(pid), { timeout: 5_000 }).toBe(false);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
