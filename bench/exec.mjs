// @ts-check
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connectEngine } from '@crikit/core';
import { docker } from '@crikit/engine-docker';
import Dockerode from 'dockerode';
import { removeContainer, runContainer } from '../tools/lab/lab.mjs';
import { rawExec } from './docker-api.mjs';
import { inTurn, median, printResults, ratio, verdict } from './measure.mjs';

/** @param {{ socketPath: string }} lab */
export default async function benchExec({ socketPath }) {
  const { id } = await runContainer(socketPath, { name: `bench-exec-${process.pid}` });
  const engine = await connectEngine(docker({ socketPath }));
  try {
    const cli = async () => {
      const child = spawn('docker', ['-H', `unix://${socketPath}`, 'exec', '-u', '0', id, 'true'], { stdio: 'ignore' });
      const [code] = await once(child, 'exit');
      if (code !== 0) throw new Error(`docker exec ended with ${code}`);
    };
    const client = new Dockerode({ socketPath, version: 'v1.41' });
    const dockerode = async () => {
      const exec = await client.getContainer(id).exec({ Cmd: ['true'], AttachStdout: true, AttachStderr: true });
      const stream = await exec.start({ hijack: true });
      stream.resume();
      await once(stream, 'end');
      const { ExitCode } = await exec.inspect();
      if (ExitCode !== 0) throw new Error(`dockerode's exec ended with ${ExitCode}`);
    };
    const times = await inTurn(
      {
        crikit: () => engine.exec(id, { cmd: ['true'], check: true }),
        raw: () => rawExec(socketPath, id, ['true']),
        dockerode,
        cli,
      },
      { rounds: 60, warmUps: 5 },
    );
    const ours = times.crikit ?? [];
    printResults('exec of `true` on Docker (ms)', [
      ['what', 'median', 'ours / theirs', 'wanted', 'met'],
      ['crikit', median(ours), '', '', ''],
      ['raw HTTP', median(times.raw ?? []), ...verdict(ratio(ours, times.raw ?? []), '<=', 1.15)],
      ['dockerode', median(times.dockerode ?? []), ratio(ours, times.dockerode ?? []), '', ''],
      ['docker exec', median(times.cli ?? []), ...verdict(ratio(ours, times.cli ?? []), '<=', 0.8)],
    ]);
  } finally {
    await engine.close();
    await removeContainer(socketPath, id);
  }
}
