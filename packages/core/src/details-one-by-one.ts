import type { ContainerReference } from './container.js';
import type { ContainerDetail, DetailOutcome } from './engine-contract.js';
import { type CrikitError, isCrikitError } from './errors/crikit-error.js';
import { ProtocolError } from './errors/protocol-error.js';

/**
 * For drivers of engines that inspect one container a call: the batch that the contract wants, at most `parallel` at
 * once, outcomes in the order of the references. An error of one container stays with it.
 */
export async function detailsOneByOne(
  references: readonly ContainerReference[],
  parallel: number,
  getOne: (reference: ContainerReference) => Promise<ContainerDetail>,
): Promise<DetailOutcome[]> {
  const outcomes: DetailOutcome[] = new Array(references.length);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < references.length; index = next++) {
      const reference = references[index] as ContainerReference;
      try {
        outcomes[index] = { reference, detail: await getOne(reference) };
      } catch (error) {
        outcomes[index] = { reference, error: asCrikitError(error) };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(parallel, references.length)) }, work));
  return outcomes;
}

function asCrikitError(error: unknown): CrikitError {
  if (isCrikitError(error)) return error;
  return new ProtocolError(`The engine package failed in an unforeseen way: ${String(error)}.`, { cause: error });
}
