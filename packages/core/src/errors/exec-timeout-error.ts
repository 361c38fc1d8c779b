import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';
import type { ExecInterruption, ExecTermination } from './exec-interrupted.js';

/** An exec ran into its `timeoutMs`; the process was killed as `termination` says. */
export class ExecTimeoutError extends CrikitError implements ExecInterruption {
  declare readonly code: 'TIMEOUT';
  readonly cmd: readonly string[];
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly termination: ExecTermination | undefined;

  constructor(message: string, interruption: ExecInterruption, options: CrikitErrorOptions = {}) {
    super('ExecTimeoutError', 'TIMEOUT', message, options);
    this.cmd = interruption.cmd;
    this.stdout = interruption.stdout;
    this.stderr = interruption.stderr;
    this.termination = interruption.termination;
  }
}

/** True for an {@link ExecTimeoutError} of any copy of this package. */
export function isExecTimeoutError(error: unknown): error is ExecTimeoutError {
  return isErrorNamed(error, 'ExecTimeoutError');
}
