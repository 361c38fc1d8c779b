// @ts-check
import { existsSync, readdirSync } from 'node:fs';
import { basename, delimiter, dirname, join } from 'node:path';
import { labDirectory } from '../lab/lab-directory.mjs';
import { runCommand } from '../setup/run-command.mjs';
import { repositoryRoot } from '../setup/tool-environment.mjs';

const labProgram = join(repositoryRoot, 'tools', 'lab', 'lab.mjs');

/**
 * @typedef {object} TestLab
 * @property {NodeJS.ProcessEnv} environment What the tests need to find the lab, or why there is none.
 * @property {string | undefined} missing Why there is no lab.
 * @property {() => Promise<string | undefined>} end Stops what was started here. Returns what went wrong.
 */

/**
 * Starts the engines for one run of the tests, in folders of its own, so that runs side by side and a lab that somebody
 * keeps up by hand are left alone. Where CRIKIT_LAB_STATE already names a running lab, that one is used and left up.
 *
 * @param {readonly string[]} engines
 * @param {number} count How many labs, each with all the engines: one for each file of tests that runs at a time, since a
 *   test counts what its engine holds, and stops it.
 * @param {AbortSignal} signal
 * @returns {Promise<TestLab>}
 */
export async function startTestLab(engines, count, signal) {
  const given = process.env.CRIKIT_LAB_STATE;
  if (given?.split(delimiter).every((path) => existsSync(path))) {
    return { environment: { CRIKIT_LAB_STATE: given }, missing: undefined, end: async () => undefined };
  }
  const stem = labDirectory();
  await endAbandonedLabs(stem);

  const directories = Array.from({ length: count }, (_, index) => `${stem}-t${process.pid}-${index + 1}`);
  const end = async () => {
    const troubles = await Promise.all(directories.map(stopLab));
    return troubles.filter((trouble) => trouble !== undefined).join('; ') || undefined;
  };
  for (const directory of directories) {
    for (const engine of engines) {
      const outcome = await runCommand(process.execPath, [labProgram, 'up', '--engine', engine], {
        cwd: repositoryRoot,
        env: { ...process.env, CRIKIT_LAB_DIR: directory },
        output: 'collect',
        timeoutMs: 600_000,
        // It cleans up after itself when it is interrupted, which takes a moment.
        graceMs: 30_000,
        signal,
      });
      process.stdout.write(outcome.output);
      if (!outcome.ok) {
        const missing = `${engine}: ${lastLine(outcome.output) ?? outcome.reason}`;
        return { environment: { CRIKIT_LAB_SKIP: missing }, missing, end };
      }
    }
  }
  const CRIKIT_LAB_STATE = directories.map((directory) => join(directory, 'state.json')).join(delimiter);
  // Daemons that tests start themselves belong to the run as well: they go with its folders.
  return { environment: { CRIKIT_LAB_DIR: directories[0], CRIKIT_LAB_STATE }, missing: undefined, end };
}

/**
 * @param {string} directory
 * @returns {Promise<string | undefined>}
 */
async function stopLab(directory) {
  const outcome = await runCommand(process.execPath, [labProgram, 'down'], {
    cwd: repositoryRoot,
    env: { ...process.env, CRIKIT_LAB_DIR: directory },
    output: 'collect',
    timeoutMs: 120_000,
  });
  return outcome.ok ? undefined : (lastLine(outcome.output) ?? outcome.reason);
}

/**
 * Ends the labs of runs of this clone that were killed before they could.
 *
 * @param {string} stem
 */
async function endAbandonedLabs(stem) {
  const folder = dirname(stem);
  const prefix = `${basename(stem)}-t`;
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (Number.isInteger(pid) && !existsSync(`/proc/${pid}`)) await stopLab(join(folder, name));
  }
}

/** @param {string} text */
function lastLine(text) {
  return text.trim().split('\n').at(-1) || undefined;
}
