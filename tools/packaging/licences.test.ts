import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { repositoryRoot } from '../setup/tool-environment.mjs';
import { isAllowedLicence, type LicensedPackage, listLicences } from './licences.js';
import { workspacePackages } from './public-packages.js';

let licences: readonly LicensedPackage[];
beforeAll(async () => {
  licences = await listLicences(workspacePackages());
});

test('every dependency at run time has a licence that asks for no more than to keep its notice', () => {
  expect(licences.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['dockerode', '@grpc/grpc-js', 'modern-tar']),
  );
  const others = licences.filter(({ licence }) => !isAllowedLicence(licence));
  expect(others, 'read these licences, then allow them in tools/packaging/licences.ts or leave the package').toEqual(
    [],
  );
});

test('a licence is allowed only when all of what it asks for is', () => {
  expect(['MIT', '(MIT OR GPL-3.0)', '(Apache-2.0 AND BSD-3-Clause)'].map(isAllowedLicence)).toEqual([
    true,
    true,
    true,
  ]);
  expect(['GPL-3.0', 'MIT AND GPL-3.0', 'Unknown', ''].map(isAllowedLicence)).toEqual([false, false, false, false]);
});

test('docs/licences.md lists them', async () => {
  const rows = licences.map(({ name, versions, licence }) => `| ${name} | ${versions.join(', ')} | ${licence} |`);
  const page = `# Licences

crikit is under [Apache-2.0](../LICENSE). This is everything that its packages need at run time, directly or not, in the
versions of the lock file; an installation has what its own versions of them say. Written by \`npm run records\`.

| package | versions | licence |
| --- | --- | --- |
${rows.join('\n')}
`;
  await expect(
    page,
    'The dependencies are not what docs/licences.md says: run `npm run records` and commit it.',
  ).toMatchFileSnapshot(join(repositoryRoot, 'docs', 'licences.md'));
});
