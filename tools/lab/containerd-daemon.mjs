// @ts-check
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answersContainerd, readContainerdVersion } from './containerd-api.mjs';
import { containerdImageName, containerdPaths, startContainerd } from './containerd-process.mjs';
import { endEverythingIn, endRole, openDaemonFolder, removeDaemonFolder } from './daemon-folder.mjs';
import { createImageArchive, IMAGES } from './images.mjs';
import { ensureInstalled, requireProgram } from './machine.mjs';
import { ensureNewerRelease, programFolders } from './newer-release.mjs';
import { endProcess, isAlive, runProgram, signalProcess, waitUntil } from './processes.mjs';

/**
 * @typedef {object} ContainerdDaemonOptions
 * @property {string} [directory] folder for everything of the daemon, at most 68 bytes long; default: one in the lab's
 *   directory, so that `lab down` also ends what an interrupted test left
 * @property {string} [name] name of the default folder; the same name is the same daemon. Default: a new one each time
 * @property {boolean} [cri] default true: serves the kubelet's API too
 * @property {import('./newer-release.mjs').Release} [release] default `current`; `next`: containerd of the next Debian
 *   release, `rolling`: of Debian's unstable, each downloaded once into a cache
 */

/**
 * @typedef {object} ContainerdDaemon
 * @property {string} directory
 * @property {string} socketPath
 * @property {string} root
 * @property {string} state
 * @property {string} configPath
 * @property {string} logPath
 * @property {string} cgroup give pods a cgroup parent below it, `${cgroup}/kubepods`: what is in it goes with the daemon
 * @property {() => Promise<void>} start resolves when it answers, its CRI included; harmless when it runs already. Throws
 *   LAB_UNAVAILABLE, or LAB_START_FAILED with the end of the log
 * @property {(signal?: NodeJS.Signals) => Promise<void>} kill signals containerd alone (default SIGKILL) and, unless the
 *   signal only stops or continues it, resolves when it is gone. Shims and containers stay; `start()` finds them again
 * @property {() => Promise<void>} stop kills the containers and shims, ends containerd, removes mounts and control groups;
 *   data stays and `start()` works after it
 * @property {() => Promise<void>} destroy `stop`, then deletes the folder
 * @property {() => number | undefined} pid undefined when it does not run
 * @property {() => Promise<boolean>} isRunning whether it runs and answers
 * @property {() => Promise<string>} version of the running daemon
 * @property {(namespace: string, ...commandArguments: string[]) => Promise<string>} ctr runs `ctr` on it, gives its stdout
 */

const PACKAGES = { containerd: 'containerd', ctr: 'containerd' };

/**
 * A private containerd. Nothing runs before `start()`.
 * @param {ContainerdDaemonOptions} [options]
 * @returns {ContainerdDaemon}
 */
export function createContainerdDaemon(options = {}) {
  const { cri = true, release = 'current' } = options;
  const folder = openDaemonFolder({ kind: 'containerd', directory: options.directory, name: options.name });
  const { socketPath, root, state, configPath, logPath } = containerdPaths(folder.path);
  const findContainerd = () => folder.findProcess('containerd');

  /** @type {ContainerdDaemon} */
  const daemon = {
    directory: folder.path,
    socketPath,
    root,
    state,
    configPath,
    logPath,
    cgroup: folder.cgroup,

    async start() {
      await ensureInstalled({ ...(release === 'current' ? PACKAGES : {}), runc: 'runc' });
      if (release !== 'current') await ensureNewerRelease(release);
      if (await daemon.isRunning()) return;
      folder.make();
      // One that runs without answering is of no use.
      await endProcess(findContainerd(), { graceMs: 2_000 });
      await startContainerd(folder, { cri, firstInPath: programFolders(release) });
    },

    async kill(signal = 'SIGKILL') {
      const containerd = findContainerd();
      if (containerd === undefined || !signalProcess(containerd, signal)) return;
      if (signal === 'SIGSTOP' || signal === 'SIGCONT' || signal === 'SIGHUP' || signal === 'SIGUSR1') return;
      await waitUntil(() => !isAlive(containerd), { timeoutMs: 60_000, what: `containerd to end after ${signal}` });
    },

    async stop() {
      await endRole(folder, 'containerd');
      await endEverythingIn(folder.path);
      rmSync(socketPath, { force: true });
    },

    async destroy() {
      await daemon.stop();
      await removeDaemonFolder(folder.path);
    },

    pid: () => findContainerd()?.pid,

    async isRunning() {
      return findContainerd() !== undefined && (await answersContainerd(socketPath, cri));
    },

    version: () => readContainerdVersion(socketPath),

    async ctr(namespace, ...commandArguments) {
      const all = ['--address', socketPath, '--namespace', namespace, ...commandArguments];
      return (await runProgram(requireProgram('ctr', programFolders(release)), all)).stdout;
    },
  };
  return daemon;
}

/**
 * Makes the lab's images in a containerd, under `docker.io/crikit-lab/…`; those that it has already are left alone.
 * @param {ContainerdDaemon} daemon
 * @param {{ namespaces?: readonly string[] }} [options] default: `k8s.io` (the CRI's) and `default`
 * @returns {Promise<typeof IMAGES>} their short names
 */
export async function ensureContainerdImages(daemon, { namespaces = ['k8s.io', 'default'] } = {}) {
  const wanted = Object.values(IMAGES).map(containerdImageName);
  const archivePath = join(daemon.directory, 'images.tar');
  try {
    for (const namespace of namespaces) {
      const present = (await daemon.ctr(namespace, 'images', 'ls', '--quiet')).split('\n');
      if (wanted.every((name) => present.includes(name))) continue;
      writeFileSync(archivePath, await createImageArchive());
      await daemon.ctr(namespace, 'images', 'import', archivePath);
    }
  } finally {
    rmSync(archivePath, { force: true });
  }
  return IMAGES;
}

/**
 * @typedef {object} ContainerdContainerOptions
 * @property {string} id
 * @property {string} [namespace] default `default`
 * @property {string} [image] default `crikit-lab/busybox:1`
 * @property {readonly string[]} [cmd] default `['sleep', '1000000']`
 * @property {Readonly<Record<string, string>>} [labels] containerd adds those of the image
 * @property {Readonly<Record<string, string>>} [env]
 * @property {string} [workingDir]
 * @property {readonly string[]} [extraArguments] for `ctr run`, such as `--mount`
 */

/**
 * Runs a plain container, not a pod's, by `ctr run`. Its output goes nowhere, its network is empty.
 * @param {ContainerdDaemon} daemon
 * @param {ContainerdContainerOptions} options
 * @returns {Promise<{ id: string, namespace: string, pid: number }>}
 */
export async function runContainerdContainer(daemon, options) {
  const { id, namespace = 'default', image = IMAGES.busybox, cmd = ['sleep', '1000000'] } = options;
  /** @type {(flag: string, members?: Readonly<Record<string, string>>) => string[]} */
  const repeat = (flag, members = {}) => Object.entries(members).flatMap(([key, value]) => [flag, `${key}=${value}`]);
  await daemon.ctr(
    namespace,
    ...['run', '--detach', '--null-io', '--cgroup', `${daemon.cgroup}/${namespace}/${id}`],
    ...['--runc-root', containerdPaths(daemon.directory).runcRoot],
    ...repeat('--label', options.labels),
    ...repeat('--env', options.env),
    ...(options.workingDir === undefined ? [] : ['--cwd', options.workingDir]),
    ...(options.extraArguments ?? []),
    ...[containerdImageName(image), id, ...cmd],
  );
  const tasks = (await daemon.ctr(namespace, 'tasks', 'ls')).split('\n').map((line) => line.split(/\s+/));
  return { id, namespace, pid: Number(tasks.find(([task]) => task === id)?.[1] ?? 0) };
}

/**
 * Kills and removes a plain container with its snapshot. One that is gone already is fine.
 * @param {ContainerdDaemon} daemon
 * @param {{ id: string, namespace?: string }} container `namespace` default `default`
 */
export async function removeContainerdContainer(daemon, { id, namespace = 'default' }) {
  for (const command of [
    ['tasks', 'delete', '--force', id],
    ['containers', 'delete', id],
  ]) {
    await daemon.ctr(namespace, ...command).catch((error) => {
      if (!/not found/.test(error.message)) throw error;
    });
  }
}
