// @ts-check
import { connectEngine } from '@crikit/core';
import { docker } from '@crikit/engine-docker';
import { createMetaStore } from '@crikit/metastore';
import { rawInspectAll } from './docker-api.mjs';
import { inTurn, median, printResults, ratio, verdict } from './measure.mjs';

// Most of the store's code runs once in a sync, an HTTP client's hundreds of times: what is compared is what both take when
// all of it is compiled.
const warmUps = 40;
const rounds = 80;

/** @param {{ socketPath: string }} lab */
export default async function benchSync({ socketPath }) {
  const firstSync = async () => {
    // A new engine each time: it remembers what it has inspected.
    const engine = await connectEngine(docker({ socketPath }));
    const start = process.hrtime.bigint();
    const store = createMetaStore({ engines: [engine], enrichment: false });
    await store.start();
    const elapsedMs = Number(process.hrtime.bigint() - start) / 1e6;
    if (store.getAllPods().length < 50) throw new Error(`only ${store.getAllPods().length} pods`);
    await store.close();
    await engine.close();
    return elapsedMs;
  };
  /** @type {number[]} */
  const ours = [];
  const times = await inTurn(
    { crikit: async () => ours.push(await firstSync()), parallel: () => rawInspectAll(socketPath, 16) },
    { rounds, warmUps },
  );
  const counted = ours.slice(warmUps);
  /** @type {number[]} */
  const oursBesideSerial = [];
  const { serial = [] } = await inTurn(
    { crikit: async () => oursBesideSerial.push(await firstSync()), serial: () => rawInspectAll(socketPath, 1) },
    { rounds: 11, warmUps: 0 },
  );
  printResults('first sync of 200 running containers (ms)', [
    ['what', 'median', 'ours / theirs', 'wanted', 'met'],
    ['crikit store.start()', median(counted), '', '', ''],
    ['raw HTTP, 16 at once', median(times.parallel ?? []), ...verdict(ratio(counted, times.parallel ?? []), '<=', 1.2)],
    ['raw HTTP, one by one', median(serial), ...verdict(ratio(oursBesideSerial, serial), '<=', 1)],
  ]);
}
