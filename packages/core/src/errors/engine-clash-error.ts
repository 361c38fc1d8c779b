import { CrikitError, isErrorNamed } from './crikit-error.js';

/** Several packages, or versions of one, were registered for the same type of engine; `candidates` names them. */
export class EngineClashError extends CrikitError {
  declare readonly code: 'ENGINE_CLASH';
  readonly candidates: readonly string[];

  constructor(type: string, candidates: readonly string[]) {
    super(
      'EngineClashError',
      'ENGINE_CLASH',
      `Engine type '${type}' is registered ${candidates.length} times: ${candidates.join(', ')}.`,
      {
        applied: 'no',
        remedy: 'Deduplicate the dependency, or pass the engine that you want explicitly: `engines: [docker()]`.',
      },
    );
    this.candidates = candidates;
  }
}

/** True for an {@link EngineClashError} of any copy of this package. */
export function isEngineClashError(error: unknown): error is EngineClashError {
  return isErrorNamed(error, 'EngineClashError');
}
