import type { Pod } from '@crikit/core';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { describePod, podStart } from '../output/describe-pod.js';
import { formatAge } from '../output/format-age.js';
import type { Column, Style } from '../output/render-table.js';
import { startedAt } from '../output/started-at.js';
import { writeList } from '../output/write-list.js';

export interface PodsRequest {
  readonly namespace?: string;
  /** Whether finished ones are shown. Default: false. */
  readonly all?: boolean;
}

/** Prints the pods of this node. */
export async function runPods(context: CommandContext, { namespace, all = false }: PodsRequest): Promise<void> {
  await withStore(
    context,
    async (store) => {
      const rows = store
        .getAllPods()
        .filter((pod) => namespace === undefined || pod.namespace === namespace)
        .sort((one, other) => compare(one.namespace, other.namespace) || compare(one.name, other.name));
      await writeList(context, {
        kind: 'pods',
        rows,
        columns: podColumns(Date.now(), context.options.hostRoot),
        toJson: describePod,
        toName: (pod) => (pod.namespace === '' ? pod.name : `${pod.namespace}/${pod.name}`),
        whenEmpty:
          namespace === undefined
            ? "There are no pods on this node; 'crikit ps' shows containers of no pod too."
            : `There are no pods of namespace ${namespace} on this node.`,
      });
    },
    { trackFinishedPods: all },
  );
}

const phaseStyles: Readonly<Record<Pod['phase'], Style>> = {
  Running: 'green',
  Pending: 'yellow',
  Succeeded: 'gray',
  Failed: 'red',
  Unknown: 'yellow',
};

function podColumns(nowMs: number, hostRoot: string): readonly Column<Pod>[] {
  return [
    { header: 'NAMESPACE', value: (pod) => pod.namespace || '-', minWidth: 8 },
    { header: 'POD', value: (pod) => pod.name, minWidth: 12 },
    { header: 'PHASE', value: (pod) => pod.phase, style: (pod) => phaseStyles[pod.phase] },
    { header: 'BIZ', value: (pod) => namesOf(pod.biz), minWidth: 6, dropOrder: 3 },
    { header: 'SIDECARS', value: (pod) => namesOf(pod.sidecar), minWidth: 8, dropOrder: 4 },
    { header: 'AGE', value: (pod) => formatAge(ageSince(pod, hostRoot), nowMs) },
    { header: 'IP', value: (pod) => pod.ip ?? '-', dropOrder: 5 },
    { header: 'APP', value: (pod) => pod.app ?? '-', wide: true, dropOrder: 6 },
    {
      header: 'OWNER',
      value: ({ owner }) => (owner === undefined ? '-' : `${owner.kind}/${owner.name}`),
      wide: true,
      dropOrder: 7,
    },
    { header: 'UID', value: (pod) => pod.uid, wide: true, dropOrder: 8 },
    {
      header: 'NOTES',
      value: ({ diagnostics }) => diagnostics.map(({ code }) => code).join(',') || '-',
      style: ({ diagnostics }) => (diagnostics.length === 0 ? undefined : 'yellow'),
      minWidth: 8,
      dropOrder: 2,
    },
  ];
}

function ageSince(pod: Pod, hostRoot: string): string | undefined {
  return pod.sandbox === undefined ? podStart(pod) : startedAt(pod.sandbox, hostRoot);
}

function namesOf(containers: Pod['all']): string {
  return containers.map(({ k8sName, name }) => k8sName ?? name).join(',') || '-';
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
