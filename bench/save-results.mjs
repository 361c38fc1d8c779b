// @ts-check
// What the last run of each benchmark gave: results/NAME.json, and a page with charts made of all of them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { drawChart } from './draw-chart.mjs';

/** @import { Results } from './measure.mjs' */

/**
 * @typedef {object} Machine
 * @property {string} cpu
 * @property {number} cores
 * @property {number} memoryGiB
 * @property {string} kernel
 * @property {string} node
 */
/**
 * @typedef {object} BenchmarkRecord
 * @property {string} name
 * @property {string} measuredAt
 * @property {string} commit with a `+` when files differ from it
 * @property {number} loadBefore running processes, the mean of the minute before: more than 1 disturbs
 * @property {Machine} machine
 * @property {readonly Results[]} tables
 */

export const resultsFolder = join(import.meta.dirname, 'results');

/** @returns {Machine} */
export function describeMachine() {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    kernel: release(),
    node: process.version,
  };
}

/**
 * @param {string} name
 * @param {readonly Results[]} tables
 * @param {number} loadBefore
 */
export function saveResults(name, tables, loadBefore) {
  mkdirSync(resultsFolder, { recursive: true });
  /** @type {BenchmarkRecord} */
  const record = {
    name,
    measuredAt: `${new Date().toISOString().slice(0, 16)}Z`,
    commit: currentCommit(),
    loadBefore: round(loadBefore),
    machine: describeMachine(),
    tables: tables.map(({ title, rows }) => ({
      title,
      rows: rows.map((row) => row.map((cell) => (typeof cell === 'number' ? round(cell) : cell))),
    })),
  };
  writeFileSync(join(resultsFolder, `${name}.json`), `${JSON.stringify(record, null, 2)}\n`);
}

/** The load of the minute that ends now. */
export function currentLoad() {
  return loadavg()[0] ?? Number.NaN;
}

/** @returns {BenchmarkRecord[]} by the order of `names`; what was never measured is left out */
export function readResults(/** @type {readonly string[]} */ names) {
  const present = new Set(readdirSync(resultsFolder).filter((file) => file.endsWith('.json')));
  return names
    .filter((name) => present.has(`${name}.json`))
    .map((name) => JSON.parse(readFileSync(join(resultsFolder, `${name}.json`), 'utf8')));
}

/** Writes results/README.md and its charts anew. */
export function writeResultsPage(/** @type {readonly string[]} */ names) {
  const records = readResults(names);
  for (const file of readdirSync(resultsFolder)) if (file.endsWith('.svg')) rmSync(join(resultsFolder, file));
  writeFileSync(join(resultsFolder, 'README.md'), resultsPage(records));
  for (const { file, svg } of records.flatMap(chartsOf)) writeFileSync(join(resultsFolder, file), svg);
}

/** @param {readonly BenchmarkRecord[]} records */
export function resultsPage(records) {
  const wanted = records.flatMap(({ tables }) => tables.flatMap(verdictsOf));
  const met = wanted.filter((verdict) => verdict.met).length;
  const lines = [
    '# Results of the last runs',
    '',
    'Written by `npm run bench`; [how it is measured](../../docs/performance.md). Ratios are of one run, side by side.',
    '',
    `${met} of ${wanted.length} bounds met.`,
    '',
    ...table([
      ['what', 'against', 'measured', 'wanted', 'met'],
      ...wanted.map(({ title, what, value, bound, met }) => [
        title,
        what,
        format(value),
        bound,
        met ? 'yes' : '**no**',
      ]),
    ]),
    '',
  ];
  for (const record of records) {
    const { machine } = record;
    lines.push(
      `## ${record.name}`,
      '',
      `${record.measuredAt}, commit ${record.commit}, load before ${record.loadBefore}; ${machine.cores} × ${machine.cpu}, ` +
        `${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node}`,
      '',
    );
    const charts = new Map(chartsOf(record).map((chart) => [chart.title, chart.file]));
    for (const { title, rows } of record.tables) {
      lines.push(`### ${title}`, '', ...table(rows.map((row) => row.map(format))), '');
      const file = charts.get(title);
      if (file !== undefined) lines.push(`![${title}](${file})`, '');
    }
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

/**
 * The rows that have a bound: their last three cells are value, bound and whether it was met.
 *
 * @param {Results} results
 */
export function verdictsOf({ title, rows }) {
  const header = rows[0] ?? [];
  const column = header.indexOf('wanted');
  if (column < 1) return [];
  return rows.slice(1).flatMap((row) => {
    const value = row[column - 1];
    const bound = row[column];
    if (typeof value !== 'number' || typeof bound !== 'string' || bound === '') return [];
    return [{ title, what: String(row[0]).trim(), value, bound, met: row[column + 1] === 'yes' }];
  });
}

/** @param {BenchmarkRecord} record */
function chartsOf({ name, tables }) {
  return tables.flatMap(({ title, rows }, index) => {
    const column = rows[0]?.indexOf('median') ?? -1;
    const bars = rows.slice(1).flatMap((row) => {
      const value = row[column];
      return column > 0 && typeof value === 'number' ? [{ label: String(row[0]).trim(), value }] : [];
    });
    if (bars.length < 2) return [];
    return [{ title, file: `${name}-${index + 1}.svg`, svg: drawChart(title, bars) }];
  });
}

/** @param {readonly (readonly string[])[]} rows */
function table(rows) {
  const [header = [], ...rest] = rows;
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.map((cell) => cell.trim()).join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rest.map(line)];
}

/** @param {string | number} cell */
function format(cell) {
  return typeof cell === 'number' ? String(round(cell)) : cell;
}

/** Three digits: more would pretend to be known. */
function round(/** @type {number} */ value) {
  return Number(value.toPrecision(3));
}

function currentCommit() {
  const git = (/** @type {string[]} */ ...args) =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--', '..', ':(exclude)results') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${changed ? '+' : ''}`;
  } catch {
    return 'unknown';
  }
}
