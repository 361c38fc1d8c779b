import type { CheckResult } from './check-task.js';

/** As `engines.node` of the packages. */
const oldest: readonly [number, number] = [20, 19];

export function checkNode(version: string = process.versions.node): CheckResult {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isSupported = major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
  return {
    findings: [
      isSupported
        ? { id: 'node-supported', severity: 'ok', message: `Node ${version}.` }
        : {
            id: 'node-too-old',
            severity: 'failure',
            message: `Node ${version} is older than ${oldest.join('.')}.`,
            remedy: `Use Node ${oldest.join('.')} or newer.`,
          },
    ],
  };
}
