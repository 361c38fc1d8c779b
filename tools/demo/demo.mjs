// @ts-check
// The demo program: what crikit does, on real containers where there is an engine.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mainBizOrThrow } from '@crikit/core';
import { containerd } from '@crikit/engine-containerd';
import { docker } from '@crikit/engine-docker';
import { podman } from '@crikit/engine-podman';
import { createMetaStore, labelPods } from '@crikit/metastore';
import { printTable } from '../print-table.mjs';
import { createDockerStage } from './docker-stage.mjs';
import { createMemoryStage } from './memory-stage.mjs';

/** @typedef {import('@crikit/metastore').MetaStore} MetaStore */
/** @typedef {import('@crikit/metastore').MetaStoreEvent} MetaStoreEvent */

/**
 * What the program plays on: a pod of its own, and the means to make something happen.
 * @typedef {object} Stage
 * @property {readonly import('@crikit/core').EngineDefinition[]} definitions
 * @property {() => Promise<{ namespace: string, name: string }>} createPod a sandbox, a biz container and a sidecar
 * @property {() => Promise<string>} startContainer one more container of that pod; gives its id
 * @property {(id: string) => Promise<void>} killContainer
 * @property {() => Promise<void>} remove
 */

/**
 * @param {import('./run-demo.mjs').DemoEngine} engine
 * @param {AbortSignal} signal
 */
export async function runDemo(engine, signal) {
  const stage =
    engine.kind === 'in-memory' ? createMemoryStage() : await createDockerStage(engine, { docker, containerd, podman });
  try {
    await play(stage, signal);
  } finally {
    await stage.remove();
  }
}

/**
 * @param {Stage} stage
 * @param {AbortSignal} signal
 */
async function play(stage, signal) {
  const { namespace, name } = await stage.createPod();
  const store = createMetaStore({
    engines: stage.definitions,
    pods: labelPods({ unlabelled: 'pod-per-container' }),
    agentName: 'crikit-demo',
  });
  try {
    await store.start({ signal, requireReady: true });
    showEngines(store);
    showPods(store);
    const pod = store.getPodOrThrow(namespace, name);
    await showExec(store, mainBizOrThrow(pod));
    if (store.engine(mainBizOrThrow(pod)).supports('copy', mainBizOrThrow(pod)))
      await showCopy(store, mainBizOrThrow(pod));
    await showEvents(store, stage, signal);
  } finally {
    await store.close();
  }
}

/** @param {MetaStore} store */
function showEngines(store) {
  heading('Engines');
  const rows = store
    .status()
    .engines.map(({ id, version, state, containers }) => [id, version ?? '-', state, String(containers)]);
  printTable([['ENGINE', 'VERSION', 'STATE', 'CONTAINERS'], ...rows]);
}

const shownPods = 12;

/** @param {MetaStore} store */
function showPods(store) {
  heading('Pods and containers, with the role of each and why');
  const pods = store.getAllPods();
  const rows = pods
    .slice(0, shownPods)
    .flatMap((pod) =>
      [...pod.all, ...pod.initContainers, ...pod.ephemeralContainers].map((container) => [
        pod.namespace === '' ? pod.name : `${pod.namespace}/${pod.name}`,
        container.k8sName ?? container.name,
        container.engineType,
        container.shortId,
        container.role ?? '-',
        container.roleReason ?? '-',
        container.state.status,
        String(container.state.pid),
        container.runtime ?? '-',
        container.hostname ?? '-',
      ]),
    );
  printTable([['POD', 'CONTAINER', 'ENGINE', 'ID', 'ROLE', 'WHY', 'STATUS', 'PID', 'RUNTIME', 'HOSTNAME'], ...rows]);
  if (pods.length > shownPods) console.log(`  … and ${pods.length - shownPods} more pods`);
}

/**
 * @param {MetaStore} store
 * @param {import('@crikit/core').Container} biz
 */
async function showExec(store, biz) {
  heading(`A command in the biz container, ${biz.k8sName}`);
  const start = performance.now();
  const result = await store.exec(biz, {
    cmd: ['sh', '-c', 'echo "I am $(id -un) on $(hostname), $GREETING"; echo "this goes to stderr" >&2; exit 3'],
    env: { GREETING: 'and this came from env' },
    timeoutMs: 10_000,
  });
  printTable([
    ['exit code', String(result.exitCode)],
    ['stdout', result.stdout.toString().trimEnd()],
    ['stderr', result.stderr.toString().trimEnd()],
    ['took', `${(performance.now() - start).toFixed(0)} ms`],
  ]);
  const error = await store
    .exec(biz, { cmd: ['sh', '-c', 'setsid sleep 1000 & sleep 1000'], timeoutMs: 300 })
    .catch((/** @type {unknown} */ caught) => caught);
  console.log('  A command that hangs, with a time-out of 300 ms:');
  console.log(`  ${error instanceof Error ? error.message : 'it ended by itself'}`);
}

/**
 * @param {MetaStore} store
 * @param {import('@crikit/core').Container} biz
 */
async function showCopy(store, biz) {
  heading('A file copied in and out again');
  const folder = await mkdtemp(join(tmpdir(), 'crikit-demo-'));
  try {
    const source = join(folder, 'original');
    await writeFile(source, createHash('sha256').update('crikit').digest().toString('base64').repeat(50_000));
    const copiedIn = await store.copyToContainer(biz, source, '/var/crikit/demo/file');
    const copiedOut = await store.copyFromContainer(biz, '/var/crikit/demo/file', join(folder, 'returned'));
    const sums = [await sha256(source), await sha256(join(folder, 'returned'))];
    printTable([
      ['in', `${copiedIn.bytes} bytes to /var/crikit/demo/file, by '${copiedIn.method}'; parent directories were made`],
      ['out', `${copiedOut.bytes} bytes, by '${copiedOut.method}'`],
      ['sha256', `${sums[0]?.slice(0, 16)}… ${sums[0] === sums[1] ? 'is the same after the round trip' : 'DIFFERS'}`],
    ]);
    if (sums[0] !== sums[1]) throw new Error('the file came back changed');
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * @param {MetaStore} store
 * @param {Stage} stage
 * @param {AbortSignal} signal
 */
async function showEvents(store, stage, signal) {
  heading('Events of the store: a container is started, then killed');
  const patience = new AbortController();
  const giveUp = () => patience.abort(signal.reason);
  const timer = setTimeout(giveUp, 20_000);
  signal.addEventListener('abort', giveUp, { once: true });
  const events = store.events({ signal: patience.signal });
  let id = '';
  const started = stage.startContainer().then((made) => {
    id = made;
  });
  /** @type {string[][]} */
  const rows = [['TIME', 'EVENT', 'WHAT', 'AFTER THE ENGINE SAID SO']];
  let sawRunning = false;
  for await (const event of events) {
    await started;
    const row = describe(event, id);
    if (row === undefined) continue;
    rows.push(row);
    if (event.type !== 'container-added' && event.type !== 'container-changed') continue;
    const { status } = event.container.state;
    if (status === 'running' && !sawRunning) {
      sawRunning = true;
      await stage.killContainer(id);
    }
    if (sawRunning && status === 'exited') break;
  }
  clearTimeout(timer);
  printTable(rows);
  if (!(rows.length > 2)) throw new Error('the events did not arrive within 20 s');
}

/**
 * @param {MetaStoreEvent} event
 * @param {string} id
 */
function describe(event, id) {
  if (event.type !== 'container-added' && event.type !== 'container-changed') return undefined;
  if (event.container.id !== id) return undefined;
  const { state, k8sName, name, role } = event.container;
  const exit = state.exitCode === undefined ? '' : ` with code ${state.exitCode}`;
  const lag = event.engineTimeMs === undefined ? '-' : `${(event.timeMs - event.engineTimeMs).toFixed(1)} ms`;
  const time = new Date(event.timeMs).toISOString().slice(11, 23);
  return [time, event.type, `${k8sName ?? name} (${role ?? 'no role'}) is ${state.status}${exit}`, lag];
}

/** @param {string} path */
async function sha256(path) {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/** @param {string} text */
function heading(text) {
  console.log(`\n${text}`);
}
