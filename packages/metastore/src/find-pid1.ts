import { readFile } from 'node:fs/promises';
import { type ContainerProcess, hostPath } from '@crikit/core';
import type { EnricherContext } from './enricher.js';

export interface Pid1 {
  readonly name: string;
  /** As `<hostRoot>/proc` numbers it. */
  readonly pid: number;
  /** Absent when it is the node's own, which is in no container. */
  readonly process?: ContainerProcess;
}

/** The first process of the pid namespace that a container's processes live in; undefined when it cannot be seen. */
export async function findPid1(context: EnricherContext): Promise<Pid1 | undefined> {
  const { container } = context;
  const own = await context.listProcesses();
  const first = own.find(({ pid }) => pid === container.state.pid);
  if (first === undefined) return undefined;
  if (container.pidMode === 'host') return nodePid1(context.hostRoot);
  if (first.containerPid === 1) return describe(first);
  // It shares another container's namespace, in a pod mostly the sandbox's.
  const shared = /^container:(.+)$/.exec(container.pidMode ?? '')?.[1];
  for (const id of [shared, container.sandboxId]) {
    if (id === undefined) continue;
    const process = (await context.listProcesses(id)).find(({ containerPid }) => containerPid === 1);
    if (process !== undefined) return describe(process);
  }
  return undefined;
}

function describe(process: ContainerProcess): Pid1 {
  return { name: process.name, pid: process.pid, process };
}

async function nodePid1(hostRoot: string): Promise<Pid1 | undefined> {
  try {
    const name = await readFile(hostPath(hostRoot, '/proc/1/comm'), 'utf8');
    return { name: name.replace(/\n$/, ''), pid: 1 };
  } catch {
    return undefined;
  }
}
