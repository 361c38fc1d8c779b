import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCommand } from '../setup/run-command.mjs';
import { repositoryRoot, toolEnvironment } from '../setup/tool-environment.mjs';
import { REPORT_PATH_VARIABLE, readTestReport } from './test-report.mjs';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'crikit-runner-test-'));
  symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function report(runnerArguments: readonly string[]) {
  const path = join(folder, 'report.json');
  // Node's runner tells its children by this variable that they are its children; these are not.
  const { NODE_TEST_CONTEXT: _, ...environment } = toolEnvironment();
  for (const name of Object.keys(environment)) if (name.startsWith('VITEST')) delete environment[name];
  const outcome = await runCommand(process.execPath, runnerArguments, {
    cwd: folder,
    env: { ...environment, [REPORT_PATH_VARIABLE]: path },
    output: 'collect',
    timeoutMs: 60_000,
  });
  return { outcome, report: readTestReport('runner', path, outcome) };
}

function runVitest() {
  return report([
    join(repositoryRoot, 'node_modules', 'vitest', 'vitest.mjs'),
    ...['run', '--root', folder, '--passWithNoTests', `--reporter=${join(import.meta.dirname, 'vitest-reporter.mjs')}`],
  ]);
}

function runNodeTest(file: string) {
  return report([
    ...['--test', `--test-reporter=${join(import.meta.dirname, 'node-test-reporter.mjs')}`],
    ...['--test-reporter-destination=stdout', file],
  ]);
}

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test('vitest: passed, failed and skipped tests are counted with names and reasons', async () => {
  write(
    'a.test.mjs',
    `import { describe, expect, it } from 'vitest';
    describe('group', () => {
      it('works', () => {});
      it('breaks', () => expect(1).toBe(2));
      it('gives a reason', (context) => context.skip('not today'));
      it.skip('gives none', () => {});
    });
    describe.skip('engine [skipped: no engine here]', () => { it('runs', () => {}); });`,
  );
  const { report } = await runVitest();
  expect(report.passed).toBe(1);
  expect(report.failures).toEqual([
    { name: 'a.test.mjs > group > breaks', message: expect.stringMatching(/1 to be 2/) },
  ]);
  expect(report.skips).toEqual([
    { name: 'a.test.mjs > group > gives a reason', reason: 'not today' },
    { name: 'a.test.mjs > group > gives none', reason: 'of a reason that the test does not give' },
    { name: 'a.test.mjs > engine > runs', reason: 'no engine here' },
  ]);
});

test('vitest: a file that does not load, a failing hook and an unhandled rejection are failures', async () => {
  write('load.test.mjs', `import './absent.mjs';`);
  write(
    'hook.test.mjs',
    `import { beforeAll, describe, it } from 'vitest';
    describe('suite', () => { beforeAll(() => { throw new Error('hook broke'); }); it('never runs', () => {}); });`,
  );
  write(
    'rejection.test.mjs',
    `import { it } from 'vitest';
    it('passes', async () => { Promise.reject(new Error('nobody listens')); await new Promise(setImmediate); });`,
  );
  const { report } = await runVitest();
  const messages = report.failures.map(({ message }) => message).join('\n');
  expect(messages).toMatch(/absent\.mjs/);
  expect(messages).toMatch(/hook broke/);
  expect(messages).toMatch(/nobody listens/);
  expect(report.failures).toHaveLength(3);
  expect(report.passed).toBe(1);
});

test('vitest: no test files is an empty report, not a failure', async () => {
  expect((await runVitest()).report).toEqual({ passed: 0, failures: [], skips: [] });
});

test('vitest: a runner that is killed leaves a failure', async () => {
  write('kill.test.mjs', `import { it } from 'vitest'; it('kills', () => { process.kill(process.ppid, 'SIGKILL'); });`);
  const { report } = await runVitest();
  expect(report).toEqual({
    passed: 0,
    failures: [{ name: 'runner', message: expect.stringMatching(/SIGKILL/) }],
    skips: [],
  });
});

test('node:test: passed, failed and skipped tests are counted, groups and files are not', async () => {
  const file = write(
    'a.test.mjs',
    `import { describe, it } from 'node:test';
    describe('group', () => {
      it('works', () => {});
      it('breaks', () => { throw new Error('broken'); });
      it('waits', { skip: 'not today' }, () => {});
    });
    it('works alone', () => {});`,
  );
  expect((await runNodeTest(file)).report).toEqual({
    passed: 2,
    failures: [{ name: 'breaks', message: 'broken' }],
    skips: [{ name: 'waits', reason: 'not today' }],
  });
});

test('node:test: a file that does not load is a failure', async () => {
  const { report } = await runNodeTest(write('load.test.mjs', `import './absent.mjs';`));
  expect(report.passed).toBe(0);
  expect(report.failures).toHaveLength(1);
});

test('node:test: a file that ends with an error after its tests passed is a failure', async () => {
  const file = write('late.test.mjs', `import { it } from 'node:test'; it('works', () => {}); process.exitCode = 3;`);
  const { report } = await runNodeTest(file);
  expect(report.passed).toBe(1);
  expect(report.failures).toHaveLength(1);
});
