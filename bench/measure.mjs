// @ts-check
import { printTable } from '../tools/print-table.mjs';

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/**
 * Runs the contestants `rounds` times: each once in a round, so that a machine that drifts does so for all of them alike,
 * and in an order by lot, so that none always bears what the same other one has left behind.
 * @param {Readonly<Record<string, () => Promise<unknown>>>} contestants
 * @param {{ rounds: number, warmUps?: number }} options
 * @returns {Promise<Record<string, number[]>>} milliseconds
 */
export async function inTurn(contestants, { rounds, warmUps = 2 }) {
  /** @type {Record<string, number[]>} */
  const times = {};
  for (let round = -warmUps; round < rounds; round += 1) {
    for (const [name, run] of drawLots(Object.entries(contestants))) {
      const start = process.hrtime.bigint();
      await run();
      const elapsedMs = Number(process.hrtime.bigint() - start) / 1e6;
      times[name] ??= [];
      if (round >= 0) times[name].push(elapsedMs);
    }
  }
  return times;
}

/**
 * @template Item
 * @param {readonly Item[]} items
 */
function drawLots(items) {
  return items
    .map((item) => ({ item, lot: Math.random() }))
    .sort((a, b) => a.lot - b.lot)
    .map(({ item }) => item);
}

/**
 * The median of the ratios round by round: what a drifting machine disturbs least.
 * @param {readonly number[]} ours
 * @param {readonly number[]} theirs
 */
export function ratio(ours, theirs) {
  return median(ours.map((value, index) => value / (theirs[index] ?? Number.NaN)));
}

/** @typedef {{ title: string, rows: readonly (readonly (string | number)[])[] }} Results rows: first the header */

/** @type {Results[]} */
const printed = [];

/** What was printed since the last call. */
export function takePrintedResults() {
  return printed.splice(0);
}

/**
 * @param {string} title
 * @param {readonly (readonly (string | number)[])[]} rows first the header
 */
export function printResults(title, rows) {
  printed.push({ title, rows });
  console.log(`\n${title}`);
  printTable(rows, { alignRight: true });
}

/**
 * Ratio, bound and verdict as cells of a row.
 * @param {number} value
 * @param {'<=' | '>='} comparison
 * @param {number} bound
 */
export function verdict(value, comparison, bound) {
  const met = comparison === '<=' ? value <= bound : value >= bound;
  return [value, `${comparison} ${bound}`, met ? 'yes' : 'NO'];
}
