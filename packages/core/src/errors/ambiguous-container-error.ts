import { CrikitError, type CrikitErrorOptions, isErrorNamed } from './crikit-error.js';

/** A short or prefixed container id fits several containers; `candidates` has the full identities. */
export class AmbiguousContainerError extends CrikitError {
  declare readonly code: 'AMBIGUOUS';
  /** One line a candidate: engine id, scope and full container id. */
  readonly candidates: readonly string[];

  constructor(asked: string, candidates: readonly string[], options: CrikitErrorOptions = {}) {
    super(
      'AmbiguousContainerError',
      'AMBIGUOUS',
      `'${asked}' fits ${candidates.length} containers: ${candidates.join(', ')}.`,
      { applied: 'no', remedy: 'Give more characters of the id.', ...options },
    );
    this.candidates = candidates;
  }
}

/** True for an {@link AmbiguousContainerError} of any copy of this package. */
export function isAmbiguousContainerError(error: unknown): error is AmbiguousContainerError {
  return isErrorNamed(error, 'AmbiguousContainerError');
}
