import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { libraries, publicPackages, run } from './public-packages.js';
import {
  bundlers,
  copyWithoutDependencies,
  createScratchProjects,
  installSwitches,
  listInstalled,
  runProgram,
} from './scratch-projects.js';
import { budgetOf, folderBytes } from './size-budget.js';

const projects = createScratchProjects('installed');
afterAll(() => projects.remove());

const base = ['@crikit/core', '@crikit/metastore'];

// Asks for the types of the engines that have registered themselves.
const printRegistered = `console.log(JSON.stringify(registeredEngines().map(({ type }) => type)));`;

/** What every package brings, and what it must never bring although another package of ours does. */
const selections: readonly {
  readonly name: string;
  /** The type of the engine that it registers. */
  readonly engine?: string;
  /** What it loads when it is used. */
  readonly dependency?: string;
  readonly foreign: RegExp;
}[] = [
  { name: '@crikit/metastore', foreign: /dockerode|docker-modem|ssh2|grpc|protobuf|@kubernetes\// },
  { name: '@crikit/engine-docker', engine: 'docker', dependency: 'dockerode', foreign: /@bufbuild|@kubernetes\// },
  { name: '@crikit/engine-pouch', engine: 'pouch', dependency: 'dockerode', foreign: /@bufbuild|@kubernetes\// },
  {
    name: '@crikit/engine-containerd',
    engine: 'containerd',
    dependency: '@grpc/grpc-js',
    foreign: /dockerode|docker-modem|ssh2|@kubernetes\//,
  },
  {
    name: '@crikit/engine-podman',
    engine: 'podman',
    foreign: /dockerode|docker-modem|ssh2|grpc|protobuf|@kubernetes\//,
  },
  {
    name: '@crikit/pods-kubeconfig',
    dependency: '@kubernetes/client-node',
    foreign: /dockerode|docker-modem|ssh2|grpc|protobuf/,
  },
  { name: '@crikit/engine-conformance', foreign: /dockerode|docker-modem|ssh2|grpc|protobuf|@kubernetes\// },
];

test('every package that can be imported is looked at', () => {
  const names = ['@crikit/core', ...selections.map(({ name }) => name)];
  expect(names.sort()).toEqual(
    libraries()
      .map(({ name }) => name)
      .sort(),
  );
});

describe.each(selections)('a project with $name', ({ name, engine, dependency, foreign }) => {
  const packages = [...new Set([...base, name])];
  let project: string;
  beforeAll(async () => {
    project = await projects.install(name.replace('@crikit/', 'with-'), packages);
  });

  test('has one copy of each package of ours, and nothing that only another one needs', () => {
    const installed = listInstalled(project).map((installedPackage) => installedPackage.name);
    expect(installed.filter((installedName) => installedName.startsWith('@crikit/')).sort()).toEqual(
      [...packages].sort(),
    );
    expect(installed.filter((installedName) => foreign.test(installedName))).toEqual([]);
  });

  test('is no larger than its budget', () => {
    expect(budgetOf(name, 'installedPackages', listInstalled(project).length)).toEqual('within its budget');
    const megabytes = folderBytes(join(project, 'node_modules')) / 1e6;
    expect(budgetOf(name, 'installedMegabytes', megabytes)).toEqual('within its budget');
  });

  test('needs no install script of a dependency', async () => {
    // Nothing has run one: the project was installed without.
    const withScript = listInstalled(project).filter(({ hasInstallScript }) => hasInstallScript);
    // Their scripts make native parts that are optional, or only print something.
    expect(['cpu-features', 'protobufjs', 'ssh2']).toEqual(
      expect.arrayContaining(withScript.map((installed) => installed.name)),
    );
    if (dependency === undefined) return;
    const output = await runProgram(project, 'load.mjs', `await import('${dependency}'); console.log('loaded');`);
    expect(output).toBe('loaded\n');
  });

  test('imports, and an engine registers itself in the core that the program sees', async () => {
    const program = `import '${name}';
      import { registeredEngines } from '@crikit/core';
      import '@crikit/metastore';
      ${printRegistered}`;
    const expected = engine === undefined ? [] : [engine];
    expect(await runProgram(project, 'import.mjs', program)).toBe(`${JSON.stringify(expected)}\n`);
  });

  test('requires from CommonJS, and gets the same instance as by import', async () => {
    const program = `const names = ${JSON.stringify(packages)};
      const required = names.map((name) => require(name));
      Promise.all(names.map((name) => import(name))).then((imported) => {
        const shared = imported.map((module, index) =>
          Object.keys(module).length > 0 && Object.keys(module).every((key) => module[key] === required[index][key]));
        console.log(shared.join(), require('@crikit/core').registeredEngines().map(({ type }) => type).join());
      });`;
    const output = await runProgram(project, 'require.cjs', program);
    expect(output.trim().split('\n').at(-1)).toBe(`${packages.map(() => 'true').join()} ${engine ?? ''}`.trim());
  });

  test('loads no dependency at import', async () => {
    const bare = join(projects.folder, `bare-${name.replace('@crikit/', '')}`);
    copyWithoutDependencies(project, bare);
    // Runs in tests, where nobody waits for its tar library.
    const quick = packages.filter((packageName) => packageName !== '@crikit/engine-conformance');
    const imports = quick.map((packageName) => `await import('${packageName}');`).join('\n');
    expect(await runProgram(bare, 'load.mjs', `${imports} console.log('loaded');`)).toBe('loaded\n');
  });

  if (engine === undefined) return;

  describe('bundled', () => {
    const program = `import '${name}';
      import { registeredEngines } from '@crikit/core';
      ${printRegistered}`;
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
        for (const [file, text] of Object.entries(files)) writeFileSync(join(directory, file), text);
      });

      test.each(Object.entries(bundlers))('by %s, the registration survives', async (bundler, bundle) => {
        const output = join(directory, bundler);
        // Loaded at connect only, and not part of what is tested here.
        const external = dependency === undefined ? [] : [dependency];
        await bundle(join(directory, 'main.mjs'), output, external);
        expect(await projects.runAlone(output)).toBe(`["${engine}"]\n`);
      });
    });
  });
});

describe('a TypeScript project', () => {
  test('type-checks as ESM and as CommonJS with nothing but the dependencies of our packages', async () => {
    const project = await projects.install('types', [...base, '@crikit/engine-docker']);
    const files = ['program.mts', 'program.cts'];
    for (const file of files) {
      writeFileSync(
        join(project, file),
        `import { registeredEngines, type EngineDefinition } from '@crikit/core';
        import { docker } from '@crikit/engine-docker';
        import { createMetaStore } from '@crikit/metastore';
        export const engines: readonly EngineDefinition[] = [...registeredEngines(), docker()];
        export const store = createMetaStore({ engines: [docker()] });
        // @ts-expect-error: were the types any, this would be accepted.
        registeredEngines().nothing;`,
      );
    }
    // No types and no skipLibCheck: the declarations must bring what they need, and be right.
    const compilerOptions = {
      ...{ module: 'nodenext', target: 'es2022', strict: true, noEmit: true },
      ...{ skipLibCheck: false, types: [] },
    };
    writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    await run('tsc', ['-p', 'tsconfig.json'], project);
  });
});

describe('a project in which a plug-in brings packages of its own', () => {
  const askForEngines = `const { selectEngines, registeredEngines } = await import('@crikit/core');
    const registered = registeredEngines().map(({ type, packageVersion }) => type + ' ' + packageVersion);
    const answer = await selectEngines(options).then((engines) => engines.length, ({ code, message, remedy }) => ({ code, message, remedy }));
    console.log(JSON.stringify({ registered, answer }));`;

  /** A package that depends on the given tarballs, which npm then has to nest. */
  async function installWithPlugin(name: string, own: readonly string[], nested: readonly string[]): Promise<string> {
    const plugin = projects.create(`${name}-plugin`, {
      type: 'module',
      exports: './index.js',
      dependencies: Object.fromEntries(nested.map((path) => [packageNameOf(path), `file:${path}`])),
    });
    const imports = nested.map((path) => `export * from '${packageNameOf(path)}';\n`).join('');
    writeFileSync(join(plugin, 'index.js'), imports);
    const packed = JSON.parse(await run('npm', ['pack', '--json', '--pack-destination', plugin], plugin));
    const project = await projects.install(name, own);
    await run('npm', ['install', ...installSwitches, join(plugin, packed[0].filename)], project);
    return project;
  }

  test('two versions of one engine: choosing engines says so, and names both and what to do', async () => {
    const [tarball = ''] = await projects.pack(['@crikit/engine-podman']);
    const other = await projects.repack(tarball, '1.99.0');
    const project = await installWithPlugin('two-versions', ['@crikit/core', '@crikit/engine-podman'], [other]);
    const { version } = publicPackages().find(({ name }) => name === '@crikit/engine-podman')?.manifest ?? {};
    const program = `import '@crikit/engine-podman';
      import 'two-versions-plugin';
      const options = {};
      ${askForEngines}`;
    expect(JSON.parse(await runProgram(project, 'clash.mjs', program))).toEqual({
      registered: [`podman ${version}`, 'podman 1.99.0'],
      answer: {
        code: 'ENGINE_CLASH',
        message: expect.stringContaining(`@crikit/engine-podman ${version}, @crikit/engine-podman 1.99.0`),
        remedy: expect.stringMatching(/pass the engine that you want/),
      },
    });
  });

  test('two copies of core: they share the registry, and know the errors of each other', async () => {
    const [tarball = ''] = await projects.pack(['@crikit/core']);
    const other = await projects.repack(tarball, '1.99.0');
    const project = await installWithPlugin('two-cores', ['@crikit/core'], [other]);
    const program = `import * as core from '@crikit/core';
      import * as plugin from 'two-cores-plugin';
      plugin.registerEngine({ type: 'acme', packageName: 'acme', packageVersion: '1.0.0' });
      const error = new plugin.InvalidArgumentError('of the other copy');
      const registered = core.registeredEngines().map(({ type }) => type);
      console.log(JSON.stringify({
        differ: core.registeredEngines !== plugin.registeredEngines,
        isKnown: core.isInvalidArgumentError(error),
        isInstance: error instanceof core.InvalidArgumentError,
        registered,
      }));`;
    const output = JSON.parse(await runProgram(project, 'copies.mjs', program));
    expect(output).toEqual({ differ: true, isKnown: true, isInstance: false, registered: ['acme'] });
  });
});

const commands = publicPackages().filter(({ isLibrary }) => !isLibrary);
describe.each(commands)('a project with the command $name', ({ name, manifest }) => {
  test('runs it, with everything that it needs and without any install script', async () => {
    const own = Object.keys(manifest.dependencies ?? {}).filter((dependency) => dependency.startsWith('@crikit/'));
    const project = await projects.install(`command-${name}`, [...own, name]);
    expect(budgetOf(name, 'installedPackages', listInstalled(project).length)).toEqual('within its budget');
    const megabytes = folderBytes(join(project, 'node_modules')) / 1e6;
    expect(budgetOf(name, 'installedMegabytes', megabytes)).toEqual('within its budget');
    for (const command of Object.keys(manifest.bin ?? {})) {
      const output = await run(join(project, 'node_modules', '.bin', command), ['--help'], project);
      expect(output).toMatch(new RegExp(`Usage: ${command}\\b`));
    }
  });
});

function packageNameOf(tarball: string): string {
  const name = /crikit-([a-z-]+?)-\d/.exec(tarball.slice(tarball.lastIndexOf('/')))?.[1];
  return `@crikit/${name}`;
}
