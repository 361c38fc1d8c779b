import { CrikitError } from '@crikit/core';

/** A TARGET fits several pods or containers. */
export class AmbiguousTargetError extends CrikitError {
  declare readonly code: 'AMBIGUOUS';
  /** One line each; begins with what names it alone. */
  readonly candidates: readonly string[];

  constructor(message: string, candidates: readonly string[], remedy: string) {
    super(
      'AmbiguousTargetError',
      'AMBIGUOUS',
      `${message}\n${candidates.map((line) => `  ${line}`).join('\n')}\n${remedy}`,
      {
        applied: 'no',
      },
    );
    this.candidates = candidates;
  }
}
