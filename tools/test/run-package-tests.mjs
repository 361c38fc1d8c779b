// @ts-check
// The script `test` of each package: its unit tests. `npm test` calls it through turbo, which gives the report of the last
// run again where nothing that the tests read has changed since.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { repositoryRoot, toolEnvironment } from '../setup/tool-environment.mjs';
import { packageReportPath } from './package-report-path.mjs';
import { REPORT_PATH_VARIABLE } from './test-report.mjs';
import { vitestArguments } from './vitest-arguments.mjs';

const folder = relative(repositoryRoot, process.cwd());
if (!existsSync(join(repositoryRoot, folder, 'src'))) throw new Error(`${folder} is not the folder of a package`);
const path = packageReportPath(process.cwd());
mkdirSync(dirname(path), { recursive: true });
// In this process's group, unlike what runCommand starts: who ends turbo ends the tests with it.
const { status } = spawnSync(process.execPath, vitestArguments('unit', ['--maxWorkers=2', join(folder, 'src/')]), {
  cwd: repositoryRoot,
  env: { ...toolEnvironment(), [REPORT_PATH_VARIABLE]: path },
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
