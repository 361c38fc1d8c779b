// A release as RELEASING.md describes it, in a copy of this repository and into a registry of its own.
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pnpmCommand } from '../setup/pnpm-command.mjs';
import { repositoryRoot, toolEnvironment } from '../setup/tool-environment.mjs';
import { type LocalRegistry, startLocalRegistry } from './local-registry.js';
import { type PackageManifest, publicPackages, run } from './public-packages.js';
import { createScratchProjects, installSwitches, runProgram } from './scratch-projects.js';

interface PlannedRelease {
  readonly name: string;
  readonly type: 'major' | 'minor' | 'patch' | 'none';
  readonly oldVersion: string;
  readonly newVersion: string;
}

const packages = publicPackages();
const projects = createScratchProjects('release');
const copy = join(projects.folder, 'repository');
let registry: LocalRegistry;
let toLocalRegistry: NodeJS.ProcessEnv;
let before: ReadonlyMap<string, PackageManifest>;

beforeAll(async () => {
  registry = await startLocalRegistry((await run('npm', ['config', 'get', 'registry'], projects.folder)).trim());
  const settings = join(projects.folder, 'npmrc');
  writeFileSync(settings, `${registry.url.replace('http:', '')}:_authToken=none\n`);
  toLocalRegistry = {
    ...toolEnvironment(),
    npm_config_registry: registry.url,
    npm_config_userconfig: settings,
    npm_config_noproxy: '127.0.0.1',
  };

  const files = (await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], repositoryRoot))
    .split('\0')
    .filter((file) => file !== '' && existsSync(join(repositoryRoot, file)));
  for (const file of files) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(repositoryRoot, file), join(copy, file));
  }
  const { command, leadingArguments } = pnpmCommand();
  await run(command, [...leadingArguments, 'install', '--frozen-lockfile', '--prefer-offline', '--silent'], copy);
  await run('git', ['init', '--quiet', '--initial-branch=main'], copy);
  // A tag has an author too.
  await run('git', ['config', 'user.name', 'Release test'], copy);
  await run('git', ['config', 'user.email', 'release@example.org'], copy);
  for (const what of ['commit.gpgsign', 'tag.gpgsign']) await run('git', ['config', what, 'false'], copy);
  await commit('Before the release');
  before = readManifests();
});
afterAll(async () => {
  await registry?.close();
  projects.remove();
});

// In their order: each goes on where the one before it ended.
describe('a release', () => {
  let planned: readonly PlannedRelease[];

  test('raises the versions that the changesets ask for, and writes down what changed', async () => {
    writeFileSync(
      join(copy, '.changeset', 'tried-release.md'),
      `---\n'@crikit/core': minor\n'@crikit/engine-podman': patch\n---\n\nA release was tried.\n`,
    );
    await commit('Describe a change');
    await run('changeset', ['status', '--output', 'status.json'], copy);
    const { releases } = JSON.parse(readFileSync(join(copy, 'status.json'), 'utf8'));
    planned = releases.filter(({ type }: PlannedRelease) => type !== 'none');
    await run('npm', ['run', 'version'], copy);

    const after = readManifests();
    for (const { name, newVersion } of planned.filter(({ name }) => after.has(name))) {
      expect(after.get(name)?.version, name).toBe(newVersion);
      expect(readFileSync(join(copy, directoryOf(name), 'CHANGELOG.md'), 'utf8')).toContain(`## ${newVersion}\n`);
    }
    expect(versionsOf(after)['@crikit/core']).not.toBe(versionsOf(before)['@crikit/core']);
    expect(readFileSync(join(copy, 'packages', 'core', 'CHANGELOG.md'), 'utf8')).toContain('A release was tried.');
  });

  test('makes nothing a breaking change only because core, a peer, has a new minor version', () => {
    expect(planned.find(({ name }) => name === '@crikit/core')?.type).toBe('minor');
    expect(planned.filter(({ type }) => type === 'major')).toEqual([]);
    const floors = [...readManifests()].map(([name, { peerDependencies }]) => [name, peerDependencies]);
    expect(floors).toEqual([...before].map(([name, { peerDependencies }]) => [name, peerDependencies]));
  });

  test('builds packages that say their new version', async () => {
    await commit('Release');
    stateProvenance(false);
    await run('npm', ['run', 'build', '--', '--output-logs=errors-only', '--concurrency=2'], copy);
    const { version } = readManifests().get('@crikit/engine-podman') ?? {};
    expect(version).not.toBe(before.get('@crikit/engine-podman')?.version);
    expect(readFileSync(join(copy, 'packages', 'engine-podman', 'dist', 'index.js'), 'utf8')).toContain(`"${version}"`);
  });

  test('would publish each package in the open, and not without a proof of where it was built', async () => {
    stateProvenance(true);
    for (const { name } of packages) {
      const { command, leadingArguments } = pnpmCommand();
      const packed = await run(
        command,
        [...leadingArguments, 'pack', '--json', '--pack-destination', projects.folder],
        join(copy, directoryOf(name)),
      );
      const { filename } = JSON.parse(packed) as { filename: string };
      const dry = await run('npm', ['publish', '--dry-run', filename], projects.folder, toLocalRegistry);
      expect(dry).toContain(`+ ${name}@${readManifests().get(name)?.version}`);
      // Here is no CI that could prove it, or none that lets this job.
      await expect(run('npm', ['publish', filename], projects.folder, toLocalRegistry)).rejects.toThrow(/provenance/i);
    }
    expect(registry.published).toEqual([]);
  });

  test('publishes every package and tags it', async () => {
    stateProvenance(false);
    await run('npm', ['run', 'release'], copy, toLocalRegistry);
    const expected = [...readManifests()].map(([name, { version }]) => `${name}@${version}`).sort();
    expect([...registry.published].sort()).toEqual(expected);
    const tags = (await run('git', ['tag'], copy)).trim().split('\n');
    expect(tags.sort()).toEqual(expected);
  });

  test('publishes nothing twice', async () => {
    const count = registry.published.length;
    await run('npm', ['run', 'release'], copy, toLocalRegistry);
    expect(registry.published).toHaveLength(count);
  });

  test('can be installed from the registry and runs', async () => {
    const project = projects.create('user');
    const names = packages.map(({ name }) => name);
    const environment = { ...toolEnvironment(), npm_config_registry: registry.url, npm_config_noproxy: '127.0.0.1' };
    await run('npm', ['install', ...installSwitches, ...names], project, environment);
    const installed = names.map((name) =>
      JSON.parse(readFileSync(join(project, 'node_modules', name, 'package.json'), 'utf8')),
    );
    expect(installed.map(({ name, version }) => `${name}@${version}`).sort()).toEqual([...registry.published].sort());
    const program = `import '@crikit/engine-podman';
      import { registeredEngines } from '@crikit/core';
      console.log(registeredEngines().map(({ packageName, packageVersion }) => packageName + '@' + packageVersion).join());`;
    const { version } = readManifests().get('@crikit/engine-podman') ?? {};
    expect(await runProgram(project, 'main.mjs', program)).toBe(`@crikit/engine-podman@${version}\n`);
  });
});

function readManifests(): ReadonlyMap<string, PackageManifest> {
  return new Map(
    packages.map(({ name }) => [
      name,
      JSON.parse(readFileSync(join(copy, directoryOf(name), 'package.json'), 'utf8')) as PackageManifest,
    ]),
  );
}

function versionsOf(manifests: ReadonlyMap<string, PackageManifest>): Readonly<Record<string, string>> {
  return Object.fromEntries([...manifests].map(([name, { version }]) => [name, version]));
}

/** Of a package, within the repository. */
function directoryOf(name: string): string {
  const directory = packages.find((candidate) => candidate.name === name)?.directory ?? '';
  return directory.slice(repositoryRoot.length + 1);
}

/** The proof can only be made in the release workflow. */
function stateProvenance(wanted: boolean): void {
  for (const { name } of packages) {
    const path = join(copy, directoryOf(name), 'package.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(`"provenance": ${!wanted}`, `"provenance": ${wanted}`));
  }
}

async function commit(message: string): Promise<void> {
  await run('git', ['add', '--all'], copy);
  await run('git', ['commit', '--quiet', '--message', message], copy);
}
