/**
 * Runs checks in processes of their own, a few at a time and one after the other in each: whatever a daemon or a file
 * system does to a check, it takes one process with it, which is killed and not waited for.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { CheckAnswer, CheckOrder } from './check-process.js';
import type { CheckSettings } from './check-settings.js';
import type { CheckResult, CheckTask } from './check-task.js';

export interface RunChecksOptions {
  readonly settings: CheckSettings;
  /** For the processes. */
  readonly environment: NodeJS.ProcessEnv;
  /** For one check. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
  /** The program of the processes. */
  readonly programPath: string;
  /** Default: 4. */
  readonly processes?: number;
}

export interface CheckRunner {
  /** One outcome a task, in their order. Never rejects, but for the signal's reason when that aborts. */
  run(tasks: readonly CheckTask[]): Promise<readonly CheckOutcome[]>;
  /** Kills what is still there. */
  close(): void;
}

export interface CheckOutcome {
  readonly task: CheckTask;
  readonly durationMs: number;
  readonly ended:
    | { readonly kind: 'done'; readonly result: CheckResult }
    | { readonly kind: 'timed-out' }
    /** `message`: the last that was heard of it. */
    | { readonly kind: 'crashed'; readonly message: string };
}

/** A check that notices the end of its time can still say what it knows; the rest of the limit is for saying it. */
const sayingMs = 200;
/** Starting Node is not the check's fault, however busy the machine is. */
const startLimitMs = 20_000;

export function createCheckRunner(options: RunChecksOptions): CheckRunner {
  const { settings, limitMs, signal, processes = 4 } = options;
  /** Those that wait for a task. */
  const idle: CheckProcess[] = [];
  const alive = new Set<CheckProcess>();

  const close = (): void => {
    for (const process of alive) process.kill();
    alive.clear();
    idle.length = 0;
  };

  const runOne = async (task: CheckTask): Promise<CheckOutcome> => {
    const process = idle.pop() ?? startProcess(options);
    alive.add(process);
    const unready = await process.ready;
    const startMs = performance.now();
    const ended = unready ?? (await process.order({ task, settings, giveUpAfterMs: giveUpAfterMs(limitMs) }, limitMs));
    if (ended.kind === 'done') idle.push(process);
    else {
      process.kill();
      alive.delete(process);
    }
    return { task, durationMs: Math.round(performance.now() - startMs), ended };
  };

  return {
    run: async (tasks) => {
      const outcomes: CheckOutcome[] = [];
      const waiting = [...tasks.entries()];
      const work = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          signal.throwIfAborted();
          const [index, task] = next;
          outcomes[index] = await runOne(task);
        }
      };
      const aborted = abortion(signal);
      try {
        const workers = Array.from({ length: Math.min(processes, tasks.length) }, work);
        await Promise.race([Promise.all(workers), aborted.promise]);
      } catch (error) {
        close();
        throw error;
      } finally {
        aborted.forget();
      }
      return outcomes;
    },
    close,
  };
}

function giveUpAfterMs(limitMs: number): number {
  return Math.max(limitMs - sayingMs, limitMs / 2);
}

type Ended = CheckOutcome['ended'];

interface CheckProcess {
  /** Resolves to undefined when it takes orders, else to why it never will. */
  readonly ready: Promise<Ended | undefined>;
  order(order: CheckOrder, limitMs: number): Promise<Ended>;
  /** Kills it and forgets it: a process that hangs in the kernel does not end, and nobody waits for it. */
  kill(): void;
}

function startProcess({ environment, programPath }: RunChecksOptions): CheckProcess {
  const child = fork(programPath, [], {
    env: environment,
    execArgv: ['--no-warnings'],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4_000);
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('error', (error) => resolve({ kind: 'crashed', message: error.message }));
    // Not 'exit': what it said may still be on its way.
    child.once('close', (code, signal) =>
      resolve({ kind: 'crashed', message: lastWords(said) ?? `it ended with ${signal ?? `code ${code}`}` }),
    );
  });

  const hear = (): Promise<CheckAnswer> =>
    new Promise((resolve) => child.once('message', resolve as (message: unknown) => void));
  const kill = (): void => {
    child.kill('SIGKILL');
    if (child.connected) child.disconnect();
    child.stderr?.destroy();
    child.unref();
  };
  const within = async (limitMs: number, answer: Promise<Ended | undefined>): Promise<Ended | undefined> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Ended>((resolve) => {
      timer = setTimeout(() => resolve({ kind: 'timed-out' }), limitMs);
    });
    try {
      return await Promise.race([answer, ended, late]);
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    ready: within(
      startLimitMs,
      hear().then(() => undefined),
    ),
    order: async (order, limitMs) => {
      const answer = hear().then((message): Ended => {
        if (message.kind === 'ready') return { kind: 'crashed', message: 'it spoke out of turn' };
        return message;
      });
      send(child, order);
      return (await within(limitMs, answer)) ?? { kind: 'timed-out' };
    },
    kill,
  };
}

/** A process that has ended meanwhile is heard of by its end. */
function send(child: ChildProcess, order: CheckOrder): void {
  if (child.connected) child.send(order, () => {});
}

/** Of what Node prints when it ends by an error, the line that says which. */
function lastWords(said: string): string | undefined {
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => /^\S*Error\b.*:/.test(line)) ?? lines.at(-1))?.trim().slice(0, 500);
}

function abortion(signal: AbortSignal): { readonly promise: Promise<never>; forget(): void } {
  let onAbort = (): void => {};
  const promise = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  promise.catch(() => {});
  return { promise, forget: () => signal.removeEventListener('abort', onAbort) };
}
