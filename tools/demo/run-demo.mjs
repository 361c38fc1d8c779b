// @ts-check
// `npm run demo`: installs and builds what is missing, finds or starts an engine, runs the demo program, cleans up.
import { status as labStatus, up as startLab, down as stopLab } from '../lab/lab.mjs';
import { buildPackages, installDependencies } from '../setup/prepare-workspace.mjs';
import { findDockerEngine } from './find-engine.mjs';

/**
 * What the demo program (`demo.mjs`, `export async function runDemo(engine, signal)`) runs against.
 *
 * - `docker`: an engine that answers, as `unix://…` or `tcp://…`. With `labStarted` it is a private one that ends with
 *   the demo; without, it is somebody's own, on which the program must leave nothing behind. `containerd` and `podman`
 *   are private ones beside it; without, those of this machine are shown where there are.
 * - `in-memory`: no engine can be had; `reason` says why.
 *
 * @typedef {{ kind: 'docker', endpoint: string, labStarted: boolean, containerd?: import('../lab/lab.mjs').EngineState, podman?: import('../lab/lab.mjs').EngineState }
 *   | { kind: 'in-memory', reason: string }} DemoEngine
 */

const interruption = new AbortController();
for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(name, () => interruption.abort(new Error(`interrupted by ${name}`)));
}
const { signal } = interruption;

/** @type {(() => Promise<unknown>) | undefined} */
let cleanUp;
try {
  await prepare();
  // Imported late: the program needs what was just built.
  /** @type {{ runDemo(engine: DemoEngine, signal: AbortSignal): Promise<void> }} */
  const program = await import(new URL('./demo.mjs', import.meta.url).href);
  await program.runDemo(await findEngine(), signal);
} catch (error) {
  console.error(`\nThe demo did not end well: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await cleanUp?.();
}

async function prepare() {
  console.log('Setting up (about a minute the first time, seconds later) …');
  for (const step of [installDependencies, buildPackages]) {
    const outcome = await step(signal, 'collect');
    if (!outcome.ok) throw new Error(`the set-up failed, ${outcome.reason}\n${outcome.output}`);
  }
}

/** @returns {Promise<DemoEngine>} */
async function findEngine() {
  const own = await findDockerEngine((line) => console.log(line));
  if (own !== undefined) {
    console.log(`Using the Docker engine of this machine, ${own}`);
    return { kind: 'docker', endpoint: own, labStarted: false };
  }
  try {
    const before = await labStatus();
    const missing = ['docker', 'containerd', 'podman'].filter((name) => before.engines[name]?.running !== true);
    if (missing.length > 0) {
      console.log(`No engine answers here: starting a private ${missing.join(', ')} (about a minute the first time) …`);
      cleanUp = () => stopLab({ engines: missing });
    }
    const { engines } = await startLab({ engines: ['docker', 'containerd'], signal });
    if (engines.docker === undefined) throw new Error('the lab started and lists no docker');
    const podman = await startPodman();
    return {
      kind: 'docker',
      endpoint: `unix://${engines.docker.socketPath}`,
      labStarted: true,
      ...(engines.containerd === undefined ? {} : { containerd: engines.containerd }),
      ...(podman === undefined ? {} : { podman }),
    };
  } catch (error) {
    signal.throwIfAborted();
    const reason = firstLine(error);
    console.log(`No real engine can be had (${reason}), so the demo runs on an engine that only exists in memory.`);
    return { kind: 'in-memory', reason };
  }
}

/** One engine more: without it the demo shows the others. */
async function startPodman() {
  try {
    const { engines } = await startLab({ engines: ['podman'], signal });
    return engines.podman;
  } catch (error) {
    signal.throwIfAborted();
    console.log(`Podman cannot be had (${firstLine(error)})`);
    return undefined;
  }
}

/** @param {unknown} error */
function firstLine(error) {
  return error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error);
}
