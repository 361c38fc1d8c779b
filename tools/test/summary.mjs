// @ts-check
/** @import { TestReport } from './test-report.mjs' */

/** @typedef {{ exitCode: 0 | 1, lines: readonly string[] }} Summary */

/**
 * Adds up what all runners and steps reported. The last line is the result and nothing else.
 *
 * @param {readonly TestReport[]} reports
 * @returns {Summary}
 */
export function summarize(reports) {
  const passed = reports.reduce((sum, report) => sum + report.passed, 0);
  const failures = reports.flatMap((report) => report.failures);
  const skips = reports.flatMap((report) => report.skips);
  const lines = [];

  if (skips.length > 0) {
    lines.push('', 'Skipped:');
    for (const [reason, names] of groupByReason(skips)) {
      const shown = names.length > MOST_NAMES ? countByFile(names) : names;
      lines.push(`  ${names.length} because ${reason}:`, ...shown.map((name) => `  - ${name}`));
    }
  }
  // After all else, because the end is what is kept of a long output.
  if (failures.length > 0) {
    lines.push('', 'Failed:', ...failures.map(({ name, message }) => `  - ${name}: ${shorten(message)}`));
  }
  lines.push('', `${passed} passed, ${failures.length} failed${skips.length > 0 ? `, ${skips.length} skipped` : ''}`);
  // A run in which nothing was checked proves nothing.
  return { exitCode: failures.length > 0 || passed === 0 ? 1 : 0, lines };
}

const LINES_OF_A_MESSAGE = 30;
/** Of tests skipped for one reason, before they are only counted. */
const MOST_NAMES = 60;

/**
 * Enough of a failure to understand it where only the end of the output is kept.
 *
 * @param {string} message
 */
function shorten(message) {
  const lines = message.trim().split('\n');
  const shown = lines.slice(0, LINES_OF_A_MESSAGE);
  if (lines.length > shown.length) shown.push(`(${lines.length - shown.length} more lines)`);
  return shown.join('\n      ');
}

/**
 * @param {readonly string[]} names Of tests, beginning with their file.
 * @returns {readonly string[]}
 */
function countByFile(names) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const name of names) {
    const file = name.split(' > ', 1)[0] ?? name;
    counts.set(file, (counts.get(file) ?? 0) + 1);
  }
  return [...counts].map(([file, count]) => `${file} (${count})`);
}

/** @param {readonly { name: string, reason: string }[]} skips */
function groupByReason(skips) {
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const { name, reason } of skips) {
    const names = groups.get(reason);
    if (names === undefined) groups.set(reason, [name]);
    else names.push(name);
  }
  return groups;
}
