// @ts-check
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LabError } from './lab-error.mjs';
import { waitUntil } from './processes.mjs';

/** A socket's path has 108 bytes with the closing zero; containerd's longest addition to our folders is kept free. */
const LONGEST_DIRECTORY = 68;

/**
 * The first 8 hex digits of a text's sha256.
 * @param {string} text
 */
export function shortHash(text) {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

/** @returns {string} the repository that this file belongs to, without symbolic links */
export function repositoryRoot() {
  return realpathSync(join(dirname(fileURLToPath(import.meta.url)), '..', '..'));
}

/**
 * The folder of this clone's lab: CRIKIT_LAB_DIR, else one under the system's temporary folder whose name comes from the
 * clone's path, so that two clones never share one. It need not exist.
 * @returns {string}
 */
export function labDirectory() {
  const chosen = process.env.CRIKIT_LAB_DIR;
  const directory = chosen ? resolve(chosen) : join(tmpdir(), `crikit-lab-${shortHash(repositoryRoot())}`);
  return resolveParents(directory);
}

/**
 * With the symbolic links of what exists of its parents resolved: /proc knows mounts only so.
 * @param {string} path absolute
 * @returns {string}
 */
function resolveParents(path) {
  const parent = dirname(path);
  try {
    return join(realpathSync(parent), basename(path));
  } catch {
    return parent === path ? path : join(resolveParents(parent), basename(path));
  }
}

/**
 * Where a daemon's folder will be; throws when sockets in it would have paths that are too long.
 * @param {string} directory
 * @returns {string} absolute, without symbolic links in its parents
 */
export function resolveDirectory(directory) {
  const path = resolveParents(resolve(directory));
  if (Buffer.byteLength(path) > LONGEST_DIRECTORY) {
    throw new LabError(
      'LAB_START_FAILED',
      `${path} is too long for unix sockets in it: at most ${LONGEST_DIRECTORY} bytes`,
    );
  }
  return path;
}

/**
 * Makes a folder for this user alone, and refuses one that somebody else has put there.
 * @param {string} path absolute
 */
export function makeOwnDirectory(path) {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const stat = lstatSync(path);
  if (!stat.isDirectory() || stat.uid !== process.getuid?.()) {
    throw new LabError('LAB_START_FAILED', `${path} is not a folder of this user; remove it or set CRIKIT_LAB_DIR`);
  }
}

/**
 * @param {string} path
 * @returns {any} undefined when there is no such file or it holds no JSON
 */
export function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Readers never see half of it.
 * @param {string} path
 * @param {unknown} value
 */
export function writeJson(path, value) {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}

/**
 * Runs `action` while no other process of this machine does so for the same folder. The lock is an abstract socket: the
 * kernel takes it back however its holder ends, so there is no stale lock to judge.
 * @template T
 * @param {string} directory
 * @param {AbortSignal | undefined} signal ends the wait for the lock, not the action
 * @param {() => Promise<T>} action
 * @returns {Promise<T>}
 */
export async function withLabLock(directory, signal, action) {
  const tryLock = () => {
    signal?.throwIfAborted();
    return tryListen(`\0crikit-lab-${shortHash(directory)}`);
  };
  const server = await waitUntil(tryLock, {
    timeoutMs: 600_000,
    intervalMs: 100,
    what: `another up or down of ${directory} to end`,
  });
  try {
    return await action();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/**
 * @param {string} name
 * @returns {Promise<import('node:net').Server | undefined>} undefined when somebody else listens
 */
function tryListen(name) {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(name, () => {
      server.unref();
      resolve(server);
    });
  });
}
