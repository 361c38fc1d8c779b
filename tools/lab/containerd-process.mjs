// @ts-check
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answersContainerd } from './containerd-api.mjs';
import { IMAGES } from './images.mjs';
import { LabError } from './lab-error.mjs';
import { requireProgram } from './machine.mjs';
import { engineEnvironment, isAlive, lastLines, startDaemonProcess, waitUntil } from './processes.mjs';

/**
 * Where containerd keeps what inside a daemon's folder.
 * @param {string} directory
 */
export function containerdPaths(directory) {
  const home = join(directory, 'containerd');
  return {
    socketPath: join(home, 'containerd.sock'),
    root: join(home, 'root'),
    state: join(home, 'state'),
    configPath: join(home, 'config.toml'),
    cniConfigPath: join(home, 'cni'),
    runcRoot: join(home, 'runc'),
    logPath: join(directory, 'containerd.log'),
  };
}

/**
 * containerd knows images by their full name only.
 * @param {string} name
 */
export function containerdImageName(name) {
  return name.startsWith('crikit-lab/') ? `docker.io/${name}` : name;
}

/**
 * @param {ReturnType<typeof containerdPaths>} paths
 * @param {boolean} cri
 */
function createConfig(paths, cri) {
  const text = JSON.stringify;
  const common = [
    'version = 2',
    `root = ${text(paths.root)}`,
    `state = ${text(paths.state)}`,
    ...(cri ? [] : ['disabled_plugins = ["io.containerd.grpc.v1.cri"]']),
    '[grpc]',
    `  address = ${text(paths.socketPath)}`,
    '[plugins."io.containerd.internal.v1.opt"]',
    `  path = ${text(join(paths.root, 'opt'))}`,
  ];
  const criSection = [
    '[plugins."io.containerd.grpc.v1.cri"]',
    `  sandbox_image = ${text(containerdImageName(IMAGES.noShell))}`,
    // Without CAP_SYS_RESOURCE a sandbox cannot lower its OOM score and fails to start.
    '  restrict_oom_score_adj = true',
    '  disable_apparmor = true',
    '  netns_mounts_under_state_dir = true',
    '  stream_server_address = "127.0.0.1"',
    '  stream_server_port = "0"',
    '  [plugins."io.containerd.grpc.v1.cri".cni]',
    '    bin_dir = "/usr/lib/cni"',
    `    conf_dir = ${text(paths.cniConfigPath)}`,
    '  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]',
    '    runtime_type = "io.containerd.runc.v2"',
    '    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]',
    '      SystemdCgroup = false',
    // Its default is one folder for the whole machine.
    `      Root = ${text(paths.runcRoot)}`,
  ];
  return `${[...common, ...(cri ? criSection : [])].join('\n')}\n`;
}

/**
 * Starts containerd unless the folder's own still runs.
 * @param {import('./daemon-folder.mjs').DaemonFolder} folder
 * @param {{ cri: boolean, firstInPath?: readonly string[] | undefined }} options
 */
export async function startContainerd(folder, { cri, firstInPath = [] }) {
  const paths = containerdPaths(folder.path);
  if (folder.findProcess('containerd') === undefined) {
    mkdirSync(paths.cniConfigPath, { recursive: true, mode: 0o711 });
    writeFileSync(paths.configPath, createConfig(paths, cri));
    const started = await startDaemonProcess({
      program: requireProgram('containerd', firstInPath),
      arguments: ['--config', paths.configPath],
      logPath: paths.logPath,
      environment: engineEnvironment(firstInPath),
    });
    folder.recordProcess('containerd', started);
  }
  const running = folder.findProcess('containerd');
  await waitUntil(
    () => {
      if (!isAlive(running)) throw new LabError('LAB_START_FAILED', `containerd ended${lastLines(paths.logPath)}`);
      return answersContainerd(paths.socketPath, cri);
    },
    { timeoutMs: 30_000, what: 'containerd to answer' },
  ).catch((error) => {
    if (error.code !== 'LAB_TIMEOUT') throw error;
    throw new LabError('LAB_START_FAILED', `${error.message}${lastLines(paths.logPath)}`);
  });
}
