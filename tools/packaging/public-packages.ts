import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pnpmCommand } from '../setup/pnpm-command.mjs';
import { runCommand } from '../setup/run-command.mjs';
import { repositoryRoot, toolEnvironment } from '../setup/tool-environment.mjs';

export interface WorkspacePackage {
  readonly name: string;
  readonly directory: string;
  readonly manifest: PackageManifest;
  /** False for a package that is a command only: nothing of it can be imported. */
  readonly isLibrary: boolean;
}

export interface PackageManifest {
  readonly version: string;
  readonly private?: boolean;
  readonly sideEffects?: boolean | readonly string[];
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly publishConfig?: unknown;
  readonly repository?: { readonly directory?: string };
}

/** Every package of this repository that is published. */
export function publicPackages(): readonly WorkspacePackage[] {
  return workspacePackages().filter(({ manifest }) => manifest.private !== true);
}

/** Those and the ones that are built into them, or not published yet. */
export function workspacePackages(): readonly WorkspacePackage[] {
  const folder = join(repositoryRoot, 'packages');
  return readdirSync(folder)
    .map((entry) => join(folder, entry))
    .map((directory) => ({ directory, manifest: JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) }))
    .map(({ directory, manifest }) => ({
      name: manifest.name,
      directory,
      manifest,
      isLibrary: manifest.exports?.['.'] !== undefined,
    }));
}

/** Those that can be imported. */
export function libraries(): readonly WorkspacePackage[] {
  return publicPackages().filter(({ isLibrary }) => isLibrary);
}

/** Packs a package as it would be published, and returns the path of its tarball. */
export async function packPackage({ directory }: WorkspacePackage, destination: string): Promise<string> {
  const { command, leadingArguments } = pnpmCommand();
  const output = await run(
    command,
    [...leadingArguments, 'pack', '--json', '--pack-destination', destination],
    directory,
  );
  const { filename } = JSON.parse(output) as { filename: string };
  return filename;
}

/** Runs a command to its end and returns its stdout. Throws, with all output, unless its exit code is 0. */
export async function run(
  command: string,
  commandArguments: readonly string[],
  directory: string,
  environment: NodeJS.ProcessEnv = toolEnvironment(),
): Promise<string> {
  const outcome = await runCommand(command, commandArguments, {
    cwd: directory,
    env: environment,
    output: 'collect',
    timeoutMs: 280_000,
  });
  if (!outcome.ok) throw new Error(`${command} ${commandArguments.join(' ')}: ${outcome.reason}\n${outcome.output}`);
  return outcome.stdout;
}
