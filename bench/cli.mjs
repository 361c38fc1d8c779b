// @ts-check
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { removeContainer, runContainer } from '../tools/lab/lab.mjs';
import { inTurn, median, printResults, verdict } from './measure.mjs';

const program = fileURLToPath(new URL('../packages/cli/dist/crikit.js', import.meta.url));
const count = 50;
const boundsMs = { help: 150, ps: 700 };

/** @param {import('../tools/lab/lab.mjs').EngineState} docker */
export default async function benchCli({ socketPath }) {
  const environment = { PATH: process.env.PATH, HOME: process.env.HOME, DOCKER_HOST: `unix://${socketPath}` };
  /**
   * @param {string} file
   * @param {readonly string[]} words
   */
  const run = async (file, ...words) => {
    const child = spawn(file, words, { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`${file} ${words.join(' ')} ended with ${code}`);
  };
  /** @type {string[]} */
  const ids = [];
  try {
    const names = Array.from({ length: count }, (_, index) => `bench-cli-${process.pid}-${index}`);
    const start = async () => {
      for (let name = names.pop(); name !== undefined; name = names.pop()) {
        ids.push((await runContainer(socketPath, { name })).id);
      }
    };
    await Promise.all([start(), start(), start(), start()]);
    const times = await inTurn(
      {
        node: () => run(process.execPath, '-e', '0'),
        help: () => run(process.execPath, program, '--help'),
        ps: () => run(process.execPath, program, 'ps'),
        docker: () => run('docker', 'ps'),
      },
      { rounds: 15 },
    );
    const of = (/** @type {string} */ name) => median(times[name] ?? []);
    printResults(`the command, whole process, ${count} containers (ms)`, [
      ['what', 'median', 'wanted', 'met'],
      ['empty Node', of('node'), '', ''],
      ['crikit --help', ...verdict(of('help'), '<=', boundsMs.help)],
      ['crikit ps', ...verdict(of('ps'), '<=', boundsMs.ps)],
      ['docker ps', of('docker'), '', ''],
    ]);
  } finally {
    const drop = async () => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) await removeContainer(socketPath, id);
    };
    await Promise.all([drop(), drop(), drop(), drop()]);
  }
}
