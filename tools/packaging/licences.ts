import { pnpmCommand } from '../setup/pnpm-command.mjs';
import { repositoryRoot } from '../setup/tool-environment.mjs';
import { run, type WorkspacePackage } from './public-packages.js';

export interface LicensedPackage {
  readonly name: string;
  readonly versions: readonly string[];
  /** As the package states it: an SPDX expression. */
  readonly licence: string;
}

// Each lets a program under any licence use the package, and asks for no more than to keep the notice. What is not
// here may be fine too, but somebody has to read it first.
const allowed = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',

  'MIT',
  'Python-2.0',
  'Unlicense',
]);

/** Everything that the given packages need at run time, directly or not, by the lock file. */
export async function listLicences(packages: readonly WorkspacePackage[]): Promise<readonly LicensedPackage[]> {
  const { command, leadingArguments } = pnpmCommand();
  const filters = packages.flatMap(({ name }) => ['--filter', name]);
  const output = await run(
    command,
    [...leadingArguments, ...filters, 'licenses', 'list', '--prod', '--json'],
    repositoryRoot,
  );
  const byLicence = JSON.parse(output) as Readonly<Record<string, readonly { name: string; versions: string[] }[]>>;
  return Object.entries(byLicence)
    .flatMap(([licence, found]) => found.map(({ name, versions }) => ({ name, versions: versions.sort(), licence })))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** Whether a licence expression can be met by allowed licences alone. */
export function isAllowedLicence(expression: string): boolean {
  const parts = expression.replaceAll(/[()]/g, '').split(' AND ');
  return parts.every((part) => part.split(' OR ').some((licence) => allowed.has(licence.trim())));
}
