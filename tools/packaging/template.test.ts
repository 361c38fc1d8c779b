import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
  for (const name of ['package.json', 'src/example.ts', 'src/example-api.ts', 'test/conformance.test.mjs']) {
    const path = join(copy, name);
    const renamed = readFileSync(path, 'utf8')
      .replaceAll('crikit-engine-example', 'crikit-engine-acme')
      .replaceAll("type: 'example'", "type: 'acme'")
      .replaceAll("type === 'example'", "type === 'acme'")
      .replaceAll('`example:', '`acme:');
    writeFileSync(path, renamed);
  }
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

test('the package that would be published holds what its users need', async () => {
  const listing = JSON.parse(await run('npm', ['pack', '--json', '--dry-run'], copy)) as [
    { files: { path: string }[] },
  ];
  const paths = listing[0].files.map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(['package.json', 'README.md', 'dist/index.js', 'dist/index.d.ts']));
  expect(paths.filter((path) => /^(src|test)\//.test(path))).toEqual([]);
});
