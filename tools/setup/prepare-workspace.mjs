// @ts-check
import { pnpmCommand } from './pnpm-command.mjs';
import { runCommand } from './run-command.mjs';
import { repositoryRoot, toolEnvironment } from './tool-environment.mjs';

const MINUTE = 60_000;

/**
 * Installs what the lock file names. Quick and offline when everything is there.
 *
 * @param {AbortSignal} [signal]
 */
export function installDependencies(signal) {
  const { command, leadingArguments } = pnpmCommand();
  return runCommand(
    command,
    // Without the setting pnpm stops, where there is no terminal, to ask whether it may replace node_modules.
    [...leadingArguments, 'install', '--frozen-lockfile', '--prod=false', '--config.confirm-modules-purge=false'],
    { cwd: repositoryRoot, env: toolEnvironment(), timeoutMs: 10 * MINUTE, ...(signal && { signal }) },
  );
}

/**
 * Builds all packages; turbo skips what did not change.
 *
 * @param {AbortSignal} [signal]
 */
export function buildPackages(signal) {
  return runCommand('turbo', ['run', 'build', '--output-logs=errors-only', '--concurrency=2'], {
    cwd: repositoryRoot,
    env: toolEnvironment(),
    timeoutMs: 10 * MINUTE,
    ...(signal && { signal }),
  });
}
