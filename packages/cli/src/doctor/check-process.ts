/** The process in which checks run, one after the other; whoever started it kills it when one takes too long. */
import type { CheckSettings } from './check-settings.js';
import type { CheckResult, CheckTask } from './check-task.js';
import { runCheck } from './run-check.js';

/** To the process. */
export interface CheckOrder {
  readonly task: CheckTask;
  readonly settings: CheckSettings;
  /** When the check is to give up by itself, so that it can still say what it knows. */
  readonly giveUpAfterMs: number;
}

/** From the process: once when it is ready, then after each order. */
export type CheckAnswer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly result: CheckResult }
  | { readonly kind: 'crashed'; readonly message: string };

function answer(message: CheckAnswer): void {
  process.send?.(message);
}

process.on('disconnect', () => process.exit());
process.on('message', ({ task, settings, giveUpAfterMs }: CheckOrder) => {
  const limit = new AbortController();
  const timer = setTimeout(() => {
    limit.abort(Object.assign(new Error('no answer in time'), { code: 'TIMEOUT' }));
  }, giveUpAfterMs);
  runCheck(task, { settings, environment: process.env, signal: limit.signal })
    .then(
      (result) => answer({ kind: 'done', result }),
      (error: unknown) =>
        answer({
          kind: 'crashed',
          message: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
        }),
    )
    .finally(() => clearTimeout(timer));
});
answer({ kind: 'ready' });
