import type { ExecResult } from '../exec-request.js';
import { sampleOutput } from '../sample-output.js';
import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** A command ended with a non-zero exit code and the caller had asked for `check: true`. */
export class ExecFailedError extends CrikitError {
  declare readonly code: 'EXEC_FAILED';
  readonly cmd: readonly string[];
  readonly exitCode: number;
  /** The first 1024 characters of each stream. */
  readonly stdoutSample: string;
  readonly stderrSample: string;
  readonly result: ExecResult;

  constructor(result: ExecResult, options: CrikitErrorOptions = {}) {
    const { stdout, stderr } = sampleOutput(result);
    const shown = stderr.trim() || stdout.trim();
    super(
      'ExecFailedError',
      'EXEC_FAILED',
      `${JSON.stringify(result.cmd)} ended with exit code ${result.exitCode}${shown === '' ? '' : `: ${shown}`}`,
      { applied: 'yes', ...options },
    );
    this.cmd = result.cmd;
    this.exitCode = result.exitCode;
    this.stdoutSample = stdout;
    this.stderrSample = stderr;
    this.result = result;
  }
}

/** True for an {@link ExecFailedError} of any copy of this package. */
export function isExecFailedError(error: unknown): error is ExecFailedError {
  return isErrorNamed(error, 'ExecFailedError');
}
