import { CrikitError, isErrorNamed } from './crikit-error.js';

/** A pod has several running business containers, so none of them is the main one. */
export class MultiBizError extends CrikitError {
  declare readonly code: 'MULTI_BIZ';
  /** Names (or ids, where a container has no name in a spec) of the biz containers. */
  readonly candidates: readonly string[];

  constructor(
    pod: { readonly namespace: string; readonly name: string },
    containers: readonly { readonly id: string; readonly k8sName?: string }[],
  ) {
    const candidates = containers.map((container) => container.k8sName ?? container.id);
    super(
      'MultiBizError',
      'MULTI_BIZ',
      `Pod ${pod.namespace}/${pod.name} has ${candidates.length} biz containers: ${candidates.join(', ')}.`,
      {
        applied: 'no',
        remedy: 'Name the main one with the annotation kubectl.kubernetes.io/default-container, or add a sidecar rule.',
      },
    );
    this.candidates = candidates;
  }
}

/** True for a {@link MultiBizError} of any copy of this package. */
export function isMultiBizError(error: unknown): error is MultiBizError {
  return isErrorNamed(error, 'MultiBizError');
}
