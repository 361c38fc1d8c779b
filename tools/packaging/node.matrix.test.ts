// The packages in every Node that we support, as users install them.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { libraries, publicPackages, run } from './public-packages.js';
import { bundlers, createScratchProjects, installSwitches, runProgram } from './scratch-projects.js';

/** The oldest that we promise, and the newest of each line that gets fixes. */
const releases = ['20.19.0', '22', '24', '26'] as const;

const names = libraries().map(({ name }) => name);

// Runs a command in a container of a pod, through the store and an engine in memory.
const useTheStore = `
const { definition, control } = createInMemoryEngine({
  commands: { greet: ({ stdout, env }) => { stdout.write('hello from ' + env.PLACE); return 3; } },
});
const store = createMetaStore({ engines: [definition], pods: labelPods() });
const use = async () => {
  control.addPod({ namespace: 'shop', name: 'web-0', containers: [{ k8sName: 'main' }] });
  await store.start();
  try {
    const biz = mainBiz(store.getPod('shop', 'web-0'));
    const { exitCode, stdout } = await store.exec(biz, { cmd: ['greet'], env: { PLACE: 'memory' }, timeoutMs: 5_000 });
    console.log(exitCode, stdout.toString());
  } finally {
    await store.close();
  }
};`;
const expectedOfUse = '3 hello from memory\n';

const importing = `
import { mainBiz } from '@crikit/core';
import { createInMemoryEngine } from '@crikit/engine-conformance';
import { createMetaStore, labelPods } from '@crikit/metastore';
${useTheStore}
await use();`;

const requiring = `
const { mainBiz } = require('@crikit/core');
const { createInMemoryEngine } = require('@crikit/engine-conformance');
const { createMetaStore, labelPods } = require('@crikit/metastore');
${useTheStore}
use();`;

const registering = `
import { registeredEngines } from '@crikit/core';
${names.map((name) => `import '${name}';`).join('\n')}
console.log(registeredEngines().map(({ type }) => type).sort().join());`;

const projects = createScratchProjects('node');
afterAll(() => projects.remove());

let project: string;
let bundle: string;
beforeAll(async () => {
  project = await projects.install(
    'project',
    publicPackages().map(({ name }) => name),
  );
  const entry = join(project, 'main.mjs');
  writeFileSync(entry, `import '@crikit/engine-docker';\n${importing}`);
  bundle = join(project, 'bundle');
  await bundlers.esbuild(entry, bundle, ['dockerode']);
});

describe.each(releases)('Node %s', (release) => {
  let node: string;
  let missing: string | undefined;
  beforeAll(async () => {
    const folder = projects.create(`node-${release}`);
    const platform = `node-${process.platform}-${process.arch}`;
    const outcome = await run('npm', ['install', ...installSwitches, `${platform}@${release}`], folder).catch(
      (error: Error) => error,
    );
    node = join(folder, 'node_modules', platform, 'bin', 'node');
    if (!existsSync(node)) missing = `npm has no ${platform}@${release}: ${outcome.toString().trim()}`;
  });

  test('is what it says', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    expect(await run(node, ['--version'], project)).toMatch(new RegExp(`^v${release.replaceAll('.', '\\.')}\\b`));
  });

  test('imports every package, and the engines register', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    expect(await runProgram(project, 'register.mjs', registering, node)).toBe('containerd,docker,podman,pouch\n');
  });

  test('loads what the engines and the kubeconfig source load when they are used', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    const program = `for (const name of ['dockerode', '@grpc/grpc-js', '@bufbuild/protobuf', '@kubernetes/client-node', 'modern-tar'])
      await import(name);
      console.log('loaded');`;
    expect(await runProgram(project, 'load.mjs', program, node)).toBe('loaded\n');
  });

  test('runs a command through the store from an ES module', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    expect(await runProgram(project, 'use.mjs', importing, node)).toBe(expectedOfUse);
  });

  test('runs a command through the store from CommonJS', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    expect(await runProgram(project, 'use.cjs', requiring, node)).toBe(expectedOfUse);
  });

  test('runs a bundle', async ({ skip }) => {
    if (missing !== undefined) skip(missing);
    expect(await projects.runAlone(bundle, node)).toBe(expectedOfUse);
  });

  const commands = publicPackages().filter(({ isLibrary }) => !isLibrary);
  test.for(commands)('runs the command $name', async ({ name, manifest }, { skip }) => {
    if (missing !== undefined) skip(missing);
    const [file = ''] = Object.values(manifest.bin ?? {});
    expect(await run(node, [join(project, 'node_modules', name, file), '--help'], project)).toMatch(/^Usage: /);
  });
});
