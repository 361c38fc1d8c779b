// @ts-check
import { createMetaStore } from '@crikit/metastore';
import { countingDocker } from './counting-docker.mjs';
import { rawRequest } from './docker-api.mjs';
import { median, printResults, verdict } from './measure.mjs';

/**
 * @param {{ socketPath: string }} lab
 * @param {readonly string[]} ids
 */
export default async function benchRefresh({ socketPath }, ids) {
  const { definition, counts } = countingDocker(socketPath);
  const store = createMetaStore({ engines: [definition], enrichment: false });
  await store.start();
  try {
    /** @type {number[]} */
    const latenciesMs = [];
    /** @type {number[]} */
    const calls = [];
    for (let round = 0; round < 40; round += 1) {
      const paused = round % 2 === 0;
      // A container of another pod each time: a pod that changes ten times in ten seconds is looked at less often.
      const id = ids[(round >> 1) * 8] ?? '';
      const events = await openEvents(socketPath, id);
      const shown = new Promise((resolve) => {
        const remove = store.onAnyPodChanged(() => {
          if ((store.getContainerByCid(id)?.state.status === 'paused') !== paused) return;
          remove();
          resolve(Date.now());
        });
      });
      counts.calls = 0;
      await rawRequest(socketPath, 'POST', `/containers/${id}/${paused ? 'pause' : 'unpause'}`);
      const at = /** @type {number} */ (await shown);
      latenciesMs.push(at - (await events.firstMs));
      calls.push(counts.calls);
      events.close();
    }
    printResults('one container changes among 200', [
      ['what', 'measured', 'wanted', 'met'],
      ['dockerd’s event to the store, median (ms)', ...verdict(median(latenciesMs), '<=', 50)],
      ['longest (ms)', Math.max(...latenciesMs), '', ''],
      ['engine calls, most', ...verdict(Math.max(...calls), '<=', 3)],
    ]);
  } finally {
    await store.close();
  }
}

/**
 * dockerd's own time of the next event of a container.
 * @param {string} socketPath
 * @param {string} id
 */
async function openEvents(socketPath, id) {
  const { request } = await import('node:http');
  const filters = encodeURIComponent(JSON.stringify({ container: [id] }));
  const outgoing = request({ socketPath, path: `/v1.41/events?filters=${filters}` });
  outgoing.end();
  /** @type {import('node:http').IncomingMessage} */
  const reply = await new Promise((resolve, reject) => outgoing.once('response', resolve).once('error', reject));
  const firstMs = new Promise((resolve) => {
    reply.once('data', (chunk) => {
      const text = String(chunk).split('\n')[0] ?? '';
      // The number is larger than a safe integer: its digits are cut before it becomes one.
      const nanoseconds = /"timeNano":(\d+)/.exec(text)?.[1] ?? '';
      resolve(Number(nanoseconds.slice(0, -3)) / 1000);
    });
  });
  return { firstMs: /** @type {Promise<number>} */ (firstMs), close: () => outgoing.destroy() };
}
