// @ts-check
import { spawn } from 'node:child_process';

/** @typedef {{ ok: boolean, code: number | null, signal: NodeJS.Signals | null, reason: string | undefined, stdout: string, output: string }} CommandOutcome */
/**
 * @typedef {object} CommandOptions
 * @property {string} [cwd] Working directory. Default: this process's.
 * @property {NodeJS.ProcessEnv} [env] The whole environment. Default: this process's.
 * @property {number} [timeoutMs] After this the command and its children are killed. Default: never.
 * @property {AbortSignal} [signal] Abort ends the command and its children: SIGTERM first, SIGKILL after the grace.
 * @property {number} [graceMs] Time between SIGTERM and SIGKILL. Default: 5,000.
 * @property {'show' | 'collect'} [output] Show the output as it comes (default), or collect it: both streams in `output`, stdout alone in `stdout`.
 */

/**
 * Runs a command to its end, without stdin. Never rejects: a command that cannot be started is an outcome with a reason.
 * The command gets a process group of its own, so that an interrupt of this process reaches it only through us and
 * its children can be ended with it.
 *
 * @param {string} command
 * @param {readonly string[]} commandArguments
 * @param {CommandOptions} [options]
 * @returns {Promise<CommandOutcome>}
 */
export function runCommand(command, commandArguments, options = {}) {
  const { cwd, env = process.env, timeoutMs, signal, graceMs = 5_000, output = 'show' } = options;
  return new Promise((resolve) => {
    let collected = '';
    let stdout = '';
    /** @type {string | undefined} */
    let reason;
    /** @type {NodeJS.Timeout | undefined} */
    let deadline;
    /** @type {NodeJS.Timeout | undefined} */
    let lastResort;

    if (signal?.aborted) {
      resolve({ ok: false, code: null, signal: null, reason: 'not started: interrupted', stdout: '', output: '' });
      return;
    }
    const child = spawn(command, commandArguments, {
      cwd,
      env,
      detached: true,
      stdio: [
        'ignore',
        ...(output === 'collect'
          ? /** @type {const} */ (['pipe', 'pipe'])
          : /** @type {const} */ (['inherit', 'inherit'])),
      ],
    });
    /** @param {NodeJS.Signals} name */
    const signalGroup = (name) => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, name);
      } catch {
        // The group is gone already.
      }
    };
    /** @param {string} why */
    const end = (why) => {
      reason ??= why;
      signalGroup('SIGTERM');
      lastResort ??= setTimeout(() => signalGroup('SIGKILL'), graceMs);
    };
    const onAbort = () => end('interrupted');

    signal?.addEventListener('abort', onAbort, { once: true });
    if (timeoutMs !== undefined) deadline = setTimeout(() => end(`not done after ${timeoutMs / 1_000} s`), timeoutMs);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text) => {
        collected += text;
      });
    }

    child.stdout?.on('data', (text) => {
      stdout += text;
    });

    /** @param {CommandOutcome} outcome */
    const settle = (outcome) => {
      clearTimeout(deadline);
      clearTimeout(lastResort);
      signal?.removeEventListener('abort', onAbort);
      resolve(outcome);
    };
    child.once('error', (error) => {
      settle({ ok: false, code: null, signal: null, reason: error.message, stdout, output: collected });
    });
    // 'exit' and not 'close' where nothing is collected: a daemon that inherited our output must not hold us up.
    child.once(output === 'collect' ? 'close' : 'exit', (code, endSignal) => {
      const ok = code === 0 && reason === undefined;
      if (!ok) reason ??= endSignal === null ? `exit code ${code}` : `ended by ${endSignal}`;
      if (reason !== undefined) signalGroup('SIGKILL');
      settle({ ok, code, signal: endSignal, reason, stdout, output: collected });
    });
  });
}
