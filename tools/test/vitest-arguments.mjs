// @ts-check
import { join } from 'node:path';
import { repositoryRoot } from '../setup/tool-environment.mjs';

/**
 * What Node is given to run one of vitest.config.ts's projects, with a report for `npm test` beside what it prints.
 *
 * @param {string} project
 * @param {readonly string[]} more
 */
export function vitestArguments(project, more) {
  return [
    join(repositoryRoot, 'node_modules', 'vitest', 'vitest.mjs'),
    ...['run', '--project', project, '--passWithNoTests'],
    ...['--reporter=default', `--reporter=${join(import.meta.dirname, 'vitest-reporter.mjs')}`],
    ...more,
  ];
}
