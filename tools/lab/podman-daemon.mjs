// @ts-check
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { endEverythingIn, endRole, openDaemonFolder, removeDaemonFolder } from './daemon-folder.mjs';
import { dockerRequest } from './docker-api.mjs';
import { createImageArchive, IMAGES } from './images.mjs';
import { LabError } from './lab-error.mjs';
import { ensureInstalled, requireProgram } from './machine.mjs';
import {
  endProcess,
  engineEnvironment,
  isAlive,
  lastLines,
  signalProcess,
  startDaemonProcess,
  waitUntil,
} from './processes.mjs';

/**
 * @typedef {object} PodmanDaemonOptions
 * @property {string} [directory] folder for everything of the service, at most 68 bytes long; default: one in the lab's
 *   directory, so that `lab down` also ends what an interrupted test left
 * @property {string} [name] name of the default folder; the same name is the same service. Default: a new one each time
 */

/**
 * @typedef {object} PodmanDaemon
 * @property {string} directory
 * @property {string} socketPath
 * @property {string} root
 * @property {string} runRoot
 * @property {string} logPath
 * @property {string} cgroup the control group over the containers that the helpers make
 * @property {() => Promise<void>} start resolves when it answers; harmless when it runs already. Throws LAB_UNAVAILABLE,
 *   or LAB_START_FAILED with the end of the log
 * @property {(signal?: NodeJS.Signals) => Promise<void>} kill signals the service alone (default SIGKILL) and, unless the
 *   signal only stops or continues it, resolves when it is gone. Containers stay; `start()` works after it
 * @property {() => Promise<void>} stop kills the containers, ends the service, removes mounts and control groups; data
 *   stays and `start()` works after it
 * @property {() => Promise<void>} destroy `stop`, then deletes the folder
 * @property {() => number | undefined} pid undefined when it does not run
 * @property {() => Promise<boolean>} isRunning whether it runs and answers
 * @property {() => Promise<string>} version of the running service
 * @property {(method: string, path: string, options?: { body?: unknown, timeoutMs?: number }) => Promise<any>} request
 *   one request of its own (libpod's) HTTP API, `/containers/json`
 */

const PACKAGES = { podman: 'podman', conmon: 'conmon', runc: 'runc' };
const API = '/v4.0.0/libpod';

/**
 * A private Podman service. Nothing runs before `start()`.
 * @param {PodmanDaemonOptions} [options]
 * @returns {PodmanDaemon}
 */
export function createPodmanDaemon(options = {}) {
  const folder = openDaemonFolder({ kind: 'podman', directory: options.directory, name: options.name });
  const inFolder = (/** @type {string} */ name) => join(folder.path, name);
  const socketPath = inFolder('podman.sock');
  const root = inFolder('root');
  const runRoot = inFolder('run');
  const logPath = inFolder('podman.log');
  const configPath = inFolder('containers.conf');
  const runtime = inFolder('bin/runc');
  const findService = () => folder.findProcess('podman');

  const settings = [
    '[containers]',
    'netns = "none"',
    // Without CAP_SYS_RESOURCE the limits that Podman takes by default cannot be set, and nothing starts.
    'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]',
    '[engine]',
    // The default is one memory segment for the whole machine.
    'lock_type = "file"',
    `volume_path = ${JSON.stringify(inFolder('volumes'))}`,
    '[network]',
    `network_config_dir = ${JSON.stringify(inFolder('networks'))}`,
    '',
  ].join('\n');

  /** @type {PodmanDaemon} */
  const daemon = {
    directory: folder.path,
    socketPath,
    root,
    runRoot,
    logPath,
    cgroup: folder.cgroup,

    async start() {
      await ensureInstalled(PACKAGES);
      if (await daemon.isRunning()) return;
      folder.make();
      await endProcess(findService(), { graceMs: 2_000 });
      rmSync(socketPath, { force: true });
      for (const name of ['bin', 'root', 'run', 'tmp', 'networks', 'volumes', 'runc']) {
        mkdirSync(inFolder(name), { recursive: true, mode: 0o711 });
      }
      writeFileSync(configPath, settings);
      // Its state would be in one folder for the whole machine. Podman's own flag for that is forgotten by the command
      // that cleans up after a container's end.
      writeFileSync(runtime, `#!/bin/sh\nexec '${requireProgram('runc')}' --root '${inFolder('runc')}' "$@"\n`);
      chmodSync(runtime, 0o755);
      const started = await startDaemonProcess({
        program: requireProgram('podman'),
        arguments: [
          ...['--root', root, '--runroot', runRoot, '--tmpdir', inFolder('tmp'), '--cgroup-manager=cgroupfs'],
          // Its own choice, crun, refuses a hybrid hierarchy of control groups.
          ...['--runtime', runtime],
          ...['--events-backend', 'file', 'system', 'service', '--time=0', `unix://${socketPath}`],
        ],
        logPath,
        environment: { ...engineEnvironment(), CONTAINERS_CONF: configPath },
      });
      folder.recordProcess('podman', started);
      await waitUntil(
        () => {
          if (!isAlive(started)) throw new LabError('LAB_START_FAILED', `podman ended${lastLines(logPath)}`);
          return daemon.isRunning();
        },
        { timeoutMs: 30_000, what: 'podman to answer' },
      ).catch((error) => {
        if (error.code !== 'LAB_TIMEOUT') throw error;
        throw new LabError('LAB_START_FAILED', `${error.message}${lastLines(logPath)}`);
      });
    },

    async kill(signal = 'SIGKILL') {
      const service = findService();
      if (service === undefined || !signalProcess(service, signal)) return;
      if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
      await waitUntil(() => !isAlive(service), { timeoutMs: 60_000, what: `podman to end after ${signal}` });
    },

    async stop() {
      await endRole(folder, 'podman');
      await endEverythingIn(folder.path);
      rmSync(socketPath, { force: true });
      // What Podman takes as proof that it still is the same boot of the machine: its containers are gone now.
      for (const name of ['run', 'tmp', 'runc']) rmSync(inFolder(name), { recursive: true, force: true });
    },

    async destroy() {
      await daemon.stop();
      await removeDaemonFolder(folder.path);
    },

    pid: () => findService()?.pid,

    async isRunning() {
      if (findService() === undefined) return false;
      try {
        return (await dockerRequest(socketPath, 'GET', '/libpod/_ping', { timeoutMs: 2_000 })) === 'OK';
      } catch {
        return false;
      }
    },

    request: (method, path, requestOptions) => dockerRequest(socketPath, method, `${API}${path}`, requestOptions),

    async version() {
      return (await daemon.request('GET', '/version')).Version;
    },
  };
  return daemon;
}

/**
 * Makes the lab's images in a Podman, under `localhost/crikit-lab/…`; those that it has already are left alone.
 * @param {{ socketPath: string }} daemon
 * @returns {Promise<typeof IMAGES>} their short names, which it understands too
 */
export async function ensurePodmanImages({ socketPath }) {
  const present = /** @type {{ Names?: string[] }[]} */ (
    await dockerRequest(socketPath, 'GET', `${API}/images/json`)
  ).flatMap(({ Names }) => Names ?? []);
  if (Object.values(IMAGES).every((name) => present.includes(`localhost/${name}`))) return IMAGES;
  const body = await createImageArchive();
  await dockerRequest(socketPath, 'POST', `${API}/images/load`, { body, timeoutMs: 120_000 });
  return IMAGES;
}

/**
 * @typedef {object} PodmanContainerOptions
 * @property {string} [name] default: the service invents one
 * @property {string} [image] default `crikit-lab/busybox:1`
 * @property {readonly string[]} [cmd] default `['/bin/sleep', '1000000']`
 * @property {Readonly<Record<string, string>>} [labels]
 * @property {Readonly<Record<string, string>>} [env]
 * @property {string} [pod] name or id of the pod to be in
 * @property {readonly Readonly<Record<string, unknown>>[]} [mounts] as in libpod's API
 * @property {boolean} [start] default true
 */

/**
 * Creates and starts a container in the engine's control group.
 * @param {{ socketPath: string, cgroup: string }} daemon
 * @param {PodmanContainerOptions} [options]
 * @returns {Promise<{ id: string }>}
 */
export async function runPodmanContainer({ socketPath, cgroup }, options = {}) {
  const { image = IMAGES.busybox, cmd = ['/bin/sleep', '1000000'], start = true, ...rest } = options;
  const { Id: id } = await dockerRequest(socketPath, 'POST', `${API}/containers/create`, {
    body: { ...rest, image, command: cmd, cgroup_parent: cgroup },
  });
  if (start) await dockerRequest(socketPath, 'POST', `${API}/containers/${id}/start`);
  return { id };
}

/**
 * Kills and removes a container. One that is gone already is fine.
 * @param {{ socketPath: string }} daemon
 * @param {string} container id or name
 */
export async function removePodmanContainer({ socketPath }, container) {
  const remove = () =>
    dockerRequest(socketPath, 'DELETE', `${API}/containers/${container}?force=true&v=true&timeout=0`);
  await remove().catch((error) => {
    if (!(error instanceof LabError) || error.statusCode !== 404) throw error;
  });
}
