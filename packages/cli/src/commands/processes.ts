import type { ContainerProcess } from '@crikit/core';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { known } from '../output/describe-container.js';
import type { Column } from '../output/render-table.js';
import { writeList } from '../output/write-list.js';
import { resolveContainer } from '../resolve-target.js';

/** A process in the JSON of `processes`. */
export interface ProcessDocument {
  /** As the host numbers it. */
  readonly pid: number;
  /** As the container numbers it. */
  readonly containerPid: number;
  readonly parentPid: number;
  /** The program's name as the kernel keeps it, at most 15 bytes. */
  readonly name: string;
  /** Empty for a zombie. */
  readonly command: readonly string[];
  /** `running`, `sleeping`, `disk-sleep`, `stopped`, `traced`, `zombie`, `dead`, `idle` or `unknown`. */
  readonly state: string;
  /** The effective user, as the container numbers its users. */
  readonly uid: number;
  /** The user's name in the container's /etc/passwd. */
  readonly user?: string;
}

/** Prints the processes of a container, as the host's /proc shows them. */
export async function runProcesses(context: CommandContext, { target }: { readonly target: string }): Promise<void> {
  const { signal } = context;
  await withStore(context, async (store) => {
    const container = resolveContainer(store, target);
    await writeList<ContainerProcess>(context, {
      kind: 'processes',
      rows: await store.listProcesses(container, { signal }),
      columns,
      toJson: describeProcess,
      toName: ({ pid }) => String(pid),
      whenEmpty: `Container ${container.shortId} has no processes.`,
    });
  });
}

function describeProcess(process: ContainerProcess): ProcessDocument {
  const { pid, containerPid, parentPid, name, command, state, uid, user } = process;
  return { pid, containerPid, parentPid, name, command, state, uid, ...known({ user }) };
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
