// @ts-check
import { pnpmCommand } from './pnpm-command.mjs';
import { runCommand } from './run-command.mjs';
import { repositoryRoot, toolEnvironment } from './tool-environment.mjs';

const MINUTE = 60_000;

/**
 * Installs what the lock file names. Quick and offline when everything is there.
 *
 * @param {AbortSignal} [signal]
 * @param {'show' | 'collect'} [output] Default: show.
 */
export async function installDependencies(signal, output = 'show') {
  const own = pnpmCommand();
  const outcome = await install(own, signal, output);
  // Where it has to make node_modules anew, a pnpm that runs from there removes itself on the way.
  const other = pnpmCommand();
  return outcome.ok || own.command === other.command || signal?.aborted ? outcome : install(other, signal, output);
}

/**
 * @param {ReturnType<typeof pnpmCommand>} pnpm
 * @param {AbortSignal | undefined} signal
 * @param {'show' | 'collect'} output
 */
function install({ command, leadingArguments }, signal, output) {
  return runCommand(
    command,
    // Without the setting pnpm stops, where there is no terminal, to ask whether it may replace node_modules.
    [...leadingArguments, 'install', '--frozen-lockfile', '--prod=false', '--config.confirm-modules-purge=false'],
    { cwd: repositoryRoot, env: toolEnvironment(), timeoutMs: 10 * MINUTE, output, ...(signal && { signal }) },
  );
}

/**
 * Builds all packages; turbo skips what did not change.
 *
 * @param {AbortSignal} [signal]
 * @param {'show' | 'collect'} [output] Default: show.
 */
export function buildPackages(signal, output = 'show') {
  return runCommand('turbo', ['run', 'build', '--output-logs=errors-only', '--concurrency=2'], {
    cwd: repositoryRoot,
    env: toolEnvironment(),
    timeoutMs: 10 * MINUTE,
    output,
    ...(signal && { signal }),
  });
}
