import type { MetaStore } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { type ContainerRow, containerColumns } from '../output/container-columns.js';
import { describeContainer, nameOfContainer } from '../output/describe-container.js';
import { type List, writeList } from '../output/write-list.js';

export interface PsRequest {
  /** Whether what does not run, and sandboxes, are shown. Default: false. */
  readonly all?: boolean;
  readonly role?: string;
  readonly namespace?: string;
  readonly watch?: boolean;
}

/** Prints the containers of this node, once or at each change. */
export async function runPs(context: CommandContext, request: PsRequest): Promise<void> {
  await withStore(context, async (store) => {
    if (request.watch === true) {
      const { watchContainers } = await import('./watch-containers.js');
      await watchContainers(context, store, request);
    } else {
      await writeList(context, listContainers(context, store, request));
    }
  });
}

export function listContainers({ options }: CommandContext, store: MetaStore, request: PsRequest): List<ContainerRow> {
  return {
    kind: 'containers',
    rows: selectContainers(store, request),
    columns: containerColumns(Date.now(), options.hostRoot),
    toJson: ({ container, pod }) => describeContainer(container, pod),
    toName: ({ container, pod }) => nameOfContainer(container, pod),
    whenEmpty: describeNothing(request),
  };
}

function selectContainers(store: MetaStore, request: PsRequest): ContainerRow[] {
  return store
    .getAllContainers({ withoutPod: true })
    .map((container) => ({ container, pod: store.getPodOf(container) }))
    .filter((row) => isWanted(row, request))
    .sort((one, other) => (sortKey(one) < sortKey(other) ? -1 : 1));
}

export function isWanted({ container, pod }: ContainerRow, { all = false, role, namespace }: PsRequest): boolean {
  if (namespace !== undefined && pod?.namespace !== namespace) return false;
  if (role !== undefined && container.role !== role) return false;
  if (all) return true;
  if (role === undefined && container.role === 'sandbox') return false;
  return !['exited', 'dead', 'created'].includes(container.state.status);
}

/** By pod, what belongs to none last; what was started later comes later. */
function sortKey({ container, pod }: ContainerRow): string {
  return [
    pod === undefined ? '1' : '0',
    pod?.namespace ?? '',
    pod?.name ?? '',
    container.role === 'sandbox' ? '0' : '1',
    container.k8sName ?? container.name,
    container.state.startedAt ?? '',
    container.id,
  ].join('\0');
}

function describeNothing({ all = false, role, namespace }: PsRequest): string {
  const which = [
    role === undefined ? '' : ` of role ${role}`,
    namespace === undefined ? '' : ` of namespace ${namespace}`,
  ];
  return all
    ? `There are no containers${which.join('')} on this node.`
    : `No containers${which.join('')} run on this node; --all shows those that do not run.`;
}
