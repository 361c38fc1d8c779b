// The declarations, by every TypeScript that our users may have, with its own way to find modules.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCommand } from '../setup/run-command.mjs';
import { toolEnvironment } from '../setup/tool-environment.mjs';
import { libraries, run } from './public-packages.js';
import { createScratchProjects, installSwitches } from './scratch-projects.js';

const releases = ['5.2', '5.3', '5.4', '5.5', '5.6', '5.7', '5.8', '5.9', '6.0', '7.0'] as const;
type Release = (typeof releases)[number];

/** The oldest that the newest @types/node still works with. Older ones need @types/node 20 beside them. */
const oldestForNewestNodeTypes = 5.6;
/** The oldest that lets a CommonJS module require an ES module. */
const oldestForCommonJs = 5.8;

const program = `
import { type EngineDefinition, mainBiz, registeredEngines } from '@crikit/core';
import { createInMemoryEngine, describeEngineConformance } from '@crikit/engine-conformance';
import { containerd } from '@crikit/engine-containerd';
import { docker } from '@crikit/engine-docker';
import { podman } from '@crikit/engine-podman';
import { pouch } from '@crikit/engine-pouch';
import { createMetaStore } from '@crikit/metastore';
import { kubeconfigPods } from '@crikit/pods-kubeconfig';

const inMemory: EngineDefinition = createInMemoryEngine().definition;
export const engines: readonly EngineDefinition[] = [docker(), containerd(), pouch(), podman(), inMemory];
export const store = createMetaStore({ engines, pods: kubeconfigPods({ nodeName: 'node-1' }) });
export const kit: typeof describeEngineConformance = describeEngineConformance;
export async function run(namespace: string, name: string): Promise<Buffer> {
  const pod = store.getPod(namespace, name);
  const biz = pod && mainBiz(pod);
  if (biz === undefined) throw new Error('none');
  const { stdout, exitCode } = await store.exec(biz, { cmd: ['id'], timeoutMs: 5_000 });
  const code: number = exitCode;
  return code === 0 ? stdout : Buffer.alloc(0);
}
// @ts-expect-error: were the types any, these would be accepted.
registeredEngines().nothing;
// @ts-expect-error
docker({ socketPath: 1 });
// @ts-expect-error
store.getPod(1);
`;

const projects = createScratchProjects('typescript');
afterAll(() => projects.remove());

/** By their @types/node. */
let newest: string;
let oldest: string;
let compilers: string;
beforeAll(async () => {
  const packages = libraries().map(({ name }) => name);
  newest = await projects.install('newest-node-types', packages);
  oldest = await projects.install('oldest-node-types', packages, ['@types/node@20']);
  compilers = projects.create('compilers');
  const aliases = releases.map((release) => `${aliasOf(release)}@npm:typescript@~${release}.0`);
  await run('npm', ['install', ...installSwitches, ...aliases], compilers);
});

interface Setting {
  readonly title: string;
  readonly file: string;
  readonly module: string;
  readonly moduleResolution?: string;
}

const nodenext: Setting = { title: 'nodenext', file: 'program.mts', module: 'nodenext' };
const esmSettings: readonly Setting[] = [
  nodenext,
  { title: 'node16', file: 'program.mts', module: 'node16' },
  { title: 'bundler', file: 'program.ts', module: 'esnext', moduleResolution: 'bundler' },
];
const commonJs: Setting = { title: 'nodenext', file: 'program.cts', module: 'nodenext' };

// Two at a time: one compiler keeps one core busy.
describe.concurrent.each(releases)('TypeScript %s', (release) => {
  const hasNewestNodeTypes = Number(release) >= oldestForNewestNodeTypes;

  test.each(esmSettings)('accepts the packages from an ESM project by $title', async (setting) => {
    // Once a release the declarations themselves are checked; the rest is about finding them.
    const skipLibCheck = setting.title !== 'nodenext';
    expect(await compile(release, setting, hasNewestNodeTypes ? newest : oldest, skipLibCheck)).toBe('');
  });

  if (!hasNewestNodeTypes) {
    test('accepts them with the newest @types/node too, when told to skip the check of libraries', async () => {
      expect(await compile(release, nodenext, newest, true)).toBe('');
    });
  }

  if (Number(release) >= oldestForCommonJs) {
    test('accepts them from a CommonJS project by nodenext', async () => {
      expect(await compile(release, commonJs, newest, true)).toBe('');
    });
  } else if (release === '5.7') {
    test('is too old for a CommonJS project, and says that they are ES modules', async () => {
      expect(await compile(release, commonJs, newest, true)).toMatch(/TS1479: .*ECMAScript module/);
    });
  }
});

/** Returns what the compiler says: nothing, when all is well. */
async function compile(release: Release, setting: Setting, project: string, skipLibCheck: boolean): Promise<string> {
  const directory = join(project, `${aliasOf(release)}-${setting.title}-${setting.file}-${skipLibCheck}`);
  mkdirSync(directory);
  writeFileSync(join(directory, setting.file), program);
  const { module, moduleResolution } = setting;
  const compilerOptions = {
    ...{ module, moduleResolution, target: 'es2022', strict: true, noEmit: true },
    // No types of the project's own: the declarations must bring what they need.
    ...{ skipLibCheck, types: [] },
  };
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [setting.file] }));
  const compiler = join(compilers, 'node_modules', aliasOf(release), 'bin', 'tsc');
  const outcome = await runCommand(process.execPath, [compiler, '-p', '.', '--pretty', 'false'], {
    cwd: directory,
    env: toolEnvironment(),
    output: 'collect',
    timeoutMs: 120_000,
  });
  if (outcome.ok !== (outcome.output === '')) throw new Error(`${outcome.reason}: ${outcome.output}`);
  return outcome.output;
}

function aliasOf(release: Release): string {
  return `typescript-${release}`;
}
