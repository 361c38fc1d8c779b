import type { ContainerProcess } from '@crikit/core';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import type { Column } from '../output/render-table.js';
import { writeList } from '../output/write-list.js';
import { resolveContainer } from '../resolve-target.js';

/** Prints the processes of a container, as the host's /proc shows them. */
export async function runProcesses(context: CommandContext, { target }: { readonly target: string }): Promise<void> {
  const { signal } = context;
  await withStore(context, async (store) => {
    const container = resolveContainer(store, target);
    await writeList<ContainerProcess>(context, {
      kind: 'processes',
      rows: await store.listProcesses(container, { signal }),
      columns,
      toJson: (row) => row,
      toName: ({ pid }) => String(pid),
      whenEmpty: `Container ${container.shortId} has no processes.`,
    });
  });
}

const columns: readonly Column<ContainerProcess>[] = [
  { header: 'PID', value: ({ pid }) => String(pid), align: 'right' },
  { header: 'INSIDE', value: ({ containerPid }) => String(containerPid), align: 'right' },
  { header: 'PARENT', value: ({ parentPid }) => String(parentPid), align: 'right', dropOrder: 2 },
  { header: 'USER', value: ({ user, uid }) => user ?? String(uid) },
  {
    header: 'STATE',
    value: ({ state }) => state,
    style: ({ state }) => (state === 'zombie' ? 'red' : undefined),
    dropOrder: 1,
  },
  { header: 'NAME', value: ({ name }) => name, wide: true },
  {
    header: 'COMMAND',
    value: ({ command, name }) => (command.length === 0 ? `[${name}]` : command.join(' ')),
    minWidth: 10,
  },
];
