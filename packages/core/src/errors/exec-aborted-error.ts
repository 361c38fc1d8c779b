import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';
import type { ExecInterruption, ExecTermination } from './exec-interrupted.js';

/** An exec was ended by the caller's signal; the process was killed as `termination` says. */
export class ExecAbortedError extends CrikitError implements ExecInterruption {
  declare readonly code: 'ABORTED';
  readonly cmd: readonly string[];
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly termination: ExecTermination | undefined;

  constructor(message: string, interruption: ExecInterruption, options: CrikitErrorOptions = {}) {
    super('ExecAbortedError', 'ABORTED', message, options);
    this.cmd = interruption.cmd;
    this.stdout = interruption.stdout;
    this.stderr = interruption.stderr;
    this.termination = interruption.termination;
  }
}

/** True for an {@link ExecAbortedError} of any copy of this package. */
export function isExecAbortedError(error: unknown): error is ExecAbortedError {
  return isErrorNamed(error, 'ExecAbortedError');
}
