// @ts-check
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * What a test runner's reporter hands back to `npm test`, whichever runner it was.
 *
 * @typedef {object} TestReport
 * @property {number} passed
 * @property {readonly { name: string, message: string }[]} failures
 * @property {readonly { name: string, reason: string }[]} skips
 */

/** Where a reporter writes its report; without it the reporter does nothing. */
export const REPORT_PATH_VARIABLE = 'CRIKIT_TEST_REPORT';

/**
 * @param {string} path
 * @param {TestReport} report
 */
export function writeTestReport(path, report) {
  writeFileSync(path, JSON.stringify(report));
}

/**
 * Joins what a runner reported with how its process ended, so that no failure is lost: a runner that broke before it
 * could report, or that failed for a reason none of its tests shows, is a failure of its own.
 *
 * @param {string} name The runner, for the list of failures.
 * @param {string} path
 * @param {{ ok: boolean, reason: string | undefined }} outcome
 * @returns {TestReport}
 */
export function readTestReport(name, path, outcome) {
  /** @type {TestReport} */
  let report;
  try {
    report = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    const message = `the runner left no report (${outcome.reason ?? 'exit code 0'})`;
    return { passed: 0, failures: [{ name, message }], skips: [] };
  }
  if (!outcome.ok && report.failures.length === 0) {
    const message = `the runner failed though no test did (${outcome.reason ?? 'no reason given'})`;
    return { ...report, failures: [{ name, message }] };
  }
  return report;
}
