// @ts-check
// `npm run bench [-- NAME … --save]`: installs and builds what is missing, starts a private engine, prints tables.
import { fork } from 'node:child_process';
import { cpus, release } from 'node:os';
import { down, labDirectory, up } from '../tools/lab/lab.mjs';
import { buildPackages, installDependencies } from '../tools/setup/prepare-workspace.mjs';

/** @import { Results } from './measure.mjs' */

const known = [
  'import',
  'exec',
  'files',
  'copy',
  'enrichment',
  'sync',
  'refresh',
  'cpu',
  'containerd',
  'pods',
  'store',
  'sessions',
  'cli',
];
const needContainers = new Set(['sync', 'refresh', 'cpu']);

const save = process.argv.includes('--save');
const wanted = process.argv.slice(2).filter((argument) => argument !== '--save');
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are ${known.join(', ')}.`);
  process.exit(2);
}
const names = wanted.length > 0 ? wanted : known;

// A lab of its own: one that somebody keeps up for other work is left alone.
process.env.CRIKIT_LAB_DIR ??= `${labDirectory()}-b`;

const interruption = new AbortController();
for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(name, () => interruption.abort());
for (const step of [installDependencies, buildPackages]) {
  const outcome = await step(interruption.signal, 'collect');
  if (!outcome.ok) throw new Error(`the set-up failed, ${outcome.reason}\n${outcome.output}`);
}
console.log(`Node ${process.version}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`);

const { printResults } = await import('./measure.mjs');
const { currentLoad, saveResults, verdictsOf, writeResultsPage } = await import('./save-results.mjs');
/** @type {ReturnType<typeof verdictsOf>} */
const verdicts = [];

/**
 * @param {string} name
 * @param {...unknown} engineArguments
 */
async function run(name, ...engineArguments) {
  const loadBefore = currentLoad();
  const results = await runAlone(name, engineArguments);
  verdicts.push(...results.flatMap(verdictsOf));
  if (save) saveResults(name, results, loadBefore);
}

/**
 * @param {string} name
 * @param {readonly unknown[]} engineArguments
 * @returns {Promise<readonly Results[]>}
 */
function runAlone(name, engineArguments) {
  return new Promise((resolve, reject) => {
    const child = fork(new URL('./run-one.mjs', import.meta.url), [name], { serialization: 'advanced' });
    /** @type {readonly Results[] | undefined} */
    let results;
    child.on('message', (message) => {
      results = /** @type {readonly Results[]} */ (message);
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (results !== undefined && code === 0) resolve(results);
      else reject(new Error(`the benchmark ${name} ended with ${signal ?? code}`));
    });
    child.send([...engineArguments]);
  });
}

// `containerd` starts an engine of its own.
const needNoDocker = new Set(['import', 'containerd', 'pods', 'store']);
const engines = names.some((name) => !needNoDocker.has(name)) ? (await up({ engines: ['docker'] })).engines : {};
try {
  for (const name of names.filter((each) => !needContainers.has(each))) await run(name, engines.docker);
  const many = names.filter((name) => needContainers.has(name));
  if (many.length > 0 && engines.docker !== undefined) {
    const { docker } = engines;
    const { withTwoHundredContainers } = await import('./two-hundred-containers.mjs');
    await withTwoHundredContainers(docker.socketPath, async (ids) => {
      for (const name of many) await run(name, docker, ids);
    });
  }
} finally {
  await down({ engines: ['docker'] });
}
printResults('all that has a bound', [
  ['what', 'against', 'measured', 'wanted', 'met'],
  ...verdicts.map(({ title, what, value, bound, met }) => [title, what, value, bound, met ? 'yes' : 'NO']),
]);
if (save) writeResultsPage(known);
