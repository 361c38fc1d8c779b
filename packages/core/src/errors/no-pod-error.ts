import { CrikitError, isErrorNamed } from './crikit-error.js';

/** The store knows no pod of that name on this node. */
export class NoPodError extends CrikitError {
  declare readonly code: 'NO_POD';

  /** `what` is shown in the message: `namespace/name`, or a phrase such as `with sandbox 4f5e…`. */
  constructor(what: string) {
    super('NoPodError', 'NO_POD', `There is no pod ${what} on this node.`, { applied: 'no', retryable: true });
  }
}

/** True for a {@link NoPodError} of any copy of this package. */
export function isNoPodError(error: unknown): error is NoPodError {
  return isErrorNamed(error, 'NoPodError');
}
