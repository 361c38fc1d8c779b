import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packPackage, publicPackages, run } from './public-packages.js';
import { budgetOf, folderBytes } from './size-budget.js';

const folder = mkdtempSync(join(tmpdir(), 'crikit-tarballs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(publicPackages())('$name', (publicPackage) => {
  const { name, manifest, isLibrary } = publicPackage;
  let tarball: string;
  /** What was in the tarball. */
  let unpacked: string;
  let entries: readonly string[];

  beforeAll(async () => {
    tarball = await packPackage(publicPackage, folder);
    unpacked = join(mkdtempSync(join(folder, 'unpacked-')), 'package');
    await run('tar', ['-xzf', tarball, '-C', join(unpacked, '..')], folder);
    const listing = await run('tar', ['-tzf', tarball], folder);
    entries = listing
      .trim()
      .split('\n')
      .map((entry) => entry.replace(/^package\//, ''));
  });

  test('holds the built code, and nothing that its users do not need', () => {
    const others = entries.filter((entry) => !entry.startsWith('dist/'));
    // The first release writes the list of changes.
    const changes = manifest.version === '0.0.0' ? [] : ['CHANGELOG.md'];
    expect(others.sort()).toEqual([...changes, 'LICENSE', 'README.md', 'package.json']);
    expect(entries.filter((entry) => /\.(test|test-d)\.|fixtures?\//.test(entry))).toEqual([]);
  });

  test('is no larger than its budget', () => {
    expect(budgetOf(name, 'packedKilobytes', statSync(tarball).size / 1e3)).toBe('within its budget');
    expect(budgetOf(name, 'unpackedKilobytes', folderBytes(unpacked) / 1e3)).toBe('within its budget');
    expect(budgetOf(name, 'files', entries.length)).toBe('within its budget');
  });

  test('holds every file that its manifest names, and no code that these do not lead to', () => {
    const named = [...filesNamedIn(manifest.exports), ...filesNamedIn(manifest.bin)];
    expect(named.filter((file) => !entries.includes(file))).toEqual([]);
    const reached = new Set(named);
    for (const file of reached) for (const next of filesNamedBy(unpacked, file, entries)) reached.add(next);
    expect(entries.filter((entry) => entry.startsWith('dist/') && !reached.has(entry))).toEqual([]);
  });

  test('is published in the open, with a proof of where it was built', () => {
    expect(manifest.publishConfig).toEqual({ access: 'public', provenance: true });
    expect(manifest.repository?.directory).toBe(`packages/${publicPackage.directory.split('/').at(-1)}`);
    const scripts = Object.keys(manifest.scripts ?? {});
    expect(scripts.filter((script) => /^(pre|post)?(install|prepare|uninstall)$/.test(script))).toEqual([]);
  });

  test('names no dependency in a way that only this repository understands', async () => {
    const manifest = await run('tar', ['-xzOf', tarball, 'package/package.json'], folder);
    expect(manifest).not.toMatch(/"(workspace|link|file|catalog):/);
  });

  test('is clean for publint', async () => {
    const { messages, pkg } = await publint({ pack: { tarball: tarballBytes(tarball) } });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);
  });

  if (!isLibrary) return;

  test('exports what its types say, no more and no less', async () => {
    const [types = ''] = filesNamedIn(manifest.exports).filter((file) => file.endsWith('.d.ts'));
    const module = await import(join(publicPackage.directory, 'dist', 'index.js'));
    expect(Object.keys(module).sort()).toEqual(valuesDeclaredIn(join(publicPackage.directory, types)));
  }, 60_000);

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

/** Every relative path in a part of a manifest, however deep. */
function filesNamedIn(part: unknown): readonly string[] {
  if (typeof part === 'string') return [part.replace(/^\.\//, '')];
  return part === null || typeof part !== 'object' ? [] : Object.values(part).flatMap(filesNamedIn);
}

/** The files of the package that a file of it imports, starts or serves: whose names are in its text. */
function filesNamedBy(root: string, file: string, entries: readonly string[]): readonly string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return entries.filter((entry) => entry.startsWith('dist/') && text.includes(entry.slice(entry.lastIndexOf('/') + 1)));
}

/** Names of what a declaration file exports that exists at run time. */
function valuesDeclaredIn(path: string): readonly string[] {
  const { options } = ts.convertCompilerOptionsFromJson({ module: 'nodenext', target: 'es2022' }, folder);
  const program = ts.createProgram([path], options);
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(path);
  const module = file && checker.getSymbolAtLocation(file);
  const exported = module === undefined ? [] : checker.getExportsOfModule(module);
  return exported
    .filter((symbol) => {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      return (target.flags & ts.SymbolFlags.Value) !== 0;
    })
    .map(({ name }) => name)
    .sort();
}

function tarballBytes(path: string): ArrayBuffer {
  return new Uint8Array(readFileSync(path)).buffer;
}
