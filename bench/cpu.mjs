// @ts-check
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { docker } from '@crikit/engine-docker';
import { createMetaStore } from '@crikit/metastore';
import { rawInspectAll, rawRequest } from './docker-api.mjs';
import { median, printResults, verdict } from './measure.mjs';

const changes = 100;
const rounds = 4;

/**
 * A refresh is what following a change costs: the change with a store that shows it, less the same change without one.
 * @param {{ socketPath: string, pid: number }} lab
 */
export default async function benchCpu({ socketPath, pid }) {
  const store = createMetaStore({ engines: [docker({ socketPath })], enrichment: false });
  await store.start();
  // One container a pod: a pod that changes ten times in ten seconds is looked at less often.
  const ids = store.getAllPods().flatMap(({ all: [container] }) => container?.id ?? []);
  await store.close();

  /** @type {Cpu[]} */
  const alone = [];
  /** @type {Cpu[]} */
  const followed = [];
  // The first round warms both up.
  for (let round = 0; round <= rounds; round += 1) {
    const without = await measure(pid, () => changeContainers(socketPath, ids, async () => {}));
    const following = createMetaStore({ engines: [docker({ socketPath })], enrichment: false });
    await following.start();
    const within = await measure(pid, () => changeContainers(socketPath, ids, showsIn(following)));
    await following.close();
    if (round === 0) continue;
    alone.push(without);
    followed.push(within);
  }
  const inspected = await measure(pid, async () => {
    for (let round = 0; round < changes; round += 1) await rawInspectAll(socketPath, 1);
  });

  const control = medians(alone);
  const whole = medians(followed);
  const refreshed = { client: whole.client - control.client, daemon: whole.daemon - control.daemon };
  const ours = refreshed.client + refreshed.daemon;
  const theirs = inspected.client + inspected.daemon;
  printResults(`CPU of client and dockerd (ms), ${changes} times`, [
    ['what', 'client', 'dockerd', 'together', 'theirs / ours', 'wanted', 'met'],
    ['a container paused or resumed, nobody follows', control.client, control.daemon, sum(control), '', '', ''],
    ['the same, and a store shows it', whole.client, whole.daemon, sum(whole), theirs / sum(whole), '', ''],
    ['the refresh: what the store adds', refreshed.client, refreshed.daemon, ours, ...verdict(theirs / ours, '>=', 30)],
    ['all 200 inspected, one by one', inspected.client, inspected.daemon, theirs, '', '', ''],
  ]);
}

/** @typedef {{ client: number, daemon: number }} Cpu in milliseconds */

/** @param {Cpu} cpu */
const sum = ({ client, daemon }) => client + daemon;

/** @param {readonly Cpu[]} all */
const medians = (all) => ({
  client: median(all.map(({ client }) => client)),
  daemon: median(all.map(({ daemon }) => daemon)),
});

/**
 * Pauses and resumes one container after the other: changes that start nothing.
 * @param {string} socketPath
 * @param {readonly string[]} ids
 * @param {(id: string, paused: boolean) => Promise<void>} awaitShown called before the change
 */
async function changeContainers(socketPath, ids, awaitShown) {
  for (let change = 0; change < changes; change += 1) {
    const id = ids[(change >> 1) % ids.length] ?? '';
    const paused = change % 2 === 0;
    const shown = awaitShown(id, paused);
    await rawRequest(socketPath, 'POST', `/containers/${id}/${paused ? 'pause' : 'unpause'}`);
    await shown;
  }
}

/** @param {import('@crikit/metastore').MetaStore} store */
function showsIn(store) {
  /**
   * @param {string} id
   * @param {boolean} paused
   * @returns {Promise<void>}
   */
  return (id, paused) =>
    new Promise((resolve) => {
      const remove = store.onAnyPodChanged(() => {
        if ((store.getContainerByCid(id)?.state.status === 'paused') !== paused) return;
        remove();
        resolve();
      });
    });
}

/**
 * @param {number} pid
 * @param {() => Promise<void>} run
 * @returns {Promise<Cpu>}
 */
async function measure(pid, run) {
  const client = process.cpuUsage();
  const daemon = daemonCpuMs(pid);
  await run();
  const used = process.cpuUsage(client);
  return { client: (used.user + used.system) / 1000, daemon: daemonCpuMs(pid) - daemon };
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** @param {number} pid */
function daemonCpuMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}
