// @ts-check
import { REPORT_PATH_VARIABLE, writeTestReport } from './test-report.mjs';
/** @import { Reporter, TestModule, TestSuite } from 'vitest/node' */

/**
 * Reports a vitest run to `npm test`. Counts what the plain number of tests hides: files that do not load, hooks that
 * fail, errors outside of tests, and tests that never ended.
 *
 * @implements {Reporter}
 */
export default class NpmTestReporter {
  /**
   * @param {readonly TestModule[]} testModules
   * @param {readonly { message: string }[]} unhandledErrors
   */
  onTestRunEnd(testModules, unhandledErrors) {
    const path = process.env[REPORT_PATH_VARIABLE];
    if (path === undefined) return;
    let passed = 0;
    const failures = unhandledErrors.map(({ message }) => ({ name: 'outside of any test', message }));
    const skips = [];

    for (const testModule of testModules) {
      const file = testModule.relativeModuleId;
      failures.push(...containerFailures(file, testModule));
      for (const suite of testModule.children.allSuites()) {
        failures.push(...containerFailures(`${file} > ${suite.fullName}`, suite));
      }
      for (const testCase of testModule.children.allTests()) {
        const result = testCase.result();
        const name = `${file} > ${testCase.fullName}`;
        if (result.state === 'passed') passed += 1;
        else if (result.state === 'failed') failures.push({ name, message: result.errors[0]?.message ?? 'failed' });
        else if (result.state === 'skipped') skips.push(skipOf(name, result.note));
        else failures.push({ name, message: 'did not end' });
      }
    }
    writeTestReport(path, { passed, failures, skips });
  }
}

/**
 * @param {string} name
 * @param {TestModule | TestSuite} container
 */
function containerFailures(name, container) {
  return container.errors().map(({ message }) => ({ name, message }));
}

/**
 * @param {string} name
 * @param {string | undefined} note
 */
function skipOf(name, note) {
  // A whole suite can carry its reason in its name only (tools/test-support).
  const marked = /^(.*) \[skipped: (.*?)\](.*)$/s.exec(name);
  if (marked !== null) return { name: `${marked[1]}${marked[3]}`, reason: marked[2] ?? '' };
  return { name, reason: note ?? 'of a reason that the test does not give' };
}
