// @ts-check
// `npm test`: everything from install to clean-up, on a machine that has no more than Node, npm and git.
// Usage and rules are in CONTRIBUTING.md.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createKubeletStylePod } from '../lab/lab.mjs';
import { buildPackages, installDependencies } from '../setup/prepare-workspace.mjs';
import { runCommand } from '../setup/run-command.mjs';
import { repositoryRoot, toolEnvironment } from '../setup/tool-environment.mjs';
import { packageReportPath } from './package-report-path.mjs';
import { parseTestArguments } from './parse-test-arguments.mjs';
import { summarize } from './summary.mjs';
import { startTestLab } from './test-lab.mjs';
import { REPORT_PATH_VARIABLE, readTestReport } from './test-report.mjs';
import { vitestArguments } from './vitest-arguments.mjs';

/** @import { CommandOutcome } from '../setup/run-command.mjs' */
/** @import { TestReport } from './test-report.mjs' */

const MINUTE = 60_000;
const isCi = process.env.CI !== undefined && process.env.CI !== '' && process.env.CI !== 'false';
// The next release's engines are a large download: elsewhere their tests are skipped, unless a lab runs them.
const ENGINES = ['docker', 'containerd', 'podman'];
/** Has to be downloaded first. */
const LONG_ENGINES = ['containerd-next'];
/**
 * Files of tests at a time; those that need engines have a lab for each. Two cores have work for three, and then none to
 * spare: CI would rather be steady.
 */
const FILES_AT_ONCE = isCi ? 2 : 3;
const ONE_BY_ONE = new Set(['long', 'matrix']);

const interruption = new AbortController();
for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(name, () => {
    if (!interruption.signal.aborted) console.log(`\n${name}: ending what runs, then the lab`);
    interruption.abort();
  });
}
const { signal } = interruption;

const { selected, filters } = readArguments();
const reportFolder = mkdtempSync(join(tmpdir(), 'crikit-test-reports-'));
/** @type {TestReport[]} */
const reports = [];
/** @type {TestReport[]} */
const testReports = [];

await runAll();
requireFilterMatch();
rmSync(reportFolder, { recursive: true, force: true });
const { exitCode, lines } = summarize(reports);
process.exitCode = exitCode;
process.stdout.write(`${lines.join('\n')}\n`);

async function runAll() {
  if (!(await check('install', () => installDependencies(signal)))) return;

  const needsBuild = ['types', 'integration', 'packaging', 'examples', 'long', 'matrix'].some((part) =>
    selected.has(/** @type {any} */ (part)),
  );
  const built = !needsBuild || (await check('build', () => buildPackages(signal)));

  if (selected.has('lint')) await check('lint', () => runTool('biome', ['check', '.'], 5 * MINUTE));
  if (selected.has('types')) {
    await check('types of the packages', () =>
      runTool('turbo', ['run', 'typecheck', '--output-logs=errors-only', '--concurrency=2', '--continue'], 10 * MINUTE),
    );
    await check('types of the tools', () => runTool('tsc', ['-p', 'tools/tsconfig.json'], 5 * MINUTE));
  }
  if (selected.has('unit')) await runUnitTests();
  if (selected.has('lab')) await runNodeTests('lab', join('tools', 'lab'), 5 * MINUTE);
  if (!built) {
    for (const part of /** @type {const} */ (['integration', 'packaging', 'examples', 'long', 'matrix'])) {
      if (selected.has(part)) fail(part, 'did not run, because the build failed');
    }
    return;
  }
  if (['integration', 'examples', 'long'].some((part) => selected.has(/** @type {any} */ (part))))
    await runWithEngines();
  if (selected.has('packaging')) await runVitest('packaging', 10 * MINUTE);
  if (selected.has('matrix')) await runVitest('matrix', 20 * MINUTE);
}

/** A filter that fits no file of any selected part is a mistake; one that fits some is not. */
function requireFilterMatch() {
  const fitted = testReports.some(({ passed, failures, skips }) => passed + failures.length + skips.length > 0);
  if (filters.length > 0 && testReports.length > 0 && !fitted) {
    fail('tests', `there is none in a file whose path contains ${filters.join(' or ')}`);
  }
}

async function runWithEngines() {
  const engines = selected.has('long') ? [...ENGINES, ...LONG_ENGINES] : ENGINES;
  announce(`engines: ${engines.join(', ')}`);
  const lab = await startTestLab(engines, selected.has('integration') ? FILES_AT_ONCE : 1, signal);
  try {
    if (lab.missing !== undefined) {
      console.log(`no engines: ${lab.missing}`);
      if (isCi && !signal.aborted) fail('engines', `could not start, and CI needs them: ${lab.missing}`);
    }
    if (selected.has('integration')) await runVitest('integration', 20 * MINUTE, lab.environment);
    if (selected.has('long')) await runVitest('long', 60 * MINUTE, lab.environment);
    if (selected.has('examples')) await runExamples(lab.environment, lab.missing);
  } finally {
    announce('engines down');
    const trouble = await lab.end();
    if (trouble !== undefined) fail('engines down', trouble);
  }
}

/**
 * @param {string} project
 * @param {number} timeoutMs
 * @param {NodeJS.ProcessEnv} [environment]
 * @param {readonly string[]} [paths] Default: those that were asked for.
 */
async function runVitest(project, timeoutMs, environment = {}, paths = filters) {
  await runReporting(project, (env) =>
    runCommand(
      process.execPath,
      vitestArguments(project, [...(ONE_BY_ONE.has(project) ? [] : [`--maxWorkers=${FILES_AT_ONCE}`]), ...paths]),
      { cwd: repositoryRoot, env: { ...env, ...environment }, timeoutMs, signal },
    ),
  );
}

/** Those of packages that have not changed since they passed are not run again, by turbo's cache, unless asked for by path. */
async function runUnitTests() {
  // Histories that are new each time are in no cache.
  if (filters.length > 0 || process.env.CRIKIT_MODEL_SEED !== undefined) {
    await runVitest('unit', 10 * MINUTE);
    return;
  }
  const name = 'unit tests of the packages';
  const packages = readdirSync(join(repositoryRoot, 'packages')).map((folder) => `packages/${folder}`);
  const paths = packages.map((folder) => packageReportPath(join(repositoryRoot, folder)));
  // What turbo does not bring back and no test writes anew is missed below.
  for (const path of paths) rmSync(path, { force: true });
  announce(name);
  const startedAt = performance.now();
  const outcome = await runCommand(
    'turbo',
    ['run', 'test', '--continue', `--concurrency=${isCi ? 1 : 2}`, '--output-logs=new-only', '--log-prefix=none'],
    {
      cwd: repositoryRoot,
      // In the key of the cache.
      env: { ...toolEnvironment(), CRIKIT_TESTED_ON: `${process.version} ${process.arch} ${process.getuid?.()}` },
      timeoutMs: 15 * MINUTE,
      signal,
    },
  );
  announceEnd(name, startedAt, outcome);
  const told = packages.map((folder, index) =>
    readTestReport(folder, paths[index] ?? '', { ok: true, reason: outcome.reason }),
  );
  reports.push(...told);
  testReports.push(...told);
  if (!outcome.ok && told.every(({ failures }) => failures.length === 0)) fail(name, outcome.reason ?? 'failed');
  await runVitest('unit', 5 * MINUTE, {}, ['tools/']);
}

/**
 * Runs `*.test.mjs` by Node's own test runner: for tools that must work before anything is installed.
 *
 * @param {string} name
 * @param {string} folder
 * @param {number} timeoutMs
 */
async function runNodeTests(name, folder, timeoutMs) {
  const files = readdirSync(join(repositoryRoot, folder)).filter((file) => file.endsWith('.test.mjs'));
  if (files.length === 0) return;
  await runReporting(name, (env) =>
    runCommand(
      process.execPath,
      [
        ...['--test', '--test-reporter=spec', '--test-reporter-destination=stdout'],
        ...[
          `--test-reporter=${join(import.meta.dirname, 'node-test-reporter.mjs')}`,
          '--test-reporter-destination=stderr',
        ],
        ...files.map((file) => join(folder, file)),
      ],
      { cwd: repositoryRoot, env, timeoutMs, signal },
    ),
  );
}

/**
 * Runs the `start` script of every example with the lab's engines as the machine's, and a pod to look at. Its exit
 * code is the check.
 *
 * @param {NodeJS.ProcessEnv} environment
 * @param {string | undefined} missing
 */
async function runExamples(environment, missing) {
  const folder = join(repositoryRoot, 'examples');
  const names = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'package.json')));
  if (missing !== undefined) {
    const skips = names.map((name) => ({ name: `example ${name}`, reason: missing }));
    reports.push({ passed: 0, failures: [], skips });
    return;
  }
  const { docker, containerd } = readLabEngines(environment);
  if (docker === undefined || containerd === undefined) throw new Error('the lab runs no docker or no containerd');
  const { socketPath } = docker;
  // For the example of sockets.
  const serve = 'mkdir /www; echo hello >/www/index.html; exec httpd -f -p 127.0.0.1:8080 -h /www';
  const pod = await createKubeletStylePod(socketPath, {
    namespace: 'examples',
    name: 'web-0',
    containers: [{ name: 'main', cmd: ['sh', '-c', serve] }, { name: 'sidecar' }],
  });
  try {
    for (const name of names) {
      await check(`example ${name}`, () =>
        runCommand('pnpm', ['--silent', 'run', 'start'], {
          cwd: join(folder, name),
          env: {
            ...toolEnvironment(),
            ...environment,
            DOCKER_HOST: `unix://${socketPath}`,
            CONTAINERD_ADDRESS: containerd.socketPath,
          },
          timeoutMs: 2 * MINUTE,
          signal,
        }),
      );
    }
  } finally {
    await pod.remove();
  }
}

/** @param {NodeJS.ProcessEnv} environment */
function readLabEngines(environment) {
  const [path = ''] = environment.CRIKIT_LAB_STATE?.split(delimiter) ?? [];
  /** @type {import('../lab/lab.mjs').LabState} */
  const { engines } = JSON.parse(readFileSync(path, 'utf8'));
  return engines;
}

/**
 * @param {string} program
 * @param {readonly string[]} programArguments
 * @param {number} timeoutMs
 */
function runTool(program, programArguments, timeoutMs) {
  return runCommand(program, programArguments, { cwd: repositoryRoot, env: toolEnvironment(), timeoutMs, signal });
}

/**
 * Runs a step that is not a test runner: it counts as one check.
 *
 * @param {string} name
 * @param {() => Promise<CommandOutcome>} step
 */
async function check(name, step) {
  announce(name);
  const startedAt = performance.now();
  const outcome = await step();
  announceEnd(name, startedAt, outcome);
  if (outcome.ok) reports.push({ passed: 1, failures: [], skips: [] });
  else fail(name, outcome.reason ?? 'failed');
  return outcome.ok;
}

/**
 * @param {string} name
 * @param {(environment: NodeJS.ProcessEnv) => Promise<CommandOutcome>} run
 */
async function runReporting(name, run) {
  announce(name);
  const startedAt = performance.now();
  const path = join(reportFolder, `${name}.json`);
  const outcome = await run({ ...toolEnvironment(), [REPORT_PATH_VARIABLE]: path });
  announceEnd(name, startedAt, outcome);
  const report = readTestReport(name, path, outcome);
  reports.push(report);
  testReports.push(report);
}

/**
 * @param {string} name
 * @param {string} message
 */
function fail(name, message) {
  reports.push({ passed: 0, failures: [{ name, message }], skips: [] });
}

/** @param {string} name */
function announce(name) {
  console.log(`\n=== ${name}`);
}

/**
 * @param {string} name
 * @param {number} startedAt
 * @param {CommandOutcome} outcome
 */
function announceEnd(name, startedAt, outcome) {
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  console.log(`=== ${name}: ${outcome.ok ? 'ok' : `failed, ${outcome.reason}`} (${seconds} s)`);
}

function readArguments() {
  try {
    return parseTestArguments(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}
