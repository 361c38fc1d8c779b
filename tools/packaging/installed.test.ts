import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { build } from 'esbuild';
import { rollup } from 'rollup';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packPackage, publicPackages, run } from './public-packages.js';

const folder = mkdtempSync(join(tmpdir(), 'crikit-installed-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tarballs = new Map<string, string>();
beforeAll(async () => {
  for (const publicPackage of publicPackages()) {
    tarballs.set(publicPackage.name, await packPackage(publicPackage, folder));
  }
});

// Asks for the types of the engines that have registered themselves.
const printRegistered = `console.log(JSON.stringify(registeredEngines().map(({ type }) => type)));`;

describe('a project with core, the meta store and the Docker engine', () => {
  let project: string;
  beforeAll(async () => {
    project = await install('docker', ['@crikit/core', '@crikit/metastore', '@crikit/engine-docker']);
  });

  test('has one copy of core', async () => {
    const tree = JSON.parse(await run('npm', ['ls', '@crikit/core', '--all', '--json'], project));
    expect(tree.problems).toBeUndefined();
    const nested = ['metastore', 'engine-docker'].flatMap((name) =>
      readdirSync(join(project, 'node_modules', '@crikit', name)).filter((entry) => entry === 'node_modules'),
    );
    expect(nested).toEqual([]);
  });

  test('needs no install script of a dependency to load', async () => {
    // install() forbids the scripts.
    const output = await runProgram(project, 'load.mjs', `await import('dockerode'); console.log('loaded');`);
    expect(output).toBe('loaded\n');
  });

  test('imports: the engine registers itself in the core that the program sees', async () => {
    const program = `import '@crikit/engine-docker';
      import { registeredEngines } from '@crikit/core';
      import '@crikit/metastore';
      ${printRegistered}`;
    expect(await runProgram(project, 'import.mjs', program)).toBe('["docker"]\n');
  });

  test('requires from CommonJS, and gets the same instance as by import', async () => {
    const program = `const names = ['@crikit/core', '@crikit/metastore', '@crikit/engine-docker'];
      const required = names.map((name) => require(name));
      Promise.all(names.map((name) => import(name))).then((imported) => {
        const shared = imported.map((module, index) =>
          Object.keys(module).length > 0 && Object.keys(module).every((key) => module[key] === required[index][key]));
        console.log(JSON.stringify(shared), require('@crikit/core').registeredEngines().map(({ type }) => type).join());
      });`;
    expect(lastLine(await runProgram(project, 'require.cjs', program))).toBe('[true,true,true] docker');
  });

  test('loads no dependency at import', async () => {
    const bare = join(folder, 'bare');
    await cp(join(project, 'node_modules', '@crikit'), join(bare, 'node_modules', '@crikit'), { recursive: true });
    const program = `await import('@crikit/engine-docker');
      await import('@crikit/metastore');
      console.log('loaded');`;
    expect(await runProgram(bare, 'load.mjs', program)).toBe('loaded\n');
  });

  test.each(['program.mts', 'program.cts'])('type-checks in %s with nothing but its own dependencies', async (name) => {
    writeFileSync(
      join(project, name),
      `import { registeredEngines, type EngineDefinition } from '@crikit/core';
      import { docker } from '@crikit/engine-docker';
      import { createMetaStore } from '@crikit/metastore';
      export const engines: readonly EngineDefinition[] = [...registeredEngines(), docker()];
      export const store = createMetaStore({ engines: [docker()] });
      // @ts-expect-error: were the types any, this would be accepted.
      registeredEngines().nothing;`,
    );
    writeFileSync(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        // No types and no skipLibCheck: the declarations must bring what they need, and be right.
        compilerOptions: {
          module: 'nodenext',
          target: 'es2022',
          strict: true,
          noEmit: true,
          skipLibCheck: false,
          types: [],
        },
        files: [name],
      }),
    );
    await run('tsc', ['-p', 'tsconfig.json'], project);
  });

  describe('bundled', () => {
    const program = `import '@crikit/engine-docker';
      import { registeredEngines } from '@crikit/core';
      ${printRegistered}`;
    // Loaded at connect only, and not part of what is tested here.
    const external = [...builtinModules, ...builtinModules.map((name) => `node:${name}`), 'dockerode'];

    // Behind import() everything moves to another chunk, which is where bundlers drop registrations.
    const entries = {
      'in one chunk': { 'main.mjs': program },
      'in several chunks': { 'main.mjs': `await import('./part.mjs');`, 'part.mjs': program },
    };

    describe.each(Object.entries(entries))('%s', (title, files) => {
      let directory: string;
      beforeAll(() => {
        directory = join(project, title.replaceAll(' ', '-'));
        mkdirSync(directory);
        for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
      });

      test('by esbuild, the registration survives', async () => {
        const outdir = join(directory, 'esbuild');
        await build({
          entryPoints: [join(directory, 'main.mjs')],
          outdir,
          outExtension: { '.js': '.mjs' },
          bundle: true,
          minify: true,
          splitting: true,
          format: 'esm',
          platform: 'node',
          external,
          logLevel: 'silent',
        });
        expect(await runAlone(outdir)).toBe('["docker"]\n');
      });

      test('by rollup, the registration survives', async () => {
        const outdir = join(directory, 'rollup');
        const bundle = await rollup({
          input: join(directory, 'main.mjs'),
          external,
          plugins: [nodeResolve({ preferBuiltins: true })],
          logLevel: 'silent',
        });
        await bundle.write({
          dir: outdir,
          format: 'esm',
          entryFileNames: '[name].mjs',
          chunkFileNames: '[name]-[hash].mjs',
        });
        await bundle.close();
        expect(await runAlone(outdir)).toBe('["docker"]\n');
      });
    });
  });
});

describe('a project with core and the meta store only', () => {
  let project: string;
  beforeAll(async () => {
    project = await install('selective', ['@crikit/core', '@crikit/metastore']);
  });

  test("brings no engine's dependencies and no Kubernetes client", () => {
    const installed = listInstalled(join(project, 'node_modules'));
    expect(installed).toEqual(expect.arrayContaining(['@crikit/core', '@crikit/metastore']));
    expect(installed.filter((name) => /dockerode|docker-modem|ssh2|grpc|protobuf|@kubernetes\//.test(name))).toEqual(
      [],
    );
  });

  test('imports, with no engine registered', async () => {
    const program = `import '@crikit/metastore';
      import { registeredEngines } from '@crikit/core';
      ${printRegistered}`;
    expect(await runProgram(project, 'import.mjs', program)).toBe('[]\n');
  });
});

/** Makes a project and installs our packed packages, and what they need, as a user's npm would. */
async function install(name: string, packages: readonly string[]): Promise<string> {
  const project = join(folder, name);
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name, private: true, version: '1.0.0' }));
  const paths = packages.map((packageName) => {
    const path = tarballs.get(packageName);
    if (path === undefined) throw new Error(`${packageName} is not a public package of this repository`);
    return path;
  });
  const switches = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', ...switches, ...paths], project);
  return project;
}

async function runProgram(project: string, name: string, text: string): Promise<string> {
  writeFileSync(join(project, name), text);
  return run(process.execPath, ['--disable-warning=ExperimentalWarning', name], project);
}

/** Runs a bundle away from the packages it was made of, so that only what is in it can answer. */
async function runAlone(bundle: string): Promise<string> {
  const alone = mkdtempSync(join(folder, 'alone-'));
  await cp(bundle, alone, { recursive: true });
  return run(process.execPath, ['main.mjs'], alone);
}

function listInstalled(nodeModules: string): readonly string[] {
  return readdirSync(nodeModules).flatMap((entry) =>
    entry.startsWith('@') ? readdirSync(join(nodeModules, entry)).map((name) => `${entry}/${name}`) : [entry],
  );
}

function lastLine(output: string): string | undefined {
  return output.trim().split('\n').at(-1);
}
