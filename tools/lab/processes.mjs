// @ts-check
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LabError } from './lab-error.mjs';

/**
 * A process that can be recognised again: a pid alone may have been given to somebody else since.
 * @typedef {{ pid: number, startTime: string }} ProcessRecord
 */

/** Only these are ever signalled for having a lab directory in their arguments (an editor may have one too). */
const ENGINE_PROGRAMS =
  /^(dockerd|containerd|containerd-shim.*|docker-proxy|docker-init|unshare|tini|runc|crun|podman|conmon|ctr)$/;

/**
 * Polls until `condition` gives something other than undefined, null or false, and returns that.
 * @template T
 * @param {() => T | Promise<T>} condition
 * @param {{ timeoutMs: number, what: string, intervalMs?: number }} options
 * @returns {Promise<NonNullable<Awaited<T>>>}
 */
export async function waitUntil(condition, { timeoutMs, what, intervalMs = 25 }) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) return /** @type {any} */ (value);
    if (Date.now() > deadline) throw new LabError('LAB_TIMEOUT', `${what}: not within ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

/**
 * @param {number} pid
 * @returns {{ state: string, parentPid: number, startTime: string } | undefined} undefined when there is no such process
 */
function readProcessStat(pid) {
  let text;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The program's name stands in parentheses and may hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', parentPid: Number(fields[1]), startTime: fields[19] ?? '' };
}

/**
 * @param {number} pid
 * @returns {ProcessRecord | undefined}
 */
export function recordProcess(pid) {
  const stat = readProcessStat(pid);
  return stat === undefined ? undefined : { pid, startTime: stat.startTime };
}

/**
 * Whether exactly this process still runs. A zombie does not.
 * @param {ProcessRecord | undefined} record
 */
export function isAlive(record) {
  if (record === undefined) return false;
  const stat = readProcessStat(record.pid);
  return stat !== undefined && stat.startTime === record.startTime && stat.state !== 'Z' && stat.state !== 'X';
}

/**
 * @param {number} pid
 * @returns {string[]} empty for kernel threads, zombies and processes that are gone
 */
export function readCommandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

function listPids() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/**
 * The engines' processes (daemons, shims, their helpers) that have a path below `directory` in their arguments.
 * @param {string} directory
 * @returns {ProcessRecord[]}
 */
export function findEngineProcesses(directory) {
  const prefix = `${directory}/`;
  return listPids().flatMap((pid) => {
    const commandLine = readCommandLine(pid);
    if (!ENGINE_PROGRAMS.test(basename(commandLine[0] ?? ''))) return [];
    if (!commandLine.some((argument) => argument.includes(prefix))) return [];
    return recordProcess(pid) ?? [];
  });
}

/**
 * The first process named `program` among the descendants of `pid`, itself included.
 * @param {number} pid
 * @param {string} program
 * @returns {ProcessRecord | undefined}
 */
export function findDescendant(pid, program) {
  if (basename(readCommandLine(pid)[0] ?? '') === program) return recordProcess(pid);
  for (const child of listPids()) {
    if (readProcessStat(child)?.parentPid !== pid) continue;
    const found = findDescendant(child, program);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * @param {readonly number[]} ancestors
 * @returns {ProcessRecord[]} all their descendants, without themselves
 */
export function findDescendants(ancestors) {
  const parentOf = new Map(listPids().map((pid) => [pid, readProcessStat(pid)?.parentPid]));
  /** @type {(pid: number | undefined) => boolean} */
  const descends = (pid) => pid !== undefined && pid !== 0 && (ancestors.includes(pid) || descends(parentOf.get(pid)));
  return [...parentOf].flatMap(([pid, parent]) => (descends(parent) && recordProcess(pid)) || []);
}

/**
 * The control groups of a process, in all hierarchies, but those that we are in ourselves (or below).
 * @param {number} pid
 * @returns {string[]}
 */
export function readForeignCgroups(pid) {
  /** @type {(file: string) => string[]} */
  const read = (file) => {
    try {
      return readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => line.split(':').slice(2).join(':'));
    } catch {
      return [];
    }
  };
  const own = read('/proc/self/cgroup');
  const isOurs = (/** @type {string} */ cgroup) => own.some((path) => path === cgroup || path.startsWith(`${cgroup}/`));
  return [...new Set(read(`/proc/${pid}/cgroup`))].filter((cgroup) => cgroup !== '/' && !isOurs(cgroup));
}

/**
 * Sends a signal to exactly this process.
 * @param {ProcessRecord | undefined} record
 * @param {NodeJS.Signals} signal
 * @returns {boolean} false when it was gone already
 */
export function signalProcess(record, signal) {
  if (record === undefined || !isAlive(record)) return false;
  try {
    process.kill(record.pid, signal);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH') return false;
    throw error;
  }
}

/**
 * Asks with SIGTERM, insists with SIGKILL after `graceMs`, returns when the process is gone.
 * @param {ProcessRecord | undefined} record
 * @param {{ graceMs: number }} options
 */
export async function endProcess(record, { graceMs }) {
  if (!signalProcess(record, 'SIGTERM')) return;
  // A process that a test has stopped does not see SIGTERM before it is continued.
  signalProcess(record, 'SIGCONT');
  try {
    await waitUntil(() => !isAlive(record), { timeoutMs: graceMs, what: `end of process ${record?.pid}` });
  } catch {
    signalProcess(record, 'SIGKILL');
    await waitUntil(() => !isAlive(record), { timeoutMs: 10_000, what: `end of process ${record?.pid} after SIGKILL` });
  }
}

/**
 * @param {readonly ProcessRecord[]} records
 */
export async function killProcesses(records) {
  for (const record of records) signalProcess(record, 'SIGKILL');
  await waitUntil(() => records.every((record) => !isAlive(record)), {
    timeoutMs: 10_000,
    what: `end of processes ${records.map((record) => record.pid).join(', ')} after SIGKILL`,
  });
}

/**
 * The environment for engines and tools: a DOCKER_HOST or CONTAINERD_ADDRESS of the caller must not lead them elsewhere.
 * @param {readonly string[]} [firstInPath] folders to search before the system's
 * @returns {Record<string, string>}
 */
export function engineEnvironment(firstInPath = []) {
  return {
    PATH: [...firstInPath, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'].join(':'),
    HOME: process.env.HOME ?? '/root',
    LANG: 'C.UTF-8',
  };
}

/**
 * Starts a process in a session of its own, output appended to `logPath`, which outlives this one.
 * @param {{ program: string, arguments: readonly string[], logPath: string, environment?: Record<string, string> }} options
 * @returns {Promise<ProcessRecord>}
 */
export async function startDaemonProcess(options) {
  const log = openSync(options.logPath, 'a', 0o600);
  try {
    const child = spawn(options.program, options.arguments, {
      cwd: '/',
      detached: true,
      env: options.environment ?? engineEnvironment(),
      stdio: ['ignore', log, log],
    });
    await new Promise((resolve, reject) => {
      child.once('spawn', () => resolve(undefined));
      child.once('error', (error) =>
        reject(new LabError('LAB_START_FAILED', `cannot start ${options.program}: ${error.message}`, { cause: error })),
      );
    });
    child.unref();
    const record = recordProcess(/** @type {number} */ (child.pid));
    if (record === undefined)
      throw new LabError('LAB_START_FAILED', `${options.program} ended at once${lastLines(options.logPath)}`);
    return record;
  } finally {
    closeSync(log);
  }
}

/**
 * @param {string} logPath
 * @param {number} [count]
 * @returns {string} the end of a log as the tail of an error message
 */
export function lastLines(logPath, count = 25) {
  let text;
  try {
    text = readFileSync(logPath, 'utf8').trimEnd();
  } catch {
    return ` (no log at ${logPath})`;
  }
  return `; the end of ${logPath}:\n${text.split('\n').slice(-count).join('\n')}`;
}

/**
 * Runs a program to its end. A non-zero exit code is an error that holds the end of its output.
 * @param {string} program
 * @param {readonly string[]} commandArguments
 * @param {{ environment?: Record<string, string>, directory?: string, timeoutMs?: number }} [options] `directory` to run
 *   in, default `/`; `timeoutMs` default 120 s
 * @returns {Promise<{ stdout: string, stderr: string }>}
 */
export function runProgram(program, commandArguments, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, commandArguments, {
      cwd: options.directory ?? '/',
      env: options.environment ?? engineEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 120_000,
      killSignal: 'SIGKILL',
    });
    /** @type {Buffer[]} */
    const stdout = [];
    /** @type {Buffer[]} */
    const stderr = [];
    child.stdout.on('data', (chunk) => stdout.push(chunk));
    child.stderr.on('data', (chunk) => stderr.push(chunk));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const result = { stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
      if (code === 0) return resolve(result);
      const output = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-25).join('\n');
      reject(
        new Error(`${[program, ...commandArguments].join(' ')} ended with ${signal ?? `code ${code}`}: ${output}`),
      );
    });
  });
}

/**
 * Mount points below `directory` (itself included) in this mount namespace, in the order to unmount them.
 * @param {string} directory
 */
export function findMounts(directory) {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const path = line.split(' ')[4];
      if (path === undefined) return [];
      return path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)));
    })
    .filter((path) => path === directory || path.startsWith(`${directory}/`))
    .reverse();
}

/**
 * @param {string} directory
 */
export async function unmountAll(directory) {
  await waitUntil(
    async () => {
      const mounts = findMounts(directory);
      // Lazily: a process that still looks into the folder must not keep the lab from going.
      for (const path of mounts) await runProgram('umount', ['-l', path]).catch(() => {});
      return findMounts(directory).length === 0;
    },
    { timeoutMs: 10_000, what: `unmounting everything below ${directory}` },
  );
}

/**
 * The folders of a control group in every hierarchy (v1, hybrid and v2) that has it.
 * @param {string} cgroup absolute, as in /proc/PID/cgroup
 */
function findCgroupFolders(cgroup) {
  const top = '/sys/fs/cgroup';
  const hierarchies = [top, ...listFolders(top)];
  return hierarchies
    .map((hierarchy) => join(hierarchy, cgroup))
    .filter((folder) => existsSync(join(folder, 'cgroup.procs')));
}

/**
 * @param {string} folder
 * @returns {string[]} the folder and all below, children first
 */
function listCgroupTree(folder) {
  return [...listFolders(folder).flatMap(listCgroupTree), folder];
}

/**
 * Lets paused containers go on: under cgroup v1 a frozen process does not die of SIGKILL.
 * @param {string} cgroup absolute, as in /proc/PID/cgroup
 */
export function thawCgroup(cgroup) {
  for (const folder of findCgroupFolders(cgroup).flatMap(listCgroupTree)) {
    const freezer = join(folder, 'freezer.state');
    try {
      if (existsSync(freezer)) writeFileSync(freezer, 'THAWED');
    } catch {
      // It went while we looked.
    }
  }
}

/**
 * Kills every process in a control group and those below it, and removes them. Containers whose shim died with a signal
 * are found in no other way.
 * @param {string} cgroup absolute, as in /proc/PID/cgroup
 */
export async function removeCgroup(cgroup) {
  await waitUntil(
    () => {
      const folders = findCgroupFolders(cgroup).flatMap(listCgroupTree);
      for (const folder of folders) {
        try {
          for (const pid of readFileSync(join(folder, 'cgroup.procs'), 'utf8')
            .split('\n')
            .filter(Boolean)
            .map(Number)) {
            signalProcess(recordProcess(pid), 'SIGKILL');
          }
          rmdirSync(folder);
        } catch {
          // Busy until its processes are gone: the next round.
        }
      }
      return findCgroupFolders(cgroup).length === 0;
    },
    { timeoutMs: 10_000, what: `removing the control group ${cgroup}` },
  );
}

/**
 * containerd's shims listen in one folder for the whole machine; a shim that was killed leaves its socket there.
 * @param {string} taskDirectory `<state>/io.containerd.runtime.v2.task`
 */
export function removeShimSockets(taskDirectory) {
  const folders = listFolders(taskDirectory).flatMap(listFolders);
  for (const folder of folders) {
    const addressFile = join(folder, 'address');
    if (!existsSync(addressFile)) continue;
    const path = readFileSync(addressFile, 'utf8')
      .trim()
      .replace(/^unix:\/\//, '');
    if (dirname(path) === '/run/containerd/s') rmSync(path, { force: true });
  }
}

/**
 * @param {string} folder
 * @returns {string[]} the folders in it; none when it does not exist (any more)
 */
export function listFolders(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    return [];
  }
}
