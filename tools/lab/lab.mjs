#!/usr/bin/env node
// @ts-check
import { realpathSync, rmdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createContainerdDaemon, ensureContainerdImages } from './containerd-daemon.mjs';
import { listDaemonFolders, removeDaemonFolder } from './daemon-folder.mjs';
import { createDockerDaemon } from './docker-daemon.mjs';
import { ensureImages, IMAGES } from './images.mjs';
import { labDirectory, makeOwnDirectory, readJson, withLabLock, writeJson } from './lab-directory.mjs';
import { LabError } from './lab-error.mjs';
import { createPodmanDaemon, ensurePodmanImages } from './podman-daemon.mjs';
import { listFolders } from './processes.mjs';

export {
  createContainerdDaemon,
  ensureContainerdImages,
  removeContainerdContainer,
  runContainerdContainer,
} from './containerd-daemon.mjs';
export { dockerRequest } from './docker-api.mjs';
export { createKubeletStylePod, removeContainer, runContainer } from './docker-containers.mjs';
export { createDockerDaemon } from './docker-daemon.mjs';
export { ensureImages, IMAGES } from './images.mjs';
export { labDirectory } from './lab-directory.mjs';
export { isLabUnavailable, LabError } from './lab-error.mjs';
export { requireEngineMachine } from './machine.mjs';
export {
  createPodmanDaemon,
  ensurePodmanImages,
  removePodmanContainer,
  runPodmanContainer,
} from './podman-daemon.mjs';

/**
 * What state.json says of one running engine.
 * @typedef {object} EngineState
 * @property {string} directory
 * @property {string} socketPath
 * @property {string} [tcpEndpoint] of docker-remote, `tcp://127.0.0.1:<port>`
 * @property {number} pid of the daemon, in our pid namespace
 * @property {string} [pidFile] dockerd's
 * @property {string} version
 * @property {string} [apiVersion] of Docker's HTTP API
 * @property {string} dataRoot dockerd's data root; containerd's root; Podman's root
 * @property {string} execRoot dockerd's exec root; containerd's state folder; Podman's run root
 * @property {string} containerdSocketPath of containerd itself, or of dockerd's own containerd; empty for Podman
 * @property {string} cgroup
 * @property {string} logPath
 */

/**
 * @typedef {object} LabState
 * @property {Record<string, EngineState>} engines by engine name
 * @property {typeof IMAGES} images
 */

/** @typedef {{ start: () => Promise<EngineState>, destroy: () => Promise<void>, isRunning: () => Promise<boolean> }} LabEngine */

/** @type {Record<string, () => LabEngine>} */
const ENGINES = {
  docker: () => dockerEngine({ name: 'docker' }),
  // As if on another machine: reached over tcp, in a pid namespace of its own.
  'docker-remote': () => dockerEngine({ name: 'docker-remote', tcp: true, newPidNamespace: true }),
  'docker-next': () => dockerEngine({ name: 'docker-next', release: 'next' }),
  containerd: () => containerdEngine({ name: 'containerd' }),
  'containerd-next': () => containerdEngine({ name: 'containerd-next', release: 'next' }),
  'containerd-2': () => containerdEngine({ name: 'containerd-2', release: 'rolling' }),
  podman: () => podmanEngine({ name: 'podman' }),
};

/** The names that `up` and `down` know. */
export const ENGINE_NAMES = Object.freeze(Object.keys(ENGINES));

/**
 * @param {import('./docker-daemon.mjs').DockerDaemonOptions} options
 * @returns {LabEngine}
 */
function dockerEngine(options) {
  const daemon = createDockerDaemon(options);
  return {
    destroy: daemon.destroy,
    isRunning: daemon.isRunning,
    async start() {
      await daemon.start();
      await ensureImages(daemon);
      const { directory, socketPath, tcpEndpoint, pidFile, dataRoot, execRoot, containerdSocketPath, cgroup, logPath } =
        daemon;
      return {
        ...{
          directory,
          socketPath,
          ...(tcpEndpoint === undefined ? {} : { tcpEndpoint }),
          pid: daemon.pid() ?? 0,
          pidFile,
        },
        ...(await daemon.version()),
        ...{ dataRoot, execRoot, containerdSocketPath, cgroup, logPath },
      };
    },
  };
}

/**
 * @param {import('./containerd-daemon.mjs').ContainerdDaemonOptions} options
 * @returns {LabEngine}
 */
function containerdEngine(options) {
  const daemon = createContainerdDaemon(options);
  return {
    destroy: daemon.destroy,
    isRunning: daemon.isRunning,
    async start() {
      await daemon.start();
      await ensureContainerdImages(daemon);
      const { directory, socketPath, root, state, cgroup, logPath } = daemon;
      return {
        ...{
          directory,
          socketPath,
          pid: daemon.pid() ?? 0,
          version: await daemon.version(),
          dataRoot: root,
          execRoot: state,
        },
        ...{ containerdSocketPath: socketPath, cgroup, logPath },
      };
    },
  };
}

/**
 * @param {import('./podman-daemon.mjs').PodmanDaemonOptions} options
 * @returns {LabEngine}
 */
function podmanEngine(options) {
  const daemon = createPodmanDaemon(options);
  return {
    destroy: daemon.destroy,
    isRunning: daemon.isRunning,
    async start() {
      await daemon.start();
      await ensurePodmanImages(daemon);
      const { directory, socketPath, root, runRoot, cgroup, logPath } = daemon;
      return {
        ...{ directory, socketPath, pid: daemon.pid() ?? 0, version: await daemon.version() },
        ...{ dataRoot: root, execRoot: runRoot, containerdSocketPath: '', cgroup, logPath },
      };
    },
  };
}

/** @returns {string} the path of the file that lists what runs; it exists while anything does */
export function labStatePath() {
  return join(labDirectory(), 'state.json');
}

/** @returns {LabState} */
function readState() {
  return readJson(labStatePath()) ?? { engines: {}, images: IMAGES };
}

/**
 * @param {string} name
 * @returns {() => LabEngine}
 */
function requireEngineName(name) {
  const create = Object.hasOwn(ENGINES, name) ? ENGINES[name] : undefined;
  if (create === undefined) throw new TypeError(`the lab has no engine "${name}", only ${ENGINE_NAMES.join(', ')}`);
  return create;
}

/**
 * Starts the shared engines that do not run yet, with the lab's images in them. Harmless when they run already, or when
 * another process does the same at this time. What has failed or was aborted is taken down again.
 * @param {{ engines?: readonly string[], signal?: AbortSignal }} [options] `engines` default: `['docker']`; `signal` is
 *   looked at between steps
 * @returns {Promise<LabState>} everything that runs. Throws LAB_UNAVAILABLE or LAB_START_FAILED
 */
export function up({ engines = ['docker'], signal } = {}) {
  const directory = labDirectory();
  const wanted = engines.map((name) => ({ name, create: requireEngineName(name) }));
  return withLabLock(directory, signal, async () => {
    for (const { name, create } of wanted) {
      signal?.throwIfAborted();
      const engine = create();
      const wasRunning = await engine.isRunning();
      try {
        const state = await engine.start();
        signal?.throwIfAborted();
        makeOwnDirectory(directory);
        const current = readState();
        writeJson(labStatePath(), { engines: { ...current.engines, [name]: state }, images: IMAGES });
      } catch (error) {
        if (!wasRunning) {
          await engine.destroy().catch(() => {});
          forget([name]);
          removeIfEmpty(directory);
        }
        throw error;
      }
    }
    return readState();
  });
}

/**
 * Ends the shared engines, and without `engines` every other daemon in the lab's directory too, and removes their
 * containers, mounts, control groups and files. Harmless when nothing runs.
 * @param {{ engines?: readonly string[] }} [options] default: everything
 * @returns {Promise<string[]>} the names of the folders that were removed
 */
export function down({ engines } = {}) {
  const directory = labDirectory();
  for (const name of engines ?? []) requireEngineName(name);
  return withLabLock(directory, undefined, async () => {
    const folders = listDaemonFolders(directory).filter((folder) => engines?.includes(basename(folder)) ?? true);
    for (const folder of folders) await removeDaemonFolder(folder);
    forget(engines ?? ENGINE_NAMES);
    for (const folder of listFolders(directory)) removeIfEmpty(folder);
    removeIfEmpty(directory);
    return folders.map((folder) => basename(folder));
  });
}

/**
 * @returns {Promise<{ directory: string, engines: Record<string, EngineState & { running: boolean }> }>} what state.json
 *   lists, and whether it really runs and answers
 */
export async function status() {
  /** @type {Record<string, EngineState & { running: boolean }>} */
  const engines = {};
  for (const [name, state] of Object.entries(readState().engines)) {
    engines[name] = { ...state, running: (await ENGINES[name]?.().isRunning()) ?? false };
  }
  return { directory: labDirectory(), engines };
}

/**
 * @param {readonly string[]} names
 */
function forget(names) {
  const state = readJson(labStatePath());
  if (state === undefined) return;
  const engines = Object.fromEntries(Object.entries(state.engines).filter(([name]) => !names.includes(name)));
  if (Object.keys(engines).length === 0) rmSync(labStatePath(), { force: true });
  else writeJson(labStatePath(), { ...state, engines });
}

/**
 * @param {string} directory
 */
function removeIfEmpty(directory) {
  try {
    rmdirSync(directory);
  } catch {
    // Something that is not ours is in it, or it never was.
  }
}

const USAGE = `usage: lab.mjs up|down|status [--engine NAME]...
  up      start private engines (default: docker)
  down    end them, or everything without --engine
  status  what runs
engines: ${ENGINE_NAMES.join(', ')}`;

/**
 * @param {string[]} commandArguments
 * @returns {Promise<number>} exit code
 */
async function main(commandArguments) {
  const { positionals, values } = parseArgs({
    args: commandArguments,
    allowPositionals: true,
    options: { engine: { type: 'string', multiple: true }, help: { type: 'boolean' } },
  });
  const engines = values.engine?.flatMap((list) => list.split(','));
  const [command, ...rest] = positionals;
  if (values.help || command === undefined || rest.length > 0) {
    console.log(USAGE);
    return values.help ? 0 : 2;
  }
  if (command === 'up') return upCommand(engines ?? ['docker']);
  if (command === 'down') {
    const removed = await down(engines === undefined ? {} : { engines });
    console.log(removed.length === 0 ? 'nothing was up' : `down: ${removed.join(', ')}`);
    return 0;
  }
  if (command === 'status') {
    const { directory, engines: known } = await status();
    for (const [name, engine] of Object.entries(known)) printEngine(name, engine, engine.running ? 'up' : 'DEAD');
    console.log(Object.keys(known).length === 0 ? `nothing is up (${directory})` : `state: ${labStatePath()}`);
    return 0;
  }
  console.error(USAGE);
  return 2;
}

/**
 * @param {readonly string[]} engines
 */
async function upCommand(engines) {
  const interruption = new AbortController();
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
    process.once(signal, () => {
      console.error(`${signal}: taking down what was being started`);
      interruption.abort(new LabError('LAB_START_FAILED', `interrupted by ${signal}`));
    });
  }
  const state = await up({ engines, signal: interruption.signal });
  for (const name of engines) {
    const engine = state.engines[name];
    if (engine !== undefined) printEngine(name, engine, 'up');
  }
  console.log(`state: ${labStatePath()}`);
  return 0;
}

/**
 * @param {string} name
 * @param {EngineState} engine
 * @param {string} word
 */
function printEngine(name, engine, word) {
  const endpoints = [engine.socketPath, engine.tcpEndpoint].filter((endpoint) => endpoint !== undefined);
  console.log(`${name}: ${word}, ${engine.version}, pid ${engine.pid}, ${endpoints.join(', ')}`);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.error(message);
    // The reason comes last, where a caller that reads one line finds it.
    if (message.includes('\n')) console.error(message.slice(0, message.indexOf('\n')));
    process.exitCode = error instanceof TypeError ? 2 : 1;
  }
}
