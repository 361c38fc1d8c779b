import { setMaxListeners } from 'node:events';
import { type ContainerDetail, type ContainerReference, type DetailOutcome, detailsOneByOne } from '@crikit/core';
import { withDeadline } from './settle-call.js';

/** More inspections at once gain nothing. */
export const PARALLEL_DETAILS = 16;
/** One container that does not answer must not use up the time of the batch that it is in. */
const inspectDeadlineMs = 3_000;

/** The details of a batch, by inspecting one container after the other, several at once. */
export async function inspectInParallel(
  references: readonly ContainerReference[],
  signal: AbortSignal,
  inspect: (reference: ContainerReference, signal: AbortSignal) => Promise<ContainerDetail>,
): Promise<readonly DetailOutcome[]> {
  const batch = new AbortController();
  // Each inspection under way listens; Node takes more than ten for a leak.
  setMaxListeners(PARALLEL_DETAILS, batch.signal);
  const onAbort = (): void => batch.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await detailsOneByOne(references, PARALLEL_DETAILS, (reference) =>
      withDeadline(batch.signal, inspectDeadlineMs, (limited) => inspect(reference, limited)),
    );
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
