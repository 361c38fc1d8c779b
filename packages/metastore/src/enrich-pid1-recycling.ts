/**
 * Whether the first process of a container's pid namespace reaps orphans. Programs that are made for it are known by
 * name. Of others the kernel tells when they ignore SIGCHLD (then it reaps for them), and a child that stays a zombie
 * proves that they do not. The rest can be tried out by an exec that leaves an orphan behind; since that is a zombie for
 * ever where the answer is no, it is done on request only.
 */
import { readFile } from 'node:fs/promises';
import { type ContainerProcess, hostPath, listProcesses } from '@crikit/core';
import type { Clock } from './clock.js';
import { whereVisible } from './enrich-processes.js';
import type { Enricher, EnricherContext } from './enricher.js';
import { findPid1, type Pid1 } from './find-pid1.js';
import { wait } from './wait.js';

/** As the kernel cuts them, after 15 bytes. `pause` reaps for pods that share its pid namespace. */
const reapers: ReadonlySet<string> = new Set([
  ...['systemd', 'init', 'openrc-init', 'runit', 'runsvdir', 's6-svscan', 's6-linux-init-s', 'supervisord', 'my_init'],
  ...['tini', 'tini-static', 'dumb-init', 'docker-init', 'catatonit', 'podman-init', 'pause'],
]);

/** A child that is a zombie for so long is not being reaped. */
const reapedWithinMs = 30_000;
const sigchldBit = 1n << 16n;

export interface Pid1RecyclingOptions {
  readonly clock: Clock;
  /** Whether to try it out where looking does not tell. */
  readonly tryByExec: boolean;
}

export function createPid1RecyclingEnricher(options: Pid1RecyclingOptions): Enricher<'pid1CanRecycleZombieProcesses'> {
  return {
    name: 'pid1CanRecycleZombieProcesses',
    timeoutMs: 20_000,
    refreshMs: 60_000,
    appliesTo: () => true,
    run: async (context, signal) =>
      whereVisible(async () => {
        const pid1 = await findPid1(context);
        if (pid1 === undefined) return undefined;
        // The node's own init.
        if (pid1.process === undefined || reapers.has(pid1.name)) return true;
        if (await ignoresSigchld(pid1.pid, context.hostRoot)) return true;
        if (await leavesZombies(pid1, context, options.clock)) return false;
        return options.tryByExec ? tryOnce(context, options.clock, signal) : undefined;
      }),
  };
}

async function ignoresSigchld(pid: number, hostRoot: string): Promise<boolean> {
  try {
    const status = await readFile(hostPath(hostRoot, `/proc/${pid}/status`), 'latin1');
    const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1];
    return ignored !== undefined && (BigInt(`0x${ignored}`) & sigchldBit) !== 0n;
  } catch {
    return false;
  }
}

async function leavesZombies(
  { pid, process }: Pid1,
  { container, listProcesses: list, memory }: EnricherContext,
  clock: Clock,
): Promise<boolean> {
  const seenBefore = (memory.get('zombies') ?? new Map()) as ReadonlyMap<number, number>;
  const isHeld = process?.state === 'stopped' || process?.state === 'traced';
  const now = clock.now();
  const seen = new Map<number, number>();
  for (const { pid: zombie, parentPid, state } of isHeld ? [] : await list()) {
    if (state === 'zombie' && parentPid === pid && zombie !== container.state.pid) {
      seen.set(zombie, seenBefore.get(zombie) ?? now);
    }
  }
  memory.set('zombies', seen);
  return [...seen.values()].some((sinceMs) => now - sinceMs >= reapedWithinMs);
}

const orphan = 'sleep 1 </dev/null >/dev/null 2>&1 & echo $!';
const orphanEndsWithinMs = 5_000;
const pollMs = 250;

/** The outcome is kept: a second try would tell nothing new, and may leave another zombie. */
async function tryOnce(context: EnricherContext, clock: Clock, signal: AbortSignal): Promise<boolean | undefined> {
  const { memory, container, hostRoot } = context;
  if (memory.has('tried')) return memory.get('tried') as boolean | undefined;
  memory.set('tried', undefined);
  const { stdout, exitCode } = await context.exec({ cmd: ['sh', '-c', orphan], maxOutputBytes: 64, reuse: false });
  const orphanPid = Number(stdout.toString());
  if (exitCode !== 0 || !Number.isInteger(orphanPid) || orphanPid < 1) return undefined;
  let zombieSinceMs: number | undefined;
  const deadlineMs = clock.now() + orphanEndsWithinMs;
  while (clock.now() < deadlineMs && !signal.aborted) {
    const found: ContainerProcess | undefined = (
      await listProcesses({ containerId: container.id, hostRoot, signal })
    ).find(({ containerPid }) => containerPid === orphanPid);
    if (found === undefined) {
      memory.set('tried', true);
      return true;
    }
    if (found.state === 'zombie') zombieSinceMs ??= clock.now();
    await wait(pollMs, { clock, signal });
  }
  if (zombieSinceMs === undefined) return undefined;
  memory.set('tried', false);
  return false;
}
