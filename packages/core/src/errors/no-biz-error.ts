import { CrikitError, isErrorNamed } from './crikit-error.js';

/** A pod has no running business container. */
export class NoBizError extends CrikitError {
  declare readonly code: 'NO_BIZ';

  constructor(pod: { readonly namespace: string; readonly name: string }) {
    super('NoBizError', 'NO_BIZ', `Pod ${pod.namespace}/${pod.name} has no running biz container.`, {
      applied: 'no',
      retryable: true,
    });
  }
}

/** True for a {@link NoBizError} of any copy of this package. */
export function isNoBizError(error: unknown): error is NoBizError {
  return isErrorNamed(error, 'NoBizError');
}
