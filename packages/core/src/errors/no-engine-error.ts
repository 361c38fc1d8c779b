import type { EngineReport } from '../select-engines.js';
import { CrikitError, isErrorNamed } from './crikit-error.js';

/** No container engine can be used on this node; `reports` has every attempt that was made, with remedies. */
export class NoEngineError extends CrikitError {
  declare readonly code: 'NO_ENGINE';
  readonly reports: readonly EngineReport[];

  constructor(reports: readonly EngineReport[]) {
    super('NoEngineError', 'NO_ENGINE', describe(reports), { applied: 'no', retryable: true });
    this.reports = reports;
  }
}

/** True for a {@link NoEngineError} of any copy of this package. */
export function isNoEngineError(error: unknown): error is NoEngineError {
  return isErrorNamed(error, 'NoEngineError');
}

function describe(reports: readonly EngineReport[]): string {
  if (reports.length === 0) {
    return "No container engine can be used: none is registered. Import an engine package, such as '@crikit/engine-docker'.";
  }
  const lines = reports.flatMap((report) => [
    `  ${report.type} (${report.packageName} ${report.packageVersion}): ${report.reason}`,
    ...report.attempts.map(
      (attempt) =>
        `    ${attempt.message}${attempt.code === undefined ? '' : ` (${attempt.code})`}${attempt.remedy === undefined ? '' : ` ${attempt.remedy}`}`,
    ),
  ]);
  return `No container engine can be used on this node.\n${lines.join('\n')}`;
}
