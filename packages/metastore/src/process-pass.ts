import { tracingChannel } from 'node:diagnostics_channel';
import { type ContainerProcess, listProcessesOfAll } from '@crikit/core';

/** Tells of each pass over the node's /proc for enrichment: of how many containers it looked for processes. */
const passChannel = tracingChannel('crikit:process-pass');

/** One pass over the node's /proc for many containers, made when first asked for. */
export interface ProcessPass {
  processesOf(containerId: string): Promise<readonly ContainerProcess[]>;
}

export function createProcessPass(
  containerIds: ReadonlySet<string>,
  { hostRoot, signal }: { readonly hostRoot: string; readonly signal: AbortSignal },
): ProcessPass {
  let pass: Promise<ReadonlyMap<string, readonly ContainerProcess[]>> | undefined;
  return {
    processesOf: async (containerId) => {
      pass ??= passChannel.tracePromise(() => listProcessesOfAll({ containerIds, hostRoot, signal }), {
        containers: containerIds.size,
      });
      return (await pass).get(containerId) ?? [];
    },
  };
}
