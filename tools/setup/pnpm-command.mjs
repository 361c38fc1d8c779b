// @ts-check
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryRoot } from './tool-environment.mjs';

/**
 * How to start the pinned pnpm: the one that an earlier install left in node_modules, else npx fetches it.
 *
 * @returns {{ command: string, leadingArguments: readonly string[] }}
 */
export function pnpmCommand() {
  const wanted = readJson(join(repositoryRoot, 'package.json')).packageManager;
  const version = /^pnpm@(\d+\.\d+\.\d+)/.exec(wanted)?.[1];
  if (version === undefined) throw new Error(`package.json must pin pnpm in "packageManager", found ${wanted}`);
  const installed = join(repositoryRoot, 'node_modules', 'pnpm');
  try {
    if (readJson(join(installed, 'package.json')).version === version) {
      return { command: process.execPath, leadingArguments: [join(installed, 'bin', 'pnpm.cjs')] };
    }
  } catch {
    // Nothing installed yet.
  }
  return { command: 'npx', leadingArguments: ['--yes', `pnpm@${version}`] };
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
