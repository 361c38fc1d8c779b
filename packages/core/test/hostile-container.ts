/** Runs a program that works against us from within a container, and counts how our tries end. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';

/** Far beyond what any try takes on a busy machine. */
const hangMs = 20_000;

export interface Attacker {
  /** Gives the number of swaps that were made. */
  stop(): Promise<number>;
}

/** `directory` is the host's that the container tries to lead us to; see the program for the other words. */
export async function startAttacker(pid: number, directory: string, work: string, action: string): Promise<Attacker> {
  const script = join(import.meta.dirname, 'hostile-container.pl');
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(
    'perl',
    [script, String(pid), directory, work, action],
    { stdio: 'pipe' },
  );
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const ended = once(child, 'close');
  await Promise.race([once(child.stdout, 'data'), ended]);
  if (!output.startsWith('ready')) throw new Error(`the attacker did not start: ${errors}`);
  return {
    async stop() {
      child.stdin.end();
      await ended;
      return Number(output.trim().split('\n').at(-1));
    },
  };
}

/** How often there was which result, or error code; `hung` for a try that took too long. */
export async function tryTimes(times: number, run: () => Promise<unknown>): Promise<ReadonlyMap<string, number>> {
  const seen = new Map<string, number>();
  let left = times;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const start = performance.now();
      const result = await run().then(String, (error) => String(error.code ?? error));
      const outcome = performance.now() - start > hangMs ? 'hung' : result;
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
  };
  // Together they keep this process busy while one of them waits for the thread pool.
  await Promise.all(Array.from({ length: 4 }, worker));
  return seen;
}

/** Whether `run` ever gives true; what it throws is a try as well. */
export async function untilTrue(run: () => Promise<boolean>): Promise<boolean> {
  for (let count = 0; count < 50_000; count += 1) {
    if (await run().catch(() => false)) return true;
  }
  return false;
}
