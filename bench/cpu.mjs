// @ts-check
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { docker } from '@crikit/engine-docker';
import { createMetaStore } from '@crikit/metastore';
import { rawInspectAll, rawRequest } from './docker-api.mjs';
import { printResults, verdict } from './measure.mjs';

const rounds = 100;

/**
 * @param {{ socketPath: string, pid: number }} lab
 * @param {readonly string[]} ids
 */
export default async function benchCpu({ socketPath, pid }, ids) {
  const store = createMetaStore({ engines: [docker({ socketPath })], enrichment: false });
  await store.start();
  // Paused and resumed: changes that start nothing. What dockerd spends on them counts against us.
  const refreshed = await measure(pid, async () => {
    for (let round = 0; round < rounds; round += 1) {
      // Another container for every two changes: a pod that changes ten times in ten seconds is looked at less often.
      const id = ids[(round >> 1) * 4] ?? '';
      const paused = round % 2 === 0;
      const shown = new Promise((resolve) => {
        const remove = store.onAnyPodChanged(() => {
          if ((store.getContainerByCid(id)?.state.status === 'paused') !== paused) return;
          remove();
          resolve(undefined);
        });
      });
      await rawRequest(socketPath, 'POST', `/containers/${id}/${paused ? 'pause' : 'unpause'}`);
      await shown;
    }
  });
  await store.close();
  const inspected = await measure(pid, async () => {
    for (let round = 0; round < rounds; round += 1) await rawInspectAll(socketPath, 1);
  });
  printResults(`CPU of client and dockerd (ms), ${rounds} times`, [
    ['what', 'client', 'dockerd', 'together', 'theirs / ours', 'wanted', 'met'],
    ['crikit: one container refreshed', refreshed.clientMs, refreshed.daemonMs, refreshed.totalMs, '', '', ''],
    [
      'all 200 inspected, one by one',
      inspected.clientMs,
      inspected.daemonMs,
      inspected.totalMs,
      ...verdict(inspected.totalMs / refreshed.totalMs, '>=', 30),
    ],
  ]);
}

/**
 * @param {number} pid
 * @param {() => Promise<void>} run
 */
async function measure(pid, run) {
  const client = process.cpuUsage();
  const daemon = daemonCpuMs(pid);
  await run();
  const used = process.cpuUsage(client);
  const clientMs = (used.user + used.system) / 1000;
  const daemonMs = daemonCpuMs(pid) - daemon;
  return { clientMs, daemonMs, totalMs: clientMs + daemonMs };
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** @param {number} pid */
function daemonCpuMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
}
