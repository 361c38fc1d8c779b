// @ts-check
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { containerdPaths, startContainerd } from './containerd-process.mjs';
import { endEverythingIn, endRole, openDaemonFolder, removeDaemonFolder } from './daemon-folder.mjs';
import { answersPing, dockerRequest } from './docker-api.mjs';
import { LabError } from './lab-error.mjs';
import { ensureInstalled, requireProgram } from './machine.mjs';
import { ensureNewerRelease, programFolders } from './newer-release.mjs';
import {
  endProcess,
  engineEnvironment,
  findDescendant,
  isAlive,
  lastLines,
  signalProcess,
  startDaemonProcess,
  waitUntil,
} from './processes.mjs';

/**
 * @typedef {object} DockerDaemonOptions
 * @property {string} [directory] folder for everything of the daemon, at most 68 bytes long; default: one in the lab's
 *   directory, so that `lab down` also ends what an interrupted test left
 * @property {string} [name] name of the default folder; the same name is the same daemon. Default: a new one each time
 * @property {boolean} [liveRestore] default false; true: containers outlive dockerd
 * @property {boolean} [tcp] default false; true: listens on 127.0.0.1 too, on a free port that it keeps over restarts
 * @property {boolean} [newPidNamespace] default false; true: dockerd, its containerd and containers live in a pid and a
 *   mount namespace of their own, as a remote daemon's would: their pids mean nothing here and their mounts are not seen
 *   here. Everything in it dies with dockerd, so it cannot be had with `liveRestore`
 * @property {Exclude<import('./newer-release.mjs').Release, 'rolling'>} [release] default `current`; `next`: dockerd and containerd of the next
 *   Debian release, downloaded once into a cache
 * @property {readonly string[]} [extraArguments] for dockerd
 */

/**
 * @typedef {object} DockerDaemon
 * @property {string} directory
 * @property {string} socketPath
 * @property {string} endpoint the same, as the helpers for containers and images want it
 * @property {string | undefined} tcpEndpoint `tcp://127.0.0.1:<port>`; undefined without `tcp`, and before the first start
 * @property {string} pidFile dockerd's own; in a new pid namespace it holds a pid of that namespace
 * @property {string} dataRoot
 * @property {string} execRoot
 * @property {string} containerdSocketPath
 * @property {string} logPath
 * @property {string} cgroup the control group over all its containers, `/crikit-lab-<hash>`
 * @property {() => Promise<void>} start resolves when it answers; harmless when it runs already. Throws LAB_UNAVAILABLE,
 *   or LAB_START_FAILED with the end of the log
 * @property {(signal?: NodeJS.Signals) => Promise<void>} kill signals dockerd alone (default SIGKILL) and, unless the
 *   signal only stops or continues it, resolves when it is gone. Its containerd and containers stay; `start()` works
 *   after it
 * @property {() => Promise<void>} stop kills the containers, ends dockerd and containerd, removes mounts and control
 *   groups; data stays and `start()` works after it
 * @property {() => Promise<void>} destroy `stop`, then deletes the folder
 * @property {() => number | undefined} pid dockerd's pid, in our pid namespace; undefined when it does not run
 * @property {() => Promise<boolean>} isRunning whether it runs and answers
 * @property {(method: string, path: string, options?: { body?: unknown, timeoutMs?: number }) => Promise<any>} request
 *   one request of its HTTP API
 * @property {() => Promise<{ version: string, apiVersion: string }>} version of the running daemon
 */

const PACKAGES = { dockerd: 'docker.io', containerd: 'containerd' };

/**
 * A private Docker daemon with a containerd of its own, no bridge and no change to the machine's network. Nothing runs
 * before `start()`.
 * @param {DockerDaemonOptions} [options]
 * @returns {DockerDaemon}
 */
export function createDockerDaemon(options = {}) {
  const {
    liveRestore = false,
    tcp = false,
    newPidNamespace = false,
    release = 'current',
    extraArguments = [],
  } = options;
  if (liveRestore && newPidNamespace) throw new TypeError('liveRestore and newPidNamespace exclude each other');
  const folder = openDaemonFolder({ kind: 'docker', directory: options.directory, name: options.name });
  const socketPath = join(folder.path, 'docker.sock');
  const pidFile = join(folder.path, 'dockerd.pid');
  const dataRoot = join(folder.path, 'data');
  const execRoot = join(folder.path, 'exec');
  const logPath = join(folder.path, 'dockerd.log');
  const containerdSocketPath = newPidNamespace
    ? join(execRoot, 'containerd', 'containerd.sock')
    : containerdPaths(folder.path).socketPath;

  /** The process that we started: dockerd, or unshare with dockerd somewhere below. */
  const findRoot = () => folder.findProcess('dockerd');
  const findDockerd = () => {
    const root = findRoot();
    return root === undefined || !newPidNamespace ? root : findDescendant(root.pid, 'dockerd');
  };
  const port = () => folder.read().port;

  const daemonArguments = () => [
    ...['-H', `unix://${socketPath}`],
    ...(tcp ? ['-H', `tcp://127.0.0.1:${port()}`, '--tls=false'] : []),
    ...['--data-root', dataRoot, '--exec-root', execRoot, '--pidfile', pidFile],
    // dockerd starts and ends a containerd itself where it is given none: in a pid namespace both must be inside.
    ...(newPidNamespace ? [] : ['--containerd', containerdSocketPath]),
    ...['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false'],
    ...['--exec-opt', 'native.cgroupdriver=cgroupfs', '--cgroup-parent', `${folder.cgroup}/docker`],
    ...(liveRestore ? ['--live-restore'] : []),
    ...extraArguments,
  ];

  const launch = async () => {
    // dockerd refuses to start when the pid in an old file, its containerd's too, is in use: in a new pid namespace
    // that is likely, even by itself.
    rmSync(pidFile, { force: true });
    if (newPidNamespace) rmSync(join(execRoot, 'containerd', 'containerd.pid'), { force: true });
    rmSync(socketPath, { force: true });
    const firstInPath = programFolders(release);
    const dockerd = requireProgram('dockerd', firstInPath);
    const inNamespace = [
      '--pid',
      '--fork',
      '--mount-proc',
      '--kill-child=SIGKILL',
      '--',
      requireProgram('tini'),
      '--',
      dockerd,
    ];
    const started = await startDaemonProcess({
      program: newPidNamespace ? requireProgram('unshare') : dockerd,
      arguments: [...(newPidNamespace ? inNamespace : []), ...daemonArguments()],
      logPath,
      environment: engineEnvironment(firstInPath),
    });
    folder.recordProcess('dockerd', started);
    await waitUntil(
      () => {
        if (!isAlive(started)) throw new LabError('LAB_START_FAILED', `dockerd ended${lastLines(logPath)}`);
        return answersPing(socketPath);
      },
      { timeoutMs: 60_000, what: 'dockerd to answer' },
    ).catch((error) => {
      if (error.code !== 'LAB_TIMEOUT') throw error;
      throw new LabError('LAB_START_FAILED', `${error.message}${lastLines(logPath)}`);
    });
  };

  const killContainers = async () => {
    const running = await dockerRequest(socketPath, 'GET', '/containers/json', { timeoutMs: 5_000 });
    const kill = (/** @type {{ Id: string }} */ { Id }) =>
      dockerRequest(socketPath, 'POST', `/containers/${Id}/kill`, { timeoutMs: 10_000 });
    await Promise.allSettled(running.map(kill));
  };

  /** @type {DockerDaemon} */
  const daemon = {
    directory: folder.path,
    socketPath,
    endpoint: socketPath,
    get tcpEndpoint() {
      return tcp && port() !== undefined ? `tcp://127.0.0.1:${port()}` : undefined;
    },
    pidFile,
    dataRoot,
    execRoot,
    containerdSocketPath,
    logPath,
    cgroup: folder.cgroup,

    async start() {
      await ensureInstalled({
        ...(release === 'current' ? PACKAGES : {}),
        ...(newPidNamespace ? { tini: 'tini' } : {}),
        runc: 'runc',
      });
      if (release !== 'current') await ensureNewerRelease(release);
      if (await daemon.isRunning()) return;
      folder.make();
      // One that runs without answering is of no use; with its pid in the file it would only be in the way.
      await endProcess(findDockerd(), { graceMs: 2_000 });
      await endProcess(findRoot(), { graceMs: 0 });
      if (newPidNamespace) await endEverythingIn(folder.path);
      else await startContainerd(folder, { cri: false, firstInPath: programFolders(release) });
      for (let attempt = 1; ; attempt += 1) {
        if (tcp && port() === undefined) folder.update({ port: await findFreePort() });
        try {
          await launch();
          return;
        } catch (error) {
          const portWasTaken = tcp && /address already in use/.test(String(error));
          if (!portWasTaken || attempt === 3) throw error;
          folder.update({ port: await findFreePort() });
        }
      }
    },

    async kill(signal = 'SIGKILL') {
      const dockerd = findDockerd();
      const root = findRoot();
      if (dockerd === undefined || !signalProcess(dockerd, signal)) return;
      if (signal === 'SIGSTOP' || signal === 'SIGCONT' || signal === 'SIGHUP' || signal === 'SIGUSR1') return;
      await waitUntil(() => !isAlive(dockerd) && (root === undefined || !isAlive(root)), {
        timeoutMs: 60_000,
        what: `dockerd to end after ${signal}`,
      });
    },

    async stop() {
      signalProcess(findDockerd(), 'SIGCONT');
      // Left to itself dockerd gives each container 10 s to end.
      await killContainers().catch(() => {});
      await endProcess(findDockerd(), { graceMs: 10_000 });
      await endProcess(findRoot(), { graceMs: 1_000 });
      await endRole(folder, 'containerd');
      await endEverythingIn(folder.path);
      for (const path of [pidFile, socketPath]) rmSync(path, { force: true });
    },

    async destroy() {
      await daemon.stop();
      await removeDaemonFolder(folder.path);
    },

    pid: () => findDockerd()?.pid,

    async isRunning() {
      return findDockerd() !== undefined && (await answersPing(socketPath));
    },

    request: (method, path, requestOptions) => dockerRequest(socketPath, method, path, requestOptions),

    async version() {
      const { Version, ApiVersion } = await dockerRequest(socketPath, 'GET', '/version');
      return { version: Version, apiVersion: ApiVersion };
    },
  };
  return daemon;
}

/** @returns {Promise<number>} a port of 127.0.0.1 that was free a moment ago */
function findFreePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
