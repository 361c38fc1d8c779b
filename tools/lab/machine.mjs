// @ts-check
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LabError } from './lab-error.mjs';
import { engineEnvironment, runProgram } from './processes.mjs';

const CAP_SYS_ADMIN = 21n;
const POLICY = '/usr/sbin/policy-rc.d';

/**
 * Throws LAB_UNAVAILABLE with the reason unless this machine may run engines at all.
 */
export function requireEngineMachine() {
  if (process.platform !== 'linux') throw unavailable(`real engines need Linux, this is ${process.platform}`);
  if (process.getuid?.() !== 0) throw unavailable('real engines need root');
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  if (capabilities !== undefined && ((BigInt(`0x${capabilities}`) >> CAP_SYS_ADMIN) & 1n) === 0n) {
    throw unavailable('real engines need CAP_SYS_ADMIN, which this root does not have (an unprivileged container?)');
  }
}

/**
 * @param {string} reason
 * @param {unknown} [cause]
 */
export function unavailable(reason, cause) {
  return new LabError('LAB_UNAVAILABLE', `no lab on this machine: ${reason}`, { cause });
}

/**
 * @param {string} program
 * @param {readonly string[]} [firstInPath]
 * @returns {string | undefined} its absolute path
 */
export function findProgram(program, firstInPath = []) {
  const folders = (engineEnvironment(firstInPath).PATH ?? '').split(':');
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path) && statSync(path).isFile());
}

/**
 * @param {string} program
 * @param {readonly string[]} [firstInPath]
 * @returns {string}
 */
export function requireProgram(program, firstInPath = []) {
  const path = findProgram(program, firstInPath);
  if (path === undefined) throw unavailable(`${program} is not installed`);
  return path;
}

/**
 * Installs what is missing, nothing is upgraded and no service is started.
 * @param {Record<string, string>} packageOfPath Debian package for each program (`dockerd`) or absolute path
 */
export async function ensureInstalled(packageOfPath) {
  requireEngineMachine();
  const missing = () => {
    const names = Object.entries(packageOfPath).filter(([path]) =>
      path.startsWith('/') ? !existsSync(path) : findProgram(path) === undefined,
    );
    return [...new Set(names.map(([, name]) => name))];
  };
  if (missing().length === 0) return;
  if (!isDebianLike()) {
    throw unavailable(`${missing().join(', ')} missing, and packages are installed on Debian and Ubuntu only`);
  }
  await withoutServiceStart(async () => {
    try {
      await aptInstall(missing());
    } catch {
      // The package lists may be absent or too old to be true any more.
      await aptGet('/', 'update').catch(() => {});
      await aptInstall(missing());
    }
  }).catch((error) => {
    throw unavailable(`cannot install ${missing().join(', ')}: ${error.message}`, error);
  });
  if (missing().length > 0) throw unavailable(`${missing().join(', ')} installed, but their programs are not there`);
}

function isDebianLike() {
  if (findProgram('apt-get') === undefined || !existsSync('/etc/os-release')) return false;
  return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8'));
}

/**
 * @param {readonly string[]} names
 */
function aptInstall(names) {
  return aptGet('/', 'install', '-y', '--no-install-recommends', '--no-upgrade', ...names);
}

/**
 * @param {string} directory where `download` puts its files
 * @param {readonly string[]} commandArguments
 */
export function aptGet(directory, ...commandArguments) {
  const environment = { ...engineEnvironment(), DEBIAN_FRONTEND: 'noninteractive' };
  // The machine's own proxies are kept: without them its mirror may be out of reach.
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'APT_CONFIG']) {
    const value = process.env[name];
    if (value !== undefined) Object.assign(environment, { [name]: value });
  }
  return runProgram('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...commandArguments], {
    directory,
    environment,
    timeoutMs: 600_000,
  });
}

/**
 * @template T
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
async function withoutServiceStart(action) {
  if (existsSync(POLICY)) return action();
  writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
  chmodSync(POLICY, 0o755);
  try {
    return await action();
  } finally {
    rmSync(POLICY, { force: true });
  }
}
