// @ts-check
import { readFile } from 'node:fs/promises';
import { connectEngine, listProcessesOfAll, openContainerRoot } from '@crikit/core';
import { docker } from '@crikit/engine-docker';
import { removeContainer, runContainer } from '../tools/lab/lab.mjs';
import { inTurn, median, printResults, ratio, verdict } from './measure.mjs';

const osRelease = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n${'NAME="Debian GNU/Linux"\n'.repeat(10)}`;
/** So many are timed together: a single one is near the clock's own noise. */
const reads = 20;

/** @param {{ socketPath: string }} lab */
export default async function benchFiles({ socketPath }) {
  const container = await runContainer(socketPath, { name: `bench-files-${process.pid}` });
  const engine = await connectEngine(docker({ socketPath }));
  const root = await openContainerRoot({ pid: container.pid, containerId: container.id });
  try {
    await root.writeFile('/usr/lib/os-release', osRelease, { makeParents: true });
    // A link, as Debian has it.
    await engine.exec(container.id, { cmd: ['ln', '-sf', '../usr/lib/os-release', '/etc/os-release'], check: true });
    /** @param {() => Promise<Buffer>} read */
    const many = (read) => async () => {
      for (let count = 0; count < reads; count += 1) {
        if ((await read()).length !== osRelease.length) throw new Error('the content is not what was written');
      }
    };
    const once = async () => {
      const opened = await openContainerRoot({ pid: container.pid, containerId: container.id });
      try {
        return await opened.readFile('/etc/os-release');
      } finally {
        await opened.close();
      }
    };
    const times = await inTurn(
      {
        crikit: many(() => root.readFile('/etc/os-release')),
        opening: many(once),
        naive: many(() => readFile(`/proc/${container.pid}/root/etc/os-release`)),
        exec: async () => {
          const { stdout } = await engine.exec(container.id, { cmd: ['cat', '/etc/os-release'], check: true });
          if (stdout.length !== osRelease.length) throw new Error('the content is not what was written');
        },
        processes: () => listProcessesOfAll(),
      },
      { rounds: 60, warmUps: 5 },
    );
    const each = (/** @type {number[] | undefined} */ values) => (values ?? []).map((value) => value / reads);
    const ours = each(times.crikit);
    const opening = each(times.opening);
    const naive = each(times.naive);
    const exec = times.exec ?? [];
    printResults('/etc/os-release of a Docker container (ms)', [
      ['what', 'median', 'ratio', 'wanted', 'met'],
      ['readFile', median(ours), '', '', ''],
      ['  over fs.promises.readFile, unsafe', median(naive), ...verdict(ratio(ours, naive), '<=', 3)],
      ['  exec of cat over it', median(exec), ...verdict(ratio(exec, ours), '>=', 100)],
      ['open, readFile, close', median(opening), '', '', ''],
      ['  exec of cat over it', median(exec), ...verdict(ratio(exec, opening), '>=', 100)],
    ]);
    printResults('processes of all containers, one pass over /proc (ms)', [
      ['what', 'median'],
      ['listProcessesOfAll', median(times.processes ?? [])],
    ]);
  } finally {
    await root.close();
    await engine.close();
    await removeContainer(socketPath, container.id);
  }
}
