// @ts-check
import { existsSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { labDirectory, makeOwnDirectory, readJson, resolveDirectory, shortHash, writeJson } from './lab-directory.mjs';
import { LabError } from './lab-error.mjs';
import {
  endProcess,
  findDescendants,
  findEngineProcesses,
  findMounts,
  isAlive,
  killProcesses,
  listFolders,
  readCommandLine,
  readForeignCgroups,
  removeCgroup,
  removeShimSockets,
  thawCgroup,
  unmountAll,
} from './processes.mjs';

const RECORD = 'daemon.json';

/** @typedef {import('./processes.mjs').ProcessRecord} ProcessRecord */

/**
 * What is written down about a daemon, so that another process can find and stop it.
 * @typedef {{ kind: string, cgroup: string, processes: Record<string, ProcessRecord>, port?: number }} DaemonRecord
 */

let unnamed = 0;

/**
 * A folder that holds everything of one daemon: sockets, data, logs, and the record of its processes.
 * @param {{ kind: string, directory?: string | undefined, name?: string | undefined }} options
 */
export function openDaemonFolder({ kind, directory, name }) {
  unnamed += 1;
  const path = resolveDirectory(directory ?? join(labDirectory(), name ?? `${kind}-${process.pid}-${unnamed}`));
  const recordPath = join(path, RECORD);
  /** @type {DaemonRecord} */
  const empty = { kind, cgroup: `/crikit-lab-${shortHash(path)}`, processes: {} };

  /** @returns {DaemonRecord} */
  const read = () => readJson(recordPath) ?? empty;
  return {
    path,
    /** Control group over all containers of this daemon. */
    cgroup: empty.cgroup,
    read,
    /** Makes the folder. It is known to `lab down` from here on. */
    make() {
      if (dirname(path) === labDirectory()) makeOwnDirectory(dirname(path));
      makeOwnDirectory(path);
      writeJson(recordPath, read());
    },
    /**
     * @param {string} role
     * @returns {ProcessRecord | undefined} the process in that role, when it still runs and still is ours
     */
    findProcess(role) {
      const record = read().processes[role];
      if (!isAlive(record) || record === undefined) return undefined;
      const commandLine = readCommandLine(record.pid);
      // For a moment after its start a process has no arguments yet: the kernel closes what it must not inherit, by which
      // we know that it was started, before it hands them over.
      const isOurs = commandLine.length === 0 || commandLine.some((argument) => argument.includes(`${path}/`));
      return isOurs ? record : undefined;
    },
    /**
     * @param {string} role
     * @param {ProcessRecord} record
     */
    recordProcess(role, record) {
      const current = read();
      writeJson(recordPath, { ...current, processes: { ...current.processes, [role]: record } });
    },
    /** @param {Partial<DaemonRecord>} members */
    update(members) {
      writeJson(recordPath, { ...read(), ...members });
    },
  };
}

/** @typedef {ReturnType<typeof openDaemonFolder>} DaemonFolder */

/**
 * Ends whatever of an engine still runs from this folder, and its containers; removes its control groups and mounts.
 * The files stay.
 * @param {string} directory
 */
export async function endEverythingIn(directory) {
  const processes = findEngineProcesses(directory);
  const containers = findDescendants(
    processes
      .filter(({ pid }) => /^(containerd-shim.*|conmon)$/.test(basename(readCommandLine(pid)[0] ?? '')))
      .map(({ pid }) => pid),
  );
  const record = /** @type {DaemonRecord | undefined} */ (readJson(join(directory, RECORD)));
  const cgroups = new Set(containers.flatMap(({ pid }) => readForeignCgroups(pid)));
  if (record !== undefined) cgroups.add(record.cgroup);
  for (const cgroup of cgroups) thawCgroup(cgroup);
  await killProcesses([...containers, ...processes]);
  for (const cgroup of cgroups) await removeCgroup(cgroup);
  for (const state of ['containerd/state', 'exec/containerd/daemon']) {
    removeShimSockets(join(directory, state, 'io.containerd.runtime.v2.task'));
  }
  await unmountAll(directory);
}

/**
 * @param {string} directory
 */
export async function removeDaemonFolder(directory) {
  await endEverythingIn(directory);
  // A mount that came back would be emptied with the folder, and it may be somebody's.
  const mounts = findMounts(directory);
  if (mounts.length > 0) throw new LabError('LAB_STOP_FAILED', `still mounted, so not deleted: ${mounts.join(', ')}`);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/**
 * @param {string} directory
 * @returns {string[]} the folders of daemons directly in `directory`
 */
export function listDaemonFolders(directory) {
  return listFolders(directory).filter((folder) => existsSync(join(folder, RECORD)));
}

/**
 * @param {DaemonFolder} folder
 * @param {string} role
 * @param {number} [graceMs] default 10 s
 */
export async function endRole(folder, role, graceMs = 10_000) {
  await endProcess(folder.findProcess(role), { graceMs });
}
