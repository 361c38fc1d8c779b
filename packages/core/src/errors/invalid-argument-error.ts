import { brand, isErrorNamed } from './crikit-error.js';

/** Misuse: an argument that can never work. Nothing was sent to any engine. A `TypeError` with a `code`. */
export class InvalidArgumentError extends TypeError {
  readonly code = 'INVALID_ARGUMENT';
  readonly retryable = false;
  readonly applied = 'no';

  constructor(message: string) {
    super(message);
    this.name = 'InvalidArgumentError';
    brand(this, Symbol.for('crikit.error'));
    brand(this, Symbol.for('crikit.error.InvalidArgumentError'));
  }
}

/** True for an {@link InvalidArgumentError} of any copy of this package. */
export function isInvalidArgumentError(error: unknown): error is InvalidArgumentError {
  return isErrorNamed(error, 'InvalidArgumentError');
}
