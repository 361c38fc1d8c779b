import { setMaxListeners } from 'node:events';
import {
  type ContainerDetail,
  type ContainerReference,
  type DetailOutcome,
  detailsOneByOne,
  linkSignals,
} from '@crikit/core';

/** More inspections at once gain nothing. */
export const PARALLEL_DETAILS = 16;
/** One container that does not answer must not use up the time of the batch that it is in. */
const inspectDeadlineMs = 3_000;

/** The details of a batch, by inspecting one container after the other, several at once. */
export async function inspectInParallel(
  references: readonly ContainerReference[],
  signal: AbortSignal,
  inspect: (reference: ContainerReference, signal: AbortSignal, timeoutMs: number) => Promise<ContainerDetail>,
): Promise<readonly DetailOutcome[]> {
  const batch = linkSignals([signal]);
  // Each inspection under way listens; Node takes more than ten for a leak.
  setMaxListeners(PARALLEL_DETAILS, batch.signal);
  try {
    return await detailsOneByOne(references, PARALLEL_DETAILS, (reference) =>
      inspect(reference, batch.signal, inspectDeadlineMs),
    );
  } finally {
    batch.unlink();
  }
}
