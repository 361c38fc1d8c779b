// @ts-check
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { docker } from '@crikit/engine-docker';
import { createMetaStore } from '@crikit/metastore';
import { ensureImages, IMAGES, removeContainer, runContainer } from '../tools/lab/lab.mjs';
import { median, printResults, verdict } from './measure.mjs';

const count = 100;
const rounds = 7;

/** @param {{ socketPath: string }} lab */
export default async function benchEnrichment({ socketPath }) {
  await ensureImages({ endpoint: socketPath });
  const mark = `bench-enrichment-${process.pid}`;
  console.log(`\nStarting ${count} containers …`);
  /** @type {string[]} */
  const ids = [];
  try {
    await inFours(count, async (index) => {
      ids.push((await runContainer(socketPath, { name: `${mark}-${index}`, image: IMAGES.users })).id);
    });
    /** @type {Awaited<ReturnType<typeof enrichAll>>[]} */
    const results = [];
    for (let round = -1; round < rounds; round += 1) {
      const result = await enrichAll(socketPath, mark);
      if (round >= 0) results.push(result);
    }
    const wall = median(results.map(({ wallMs }) => wallMs / count));
    const cpu = median(results.map(({ cpuMs }) => cpuMs / count));
    printResults(`enrichment of ${count} biz containers`, [
      ['what', 'median', '', 'wanted', 'met'],
      ['from the first sync until all is shown, each (ms)', wall, ...verdict(wall, '<=', 10)],
      ['CPU meanwhile, each (ms)', cpu, ...verdict(cpu, '<=', 10)],
      ['execs', most(results, 'execs'), ...verdict(most(results, 'execs'), '<=', 0)],
      ['passes over /proc', most(results, 'passes'), ...verdict(most(results, 'passes'), '<=', 1)],
      ['steps in which it is shown', most(results, 'steps'), '', '', ''],
    ]);
  } finally {
    console.log(`Removing ${ids.length} containers …`);
    await inFours(ids.length, (index) => removeContainer(socketPath, ids[index] ?? ''));
  }
}

/**
 * @param {string} socketPath
 * @param {string} mark
 */
async function enrichAll(socketPath, mark) {
  const store = createMetaStore({
    engines: [docker({ socketPath })],
    pods: {
      name: 'bench',
      podOfContainer: ({ name, reference }) =>
        name.startsWith(mark) ? { uid: reference.id, namespace: 'bench', name, sandboxed: false } : undefined,
    },
  });
  const counts = { execs: 0, passes: 0, steps: 0 };
  const onExec = () => {
    counts.execs += 1;
  };
  const onPass = () => {
    counts.passes += 1;
  };
  subscribe('tracing:crikit:exec:start', onExec);
  subscribe('tracing:crikit:process-pass:start', onPass);
  try {
    await store.start({ requireReady: true });
    const start = process.hrtime.bigint();
    const cpu = process.cpuUsage();
    const isDone = () => {
      const known = store.getAllContainers().filter(isEnriched).length;
      return known === count;
    };
    await new Promise((resolve) => {
      const check = () => {
        counts.steps += 1;
        if (isDone()) resolve(undefined);
      };
      store.onAnyPodChanged(check);
    });
    const wallMs = Number(process.hrtime.bigint() - start) / 1e6;
    const { user, system } = process.cpuUsage(cpu);
    return { wallMs, cpuMs: (user + system) / 1e3, ...counts };
  } finally {
    unsubscribe('tracing:crikit:exec:start', onExec);
    unsubscribe('tracing:crikit:process-pass:start', onPass);
    await store.close();
  }
}

/** @param {import('@crikit/core').Container} container */
function isEnriched({ tz, hostname, alpineStatus, pid1Name, zombieCount }) {
  return (
    tz?.name === 'Asia/Shanghai' && [hostname, alpineStatus, pid1Name, zombieCount].every((it) => it !== undefined)
  );
}

/**
 * @template {string} Key
 * @param {readonly Readonly<Record<Key, number>>[]} results
 * @param {Key} key
 */
function most(results, key) {
  return Math.max(...results.map((result) => result[key]));
}

/**
 * @param {number} total
 * @param {(index: number) => Promise<unknown>} run
 */
async function inFours(total, run) {
  let next = 0;
  const work = async () => {
    for (let index = next++; index < total; index = next++) await run(index);
  };
  await Promise.all([work(), work(), work(), work()]);
}
