import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type EngineDefinition, InvalidArgumentError, registeredEngines } from '@crikit/core';
import type { GlobalOptions } from './command-context.js';
import { isTrusted } from './read-configuration.js';

/** The engines that come with the command; importing one costs a few milliseconds, and connects nothing. */
const ownEngines: Readonly<Record<string, () => Promise<unknown>>> = {
  docker: () => import('@crikit/engine-docker'),
  containerd: () => import('@crikit/engine-containerd'),
  podman: () => import('@crikit/engine-podman'),
  pouch: () => import('@crikit/engine-pouch'),
};

/** The word in the `keywords` of a package that brings an engine. */
const engineKeyword = 'crikit-engine';

/**
 * Imports the packages of engines, and gives what a store is to choose from: the command's own (only those that are
 * asked for by type, if any are), those that are named, and those among the dependencies of the project in the working
 * directory. Throws `InvalidArgumentError` for a named package that cannot be imported.
 */
export async function loadEngines(
  options: Pick<GlobalOptions, 'engine' | 'enginePackage' | 'containerdNamespace'>,
  workingDirectory: string,
): Promise<'all' | readonly string[] | readonly EngineDefinition[]> {
  const { engine: types, enginePackage, containerdNamespace: namespaces = [] } = options;
  const own = Object.keys(ownEngines).filter((type) => types.length === 0 || types.includes(type));
  await Promise.all([
    ...own.map((type) => ownEngines[type]?.()),
    ...enginePackage.map((name) => importPackage(name, workingDirectory)),
    ...listProjectEngines(workingDirectory).map((name) => importPackage(name, workingDirectory)),
  ]);
  const wanted = types.length === 0 ? undefined : [...new Set(types)];
  if (namespaces.length === 0 || !(wanted ?? own).includes('containerd')) return wanted ?? 'all';
  const { containerd } = await import('@crikit/engine-containerd');
  const chosen = registeredEngines().filter(({ type }) => wanted === undefined || wanted.includes(type));
  const missing = wanted?.find((type) => !chosen.some((definition) => definition.type === type));
  if (missing !== undefined) throw new InvalidArgumentError(describeMissing(missing));
  return chosen.map((definition) =>
    definition.packageName === '@crikit/engine-containerd' ? containerd({ namespaces }) : definition,
  );
}

/** The packages that `loadEngines` would import, and what to import for each. Throws for none of them. */
export function listEnginePackages(
  { engine: types, enginePackage }: Pick<GlobalOptions, 'engine' | 'enginePackage'>,
  workingDirectory: string,
): readonly { readonly name: string; readonly specifier: string }[] {
  const own = Object.keys(ownEngines)
    .filter((type) => types.length === 0 || types.includes(type))
    .map((type) => `@crikit/engine-${type}`);
  const others = [...new Set([...enginePackage, ...listProjectEngines(workingDirectory)])];
  return [
    ...own.map((name) => ({ name, specifier: name })),
    ...others.map((name) => ({ name, specifier: locate(name, workingDirectory) })),
  ];
}

function describeMissing(type: string): string {
  return `No package that is installed brings an engine '${type}'. Name its package by --engine-package.`;
}

async function importPackage(name: string, workingDirectory: string): Promise<void> {
  try {
    await import(locate(name, workingDirectory));
  } catch (error) {
    throw new InvalidArgumentError(
      `The engine package '${name}' cannot be loaded: ${error instanceof Error ? error.message : String(error)}. ` +
        `Install it in ${workingDirectory} or beside crikit.`,
    );
  }
}

/** As seen from the working directory; what is not found there is left to the import to find beside this command. */
function locate(name: string, workingDirectory: string): string {
  try {
    return pathToFileURL(createRequire(join(workingDirectory, 'package.json')).resolve(name)).href;
  } catch {
    return name;
  }
}

function listProjectEngines(workingDirectory: string): readonly string[] {
  const path = join(workingDirectory, 'package.json');
  if (!isTrusted(path)) return [];
  const { dependencies, devDependencies } = readManifest(path);
  return Object.keys({ ...dependencies, ...devDependencies }).filter((name) => {
    const manifest = join(workingDirectory, 'node_modules', name, 'package.json');
    if (name.startsWith('@crikit/') || !existsSync(manifest) || !isTrusted(manifest)) return false;
    const { keywords } = readManifest(manifest);
    return Array.isArray(keywords) && keywords.includes(engineKeyword);
  });
}

interface Manifest {
  readonly dependencies?: object;
  readonly devDependencies?: object;
  readonly keywords?: unknown;
}

function readManifest(path: string): Manifest {
  try {
    return (JSON.parse(readFileSync(path, 'utf8')) as Manifest | null) ?? {};
  } catch {
    return {};
  }
}
