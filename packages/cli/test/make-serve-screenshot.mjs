// @ts-check
/**
 * Makes docs/images/serve.png and serve-details.png anew: `crikit serve` as it is built, on the lab's Docker, containerd and Podman with 40
 * real containers beside the sandboxes, and the objects of the pods from a stand-in for an API server.
 *
 *   node tools/lab/lab.mjs up --engine docker,containerd,podman
 *   node packages/cli/test/make-serve-screenshot.mjs [folder for the pictures]
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createFakeApiServer } from '@crikit/engine-conformance';
import { createCriPod } from '../../../tools/lab/cri-pods.mjs';
import {
  IMAGES,
  status as labStatus,
  removeContainer,
  removePodmanContainer,
  runContainer,
  runPodmanContainer,
} from '../../../tools/lab/lab.mjs';
import { ensureInstalled, requireProgram } from '../../../tools/lab/machine.mjs';
import { openChromium } from './open-chromium.mjs';

const nodeName = 'worker-3';
const day = 86_400_000;

/**
 * @typedef {object} WantedPod
 * @property {string} namespace
 * @property {string} name
 * @property {{ kind: string, name: string }} owner
 * @property {number} ageMs
 * @property {string} app
 * @property {{ name: string, env?: Record<string, string>, image?: string }[]} containers
 * @property {string} [init] name of an init container that has ended
 */

/** @type {WantedPod[]} */
const wantedPods = [
  ...['2kd8x', '9fz4p', 'qx7tn'].map((suffix) =>
    deployed('shop', 'web', '6c9d7f8b5', suffix, 3 * day, [
      { name: 'web', image: IMAGES.users },
      { name: 'log-sidecar' },
    ]),
  ),
  ...['hb2vw', 'zr5kc'].map((suffix) =>
    deployed('shop', 'checkout', '5b8f6d9c7', suffix, 5 * 3_600_000, [
      { name: 'checkout', env: { TZ: 'America/Sao_Paulo' }, image: IMAGES.users },
      { name: 'sidecar-vault' },
    ]),
  ),
  {
    ...deployed('shop', 'catalog', '7d4b9c6f8', 'm8s2q', 26 * 3_600_000, [{ name: 'catalog', env: { TZ: 'CST-8' } }]),
    init: 'migrate',
  },
  stateful('data', 'postgres-0', 41 * day, [{ name: 'postgres', image: IMAGES.users }, { name: 'metrics-sidecar' }]),
  stateful('data', 'cache-0', 12 * day, [{ name: 'cache' }]),
  stateful('data', 'cache-1', 12 * day, [{ name: 'cache', env: { TZ: 'Europe/Berlin' }, image: IMAGES.users }]),
  deployed('kube-system', 'coredns', '76f75df57', 'vl9wz', 90 * day, [{ name: 'coredns' }]),
  {
    ...stateful('kube-system', 'kube-proxy-4vw9k', 90 * day, [{ name: 'kube-proxy' }]),
    owner: { kind: 'DaemonSet', name: 'kube-proxy' },
  },
];

const dockerNames = [
  ...['registry', 'registry-db', 'registry-cache', 'build-runner-1', 'build-runner-2', 'build-runner-3'],
  ...['build-4711', 'build-4712', 'grafana', 'prometheus', 'node-exporter'],
];
const podmanNames = [
  ...['backup-hourly', 'backup-nightly', 'mail-relay', 'chrony', 'unbound', 'wireguard-ui', 'syncthing', 'vaultwarden'],
  ...['home-assistant', 'mosquitto', 'zigbee2mqtt'],
];

/** @type {(() => Promise<unknown>)[]} */
const cleanUps = [];
try {
  await makeScreenshots(process.argv[2] ?? join(import.meta.dirname, '../../../docs/images'));
} finally {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
}

/** @param {string} folder */
async function makeScreenshots(folder) {
  await ensureInstalled({
    chromium: 'chromium',
    '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf': 'fonts-dejavu-core',
  });
  const { docker, containerd, podman } = (await labStatus()).engines;
  if (!docker?.running || !containerd?.running || !podman?.running) {
    throw new Error('The lab must run: node tools/lab/lab.mjs up --engine docker,containerd,podman');
  }
  const api = await createFakeApiServer();
  cleanUps.push(async () => await api[Symbol.asyncDispose]());
  for (const [index, pod] of wantedPods.entries()) await runPod(containerd, api, pod, index);
  await runAlone(docker, podman);

  // Under the names that they have on other machines, or nearly.
  const directory = '/run/crikit-screenshot';
  mkdirSync(directory);
  cleanUps.push(async () => rmSync(directory, { recursive: true }));
  for (const [name, { socketPath }] of Object.entries({ docker, containerd, podman })) {
    symlinkSync(socketPath, join(directory, `${name}.sock`));
  }
  const address = await serve(api.url, {
    NODE_NAME: nodeName,
    DOCKER_HOST: `unix://${directory}/docker.sock`,
    CONTAINERD_ADDRESS: `${directory}/containerd.sock`,
    CONTAINER_HOST: `unix://${directory}/podman.sock`,
  });
  const { context, close } = await openChromium(requireProgram('chromium'), {
    viewport: { width: 1500, height: 1800 },
  });
  cleanUps.push(close);
  const page = await context.newPage();
  await page.goto(address);
  await page.getByText('40 of').waitFor();
  // Looking into the containers takes a moment; the last kinds of zones that are expected are these.
  await page.getByText('America/Sao_Paulo').nth(1).waitFor();
  await page.getByText('Europe/Berlin').first().waitFor();
  // Rows that flash because they came a moment ago would say something else than they do.
  await page.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'light' });
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, 'serve.png') });
  console.log(await page.locator('#count').textContent());

  await page.setViewportSize({ width: 1500, height: 850 });
  await page.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'dark' });
  await page.getByLabel('Filter').fill('ns:shop');
  await page.locator('tr.container', { hasText: 'checkout' }).first().click();
  await page.getByText('Its role is biz').waitFor();
  await page.screenshot({ path: join(folder, 'serve-details.png') });
}

/**
 * @param {import('../../../tools/lab/lab.mjs').EngineState} containerd
 * @param {import('@crikit/engine-conformance').FakeApiServer} api
 * @param {WantedPod} pod
 * @param {number} index
 */
async function runPod(containerd, api, { namespace, name, owner, ageMs, app, containers, init }, index) {
  const labels = { app };
  const made = await createCriPod(containerd, { namespace, name, labels, containers });
  cleanUps.push(() => made.remove());
  if (init !== undefined) await made.addContainer({ name: init, cmd: ['true'] });
  const statusOf = (/** @type {string} */ container) => ({
    name: container,
    containerID: `containerd://${made.containers[container]}`,
  });
  const isReplicaSet = owner.kind === 'ReplicaSet';
  api.put('pods', {
    metadata: {
      ...{ name, namespace, uid: made.uid },
      labels: isReplicaSet ? { ...labels, 'pod-template-hash': owner.name.split('-').at(-1) } : labels,
      creationTimestamp: new Date(Date.now() - ageMs).toISOString(),
      ownerReferences: [{ ...owner, uid: `${owner.kind}-${owner.name}`, controller: true }],
    },
    spec: {
      nodeName,
      containers: containers.map((container) => ({ name: container.name })),
      ...(init === undefined ? {} : { initContainers: [{ name: init }] }),
    },
    status: {
      ...{ phase: 'Running', podIP: `10.42.3.${17 + index}`, hostIP: '192.168.7.13' },
      containerStatuses: containers.map((container) => statusOf(container.name)),
    },
  });
}

/**
 * @param {import('../../../tools/lab/lab.mjs').EngineState} docker
 * @param {import('../../../tools/lab/lab.mjs').EngineState} podman
 */
async function runAlone(docker, podman) {
  for (const name of dockerNames) {
    const failing = name === 'build-4711' ? { cmd: ['sh', '-c', 'exit 3'] } : {};
    const { id } = await runContainer(docker.socketPath, { name, ...failing });
    cleanUps.push(() => removeContainer(docker.socketPath, id));
  }
  for (const name of podmanNames) {
    const ended = name.startsWith('backup') ? { command: ['true'], cmd: ['true'] } : {};
    const { id } = await runPodmanContainer(podman, { name, ...ended });
    cleanUps.push(() => removePodmanContainer(podman, id));
  }
}

/**
 * @param {string} apiServer
 * @param {Record<string, string>} engines
 * @returns {Promise<string>} the address with the token
 */
async function serve(apiServer, engines) {
  const directory = mkdtempSync(join(tmpdir(), 'crikit-screenshot-'));
  cleanUps.push(async () => rmSync(directory, { recursive: true, force: true }));
  const kubeconfig = join(directory, 'kubeconfig');
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'lab' },
      clusters: [{ name: 'lab', cluster: { server: apiServer, 'insecure-skip-tls-verify': true } }],
      contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
      users: [{ name: 'lab', user: {} }],
    }),
  );
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, '../dist/crikit.js'),
      ...['serve', '--port', '0', '--pods', 'kubeconfig', '--kubeconfig', kubeconfig],
    ],
    { env: { ...process.env, ...engines }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = new Promise((resolve) => child.once('exit', resolve));
  cleanUps.push(() => {
    child.kill();
    return ended;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /http:\S+/.exec(line)?.[0];
    if (address !== undefined) return address;
  }
  throw new Error('crikit serve ended before it served.');
}

/**
 * @param {string} namespace
 * @param {string} name
 * @param {string} hash
 * @param {string} suffix
 * @param {number} ageMs
 * @param {WantedPod['containers']} containers
 * @returns {WantedPod}
 */
function deployed(namespace, name, hash, suffix, ageMs, containers) {
  const owner = { kind: 'ReplicaSet', name: `${name}-${hash}` };
  return { namespace, name: `${owner.name}-${suffix}`, owner, ageMs, app: name, containers };
}

/**
 * @param {string} namespace
 * @param {string} name
 * @param {number} ageMs
 * @param {WantedPod['containers']} containers
 * @returns {WantedPod}
 */
function stateful(namespace, name, ageMs, containers) {
  const app = name.split('-').slice(0, -1).join('-');
  return { namespace, name, owner: { kind: 'StatefulSet', name: app }, ageMs, app, containers };
}
