// @ts-check
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { connectEngine } from '@crikit/core';
import { docker } from '@crikit/engine-docker';
import { dockerRequest, removeContainer, runContainer } from '../tools/lab/lab.mjs';
import { median, printResults, ratio, verdict } from './measure.mjs';

const run = promisify(execFile);
const largeBytes = 200 * 1024 ** 2;
const smallFiles = 5_000;

/**
 * Runs the contestants in turn; each says how long it took, without what it did before and after.
 * @param {Readonly<Record<string, () => Promise<number>>>} contestants
 * @param {number} rounds after one that does not count
 */
async function timesOf(contestants, rounds) {
  /** @type {Record<string, number[]>} */
  const times = {};
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, contestant] of Object.entries(contestants)) {
      const elapsedMs = await contestant();
      times[name] ??= [];
      if (round >= 0) times[name].push(elapsedMs);
    }
  }
  return times;
}

/** @param {{ socketPath: string }} lab */
export default async function benchCopy({ socketPath }) {
  const folder = await mkdtemp(join(tmpdir(), 'crikit-bench-copy-'));
  const container = await runContainer(socketPath, { name: `bench-copy-${process.pid}` });
  const engine = await connectEngine(docker({ socketPath }));
  try {
    const merged = (await dockerRequest(socketPath, 'GET', `/containers/${container.id}/json`)).GraphDriver.Data
      .MergedDir;
    const large = join(folder, 'large');
    await writeFile(large, randomBytes(largeBytes));
    const tree = join(folder, 'tree');
    for (let index = 0; index < smallFiles; index += 1) {
      const directory = join(tree, `directory-${Math.floor(index / 100)}`);
      if (index % 100 === 0) await mkdir(directory, { recursive: true });
      await writeFile(join(directory, `file-${index}`), `${index}\n`.repeat(50));
    }
    await engine.copyToContainer(container.id, large, '/bench/large');
    await engine.copyToContainer(container.id, tree, '/bench/tree');

    const dockerCp = (/** @type {string[]} */ ...args) => run('docker', ['-H', `unix://${socketPath}`, 'cp', ...args]);
    let count = 0;
    /**
     * Times `copy` to a place that is new each time. A large file that was made is removed outside of the time; small
     * ones stay until the end: for some seconds ext4 passes by each inode that was given back, and after thousands of them
     * whoever creates files next spends most of the time on that, whichever program it is.
     * @param {string} where
     * @param {string} name
     * @param {(to: string) => Promise<unknown>} copy
     */
    const fresh = (where, name, copy) => async () => {
      count += 1;
      const to = join(where, `copy-${count}`);
      const start = process.hrtime.bigint();
      await copy(to);
      const elapsedMs = Number(process.hrtime.bigint() - start) / 1e6;
      if (name === 'large') await rm(join(where === '/bench' ? `${merged}/bench` : where, `copy-${count}`));
      return elapsedMs;
    };
    /** @param {string} name */
    const into = (name) => ({
      crikit: fresh('/bench', name, (to) => engine.copyToContainer(container.id, join(folder, name), to)),
      cp: fresh('/bench', name, (to) => run('cp', ['-a', join(folder, name), `${merged}${to}`])),
      'docker cp': fresh('/bench', name, (to) => dockerCp(join(folder, name), `${container.id}:${to}`)),
    });
    /** @param {string} name */
    const outOf = (name) => ({
      crikit: fresh(folder, name, (to) => engine.copyFromContainer(container.id, `/bench/${name}`, to)),
      cp: fresh(folder, name, (to) => run('cp', ['-a', `${merged}/bench/${name}`, to])),
      'docker cp': fresh(folder, name, (to) => dockerCp(`${container.id}:/bench/${name}`, to)),
    });
    const largeIn = await timesOf(into('large'), 7);
    const largeOut = await timesOf(outOf('large'), 7);
    const smallIn = await timesOf(into('tree'), 5);
    const smallOut = await timesOf(outOf('tree'), 5);

    /** @param {Record<string, number[]>} times @param {Record<string, number>} wanted */
    const rows = (times, wanted) => [
      ['what', 'median', 'speed of crikit over it', 'wanted', 'met'],
      ...Object.entries(times).map(([name, values]) => {
        const bound = wanted[name];
        const speed = ratio(values, times.crikit ?? []);
        if (name === 'crikit') return [name, median(values), '', '', ''];
        return [name, median(values), ...(bound === undefined ? [speed, '', ''] : verdict(speed, '>=', bound))];
      }),
    ];
    printResults('200 MiB into a container (ms)', rows(largeIn, { cp: 0.7, 'docker cp': 2.5 }));
    printResults('200 MiB out of a container (ms)', rows(largeOut, { cp: 0.5, 'docker cp': 2.5 }));
    printResults('5,000 small files into a container (ms)', rows(smallIn, { 'docker cp': 0.8 }));
    printResults('5,000 small files out of a container (ms)', rows(smallOut, { 'docker cp': 2 }));
  } finally {
    await engine.close();
    await removeContainer(socketPath, container.id);
    await rm(folder, { recursive: true, force: true });
  }
}
