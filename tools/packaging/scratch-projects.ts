/** Projects as users have them, in a temporary folder, with packages of ours installed from their tarballs. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { build } from 'esbuild';
import { rollup } from 'rollup';
import { packPackage, publicPackages, run } from './public-packages.js';

export const installSwitches = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];

export interface ScratchProjects {
  readonly folder: string;
  /** Packs the named packages of ours (once each), and returns the paths of their tarballs. */
  pack(packages: readonly string[]): Promise<readonly string[]>;
  /** A copy of a tarball that says it is another version, also in its code. Returns its path. */
  repack(tarball: string, version: string): Promise<string>;
  /** A project with nothing installed. Returns its folder. */
  create(name: string, manifest?: Readonly<Record<string, unknown>>): string;
  /** A project with what is named, from tarballs, and what that needs; without any install script. Returns its folder. */
  install(name: string, packages: readonly string[], others?: readonly string[]): Promise<string>;
  /** Runs a bundle away from the packages it was made of, so that only what is in it can answer. */
  runAlone(bundle: string, node?: string): Promise<string>;
  remove(): void;
}

export function createScratchProjects(title: string): ScratchProjects {
  const folder = mkdtempSync(join(tmpdir(), `crikit-${title}-`));
  const tarballs = new Map<string, Promise<string>>();
  const packOnce = (name: string) => {
    const publicPackage = publicPackages().find((candidate) => candidate.name === name);
    if (publicPackage === undefined) throw new Error(`${name} is not a public package of this repository`);
    const packed = tarballs.get(name) ?? packPackage(publicPackage, folder);
    tarballs.set(name, packed);
    return packed;
  };

  const self: ScratchProjects = {
    folder,
    pack: (packages) => Promise.all(packages.map(packOnce)),
    async repack(tarball, version) {
      const copy = mkdtempSync(join(folder, 'repack-'));
      await run('tar', ['-xzf', tarball, '-C', copy], folder);
      const manifest = JSON.parse(readFileSync(join(copy, 'package', 'package.json'), 'utf8'));
      const stated = `version: "${manifest.version}"`;
      for (const name of readdirSync(join(copy, 'package', 'dist'))) {
        const path = join(copy, 'package', 'dist', name);
        writeFileSync(path, readFileSync(path, 'utf8').replaceAll(stated, `version: "${version}"`));
      }
      writeFileSync(join(copy, 'package', 'package.json'), JSON.stringify({ ...manifest, version }));
      const path = join(copy, basename(tarball).replace(manifest.version, version));
      await run('tar', ['-czf', path, 'package'], copy);
      return path;
    },
    create(name, manifest = {}) {
      const project = join(folder, name);
      mkdirSync(project);
      writeFileSync(
        join(project, 'package.json'),
        JSON.stringify({ name, private: true, version: '1.0.0', ...manifest }),
      );
      return project;
    },
    async install(name, packages, others = []) {
      const project = self.create(name);
      await run('npm', ['install', ...installSwitches, ...(await self.pack(packages)), ...others], project);
      return project;
    },
    async runAlone(bundle, node = process.execPath) {
      const alone = mkdtempSync(join(folder, 'alone-'));
      await cp(bundle, alone, { recursive: true });
      return run(node, ['main.mjs'], alone);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
  return self;
}

/** Writes a program into a project and runs it, by this Node or the given one. Returns what it wrote to stdout. */
export async function runProgram(
  project: string,
  name: string,
  text: string,
  node: string = process.execPath,
): Promise<string> {
  writeFileSync(join(project, name), text);
  return run(node, ['--disable-warning=ExperimentalWarning', name], project);
}

export interface InstalledPackage {
  readonly name: string;
  readonly hasInstallScript: boolean;
}

/** Everything that npm put into a project, nested ones included. */
export function listInstalled(project: string): readonly InstalledPackage[] {
  const lock = JSON.parse(readFileSync(join(project, 'node_modules', '.package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, { hasInstallScript?: boolean }>>;
  };
  return Object.entries(lock.packages).map(([path, { hasInstallScript = false }]) => ({
    name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
    hasInstallScript,
  }));
}

/** A project with copies of its packages of ours and nothing that these depend on. */
export function copyWithoutDependencies(project: string, copy: string): void {
  const filter = (path: string) => !/node_modules\/(@crikit\/)?[^/]+\/node_modules$/.test(path);
  cpSync(join(project, 'node_modules', '@crikit'), join(copy, 'node_modules', '@crikit'), { recursive: true, filter });
}

/** Bundles an entry into a folder in which `main.mjs` is to be run. */
export type Bundler = (entry: string, directory: string, external: readonly string[]) => Promise<void>;

const builtins = [...builtinModules, ...builtinModules.map((name) => `node:${name}`)];

export const bundlers: Readonly<Record<'esbuild' | 'rollup', Bundler>> = {
  async esbuild(entry, directory, external) {
    await build({
      entryPoints: [entry],
      outdir: directory,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      minify: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      external: [...builtins, ...external],
      logLevel: 'silent',
    });
  },
  async rollup(entry, directory, external) {
    const bundle = await rollup({
      input: entry,
      external: [...builtins, ...external],
      plugins: [nodeResolve({ preferBuiltins: true })],
      logLevel: 'silent',
    });
    await bundle.write({
      dir: directory,
      format: 'esm',
      entryFileNames: '[name].mjs',
      chunkFileNames: '[name]-[hash].mjs',
    });
    await bundle.close();
  },
};
