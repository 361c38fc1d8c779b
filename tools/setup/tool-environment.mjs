// @ts-check
import { delimiter, join } from 'node:path';

export const repositoryRoot = join(import.meta.dirname, '..', '..');

// What says how to reach a registry. All else that an outer `npm run` puts into the environment (its own switches,
// such as `yes`, `workspace` or `omit`) would steer the package managers that we start.
const keptSettings = new Set([
  'registry',
  'userconfig',
  'globalconfig',
  'cache',
  'cafile',
  'ca',
  'strict_ssl',
  'proxy',
  'http_proxy',
  'https_proxy',
  'noproxy',
]);

/**
 * The environment for the tools of this repository: its own commands first in PATH, free of what an outer npm left,
 * and no tool phones home.
 *
 * @param {NodeJS.ProcessEnv} [from] Default: this process's environment.
 * @returns {NodeJS.ProcessEnv}
 */
export function toolEnvironment(from = process.env) {
  /** @type {NodeJS.ProcessEnv} */
  const environment = {};
  for (const [name, value] of Object.entries(from)) {
    const setting = /^npm_config_(.*)$/i.exec(name)?.[1];
    const kept = setting === undefined ? !/^npm_/.test(name) : isKept(setting);
    if (kept) environment[name] = value;
  }
  // Would leave out the development dependencies.
  delete environment.NODE_ENV;
  environment.PATH = [join(repositoryRoot, 'node_modules', '.bin'), from.PATH ?? ''].join(delimiter);
  environment.TURBO_TELEMETRY_DISABLED = '1';
  environment.TURBO_NO_UPDATE_NOTIFIER = '1';
  environment.DO_NOT_TRACK = '1';
  return environment;
}

/** @param {string} setting */
function isKept(setting) {
  const name = setting.toLowerCase().replaceAll('-', '_');
  return keptSettings.has(name) || name.startsWith('//') || name.startsWith('@');
}
