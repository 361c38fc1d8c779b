// @ts-check
import { REPORT_PATH_VARIABLE, writeTestReport } from './test-report.mjs';

/**
 * Reports a run of Node's own test runner to `npm test`.
 *
 * @param {AsyncIterable<{ type: string, data: any }>} source
 */
export default async function* report(source) {
  let passed = 0;
  const failures = [];
  const skips = [];

  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    // Groups, and the files themselves, only repeat what their tests said, unless they failed by themselves.
    const isGroup = data.details?.type === 'suite' || data.name === data.file;
    const error = data.details?.error;
    if (type === 'test:fail') {
      if (error?.failureType === 'subtestsFailed') continue;
      if (data.todo !== undefined) skips.push({ name: data.name, reason: `still to do ${data.todo}` });
      else failures.push({ name: data.name, message: error?.cause?.message ?? error?.message ?? 'failed' });
    } else if (data.skip !== undefined) {
      skips.push({
        name: data.name,
        reason:
          typeof data.skip === 'string' && data.skip !== '' ? data.skip : 'of a reason that the test does not give',
      });
    } else if (!isGroup) {
      passed += 1;
    }
  }
  const path = process.env[REPORT_PATH_VARIABLE];
  if (path !== undefined) writeTestReport(path, { passed, failures, skips });
  yield '';
}
