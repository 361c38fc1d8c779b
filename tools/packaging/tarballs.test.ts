import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packPackage, publicPackages, run } from './public-packages.js';

const folder = mkdtempSync(join(tmpdir(), 'crikit-tarballs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(publicPackages())('$name', (publicPackage) => {
  let tarball: string;
  let entries: readonly string[];

  beforeAll(async () => {
    tarball = await packPackage(publicPackage, folder);
    const listing = await run('tar', ['-tzf', tarball], folder);
    entries = listing
      .trim()
      .split('\n')
      .map((entry) => entry.replace(/^package\//, ''));
  });

  test('holds the built code, and nothing that its users do not need', () => {
    const others = entries.filter((entry) => !entry.startsWith('dist/'));
    expect(entries).toEqual(expect.arrayContaining(['dist/index.js', 'dist/index.d.ts']));
    expect(others.sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'package.json']);
    expect(entries.filter((entry) => /\.(test|test-d)\.|fixtures?\//.test(entry))).toEqual([]);
  });

  test('names no dependency in a way that only this repository understands', async () => {
    const manifest = await run('tar', ['-xzOf', tarball, 'package/package.json'], folder);
    expect(manifest).not.toMatch(/"(workspace|link|file|catalog):/);
  });

  test('is clean for publint', async () => {
    const { messages, pkg } = await publint({ pack: { tarball: tarballBytes(tarball) } });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  test('has types that attw finds right, for ESM and for bundlers', async () => {
    const output = await run('attw', [tarball, '--profile', 'esm-only', '--format', 'ascii', '--no-color'], folder);
    expect(output).toMatch(/node16 \(from ESM\): 🟢 \(ESM\)\s+bundler: 🟢/);
  });
});

test('core and the packages that only use it are free of side effects; engines register, and do not say so', () => {
  const declared = Object.fromEntries(publicPackages().map(({ name, manifest }) => [name, manifest.sideEffects]));
  for (const [name, sideEffects] of Object.entries(declared)) {
    if (name.startsWith('@crikit/engine-') && name !== '@crikit/engine-conformance')
      expect(sideEffects, name).toBeUndefined();
  }
  expect(declared['@crikit/core']).toBe(false);
  expect(declared['@crikit/metastore']).toBe(false);
});

function tarballBytes(path: string): ArrayBuffer {
  return new Uint8Array(readFileSync(path)).buffer;
}
