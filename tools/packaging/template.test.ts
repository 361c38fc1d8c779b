import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { repositoryRoot } from '../setup/tool-environment.mjs';
import { packPackage, publicPackages, run } from './public-packages.js';

const folder = mkdtempSync(join(tmpdir(), 'crikit-template-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A copy as somebody makes it: another folder, another name, packages as npm has them. */
const copy = join(folder, 'crikit-engine-acme');
beforeAll(async () => {
  const source = join(repositoryRoot, 'templates', 'engine');
  cpSync(source, copy, { recursive: true, filter: (path) => !/\/(node_modules|dist)$/.test(path) });
  await run('node', ['rename.mjs', 'acme'], copy);
  const tarballs = await Promise.all(
    publicPackages()
      .filter(({ name }) => name === '@crikit/core' || name === '@crikit/engine-conformance')
      .map((publicPackage) => packPackage(publicPackage, folder)),
  );
  const switches = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', '--save-dev', ...switches, ...tarballs], copy);
});

test('a copy of the template with another name builds, registers itself and passes the suites', async () => {
  const output = await run('npm', ['test'], copy);
  expect(output).toMatch(/crikit-engine-acme conforms/);
  expect(output).toMatch(/fail 0\b/);
  expect(Number(/pass (\d+)/.exec(output)?.[1])).toBeGreaterThan(30);
}, 300_000);

test('a copy that was renamed says nothing of the example', () => {
  const files = readdirSync(copy, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/\/(node_modules|dist)\/|package-lock/.test(path));
  expect(files.length).toBeGreaterThan(8);
  for (const path of files) expect(`${path}\n${readFileSync(path, 'utf8')}`).not.toMatch(/example/i);
});

test('the package that would be published holds what its users need', async () => {
  const listing = JSON.parse(await run('npm', ['pack', '--json', '--dry-run'], copy)) as [
    { files: { path: string }[] },
  ];
  const paths = listing[0].files.map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(['package.json', 'README.md', 'dist/index.js', 'dist/index.d.ts']));
  expect(paths.filter((path) => /^(src|test)\//.test(path))).toEqual([]);
});
