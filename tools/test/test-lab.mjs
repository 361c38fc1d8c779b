// @ts-check
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
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
 * Starts the engines for one run of the tests, in a folder of its own, so that runs side by side and a lab that somebody
 * keeps up by hand are left alone. Where CRIKIT_LAB_STATE already names a running lab, that one is used and left up.
 *
 * @param {readonly string[]} engines
 * @param {AbortSignal} signal
 * @returns {Promise<TestLab>}
 */
export async function startTestLab(engines, signal) {
  const given = process.env.CRIKIT_LAB_STATE;
  if (given !== undefined && existsSync(given)) {
    return { environment: { CRIKIT_LAB_STATE: given }, missing: undefined, end: async () => undefined };
  }
  const stem = labDirectory();
  await endAbandonedLabs(stem);

  const directory = `${stem}-t${process.pid}`;
  const environment = { CRIKIT_LAB_DIR: directory, CRIKIT_LAB_STATE: join(directory, 'state.json') };
  const end = () => stopLab(directory);
  for (const engine of engines) {
    const outcome = await runCommand(process.execPath, [labProgram, 'up', '--engine', engine], {
      cwd: repositoryRoot,
      env: { ...process.env, ...environment },
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
  return { environment, missing: undefined, end };
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
  const names = existsSync(folder) ? readdirSync(folder) : readdirSync(tmpdir());
  for (const name of names) {
    const pid = name.startsWith(prefix) ? Number(name.slice(prefix.length)) : Number.NaN;
    if (Number.isInteger(pid) && !existsSync(`/proc/${pid}`)) await stopLab(join(folder, name));
  }
}

/** @param {string} text */
function lastLine(text) {
  return text.trim().split('\n').at(-1) || undefined;
}
