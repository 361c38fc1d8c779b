// @ts-check
import { join } from 'node:path';

/**
 * Where the unit tests of a package leave their report. turbo.json names it too.
 *
 * @param {string} packageFolder
 */
export function packageReportPath(packageFolder) {
  return join(packageFolder, '.turbo', 'unit-report.json');
}
