// @ts-check
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { median, printResults, ratio, verdict } from './measure.mjs';

const count = 10_000;
const rounds = 7;
const contestants = /** @type {const} */ (['crikit', 'informer']);

/** @typedef {{ ms: number, blockMs: number, heapMb: number }} Cost */

export default async function benchPods() {
  const server = fork(path('pods-server.mjs'), [String(count)]);
  try {
    const { url, bytes } = await firstMessage(server);
    /** @type {Record<typeof contestants[number], Cost[]>} */
    const costs = { crikit: [], informer: [] };
    // A process for each turn: what one leaves in the heap is no other's burden.
    for (let round = -1; round < rounds; round += 1) {
      for (const name of contestants) {
        const client = fork(path('pods-client.mjs'), [name, url, String(count)], { execArgv: ['--expose-gc'] });
        const cost = await firstMessage(client);
        if (round >= 0) costs[name].push(cost);
      }
    }
    /** @param {keyof Cost} member */
    const row = (member) => {
      const [ours, theirs] = contestants.map((name) => costs[name].map((cost) => cost[member]));
      return { ours: ours ?? [], theirs: theirs ?? [] };
    };
    const [time, block, heap] = [row('ms'), row('blockMs'), row('heapMb')];
    printResults(
      `First list of ${count} pods (${Math.round(bytes / 1e6)} MB): crikit and @kubernetes/client-node's informer`,
      [
        ['what', 'crikit', 'informer', 'ratio', 'wanted', 'met'],
        [
          'time (ms), theirs / ours',
          median(time.ours),
          median(time.theirs),
          ...verdict(ratio(time.theirs, time.ours), '>=', 1.5),
        ],
        [
          'longest block of the event loop (ms)',
          median(block.ours),
          median(block.theirs),
          ...verdict(ratio(block.ours, block.theirs), '<=', 0.1),
        ],
        [
          'heap kept (MB)',
          median(heap.ours),
          median(heap.theirs),
          ...verdict(ratio(heap.ours, heap.theirs), '<=', 0.25),
        ],
      ],
    );
  } finally {
    server.disconnect();
    await once(server, 'exit');
  }
}

/** @param {string} file */
const path = (file) => fileURLToPath(new URL(file, import.meta.url));

/** @param {import('node:child_process').ChildProcess} child */
async function firstMessage(child) {
  const [message] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => {
      throw new Error(`${child.spawnfile} ended with ${code} before it had told anything`);
    }),
  ]);
  return message;
}
