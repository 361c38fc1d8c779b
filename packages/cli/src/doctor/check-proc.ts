import { closeSync, constants, openSync, readlinkSync } from 'node:fs';
import { hostPath } from '@crikit/core';
import type { CheckContext, CheckFinding, CheckResult } from './check-task.js';
import {
  type ContainerProcess,
  findContainerProcesses,
  firstPidNamespace,
  readText,
  type SeenProcesses,
} from './container-processes.js';
import { findMountAt, readMountinfo } from './read-mountinfo.js';

/** Linux numbers them so. */
const capabilities = { SYS_PTRACE: 19 } as const;

/** Which processes of the node can be seen, and whether those of containers can be looked into. */
export function checkProc({ settings: { hostRoot } }: CheckContext): CheckResult {
  const directory = hostPath(hostRoot, '/proc');
  let seen: SeenProcesses;
  try {
    seen = findContainerProcesses(hostRoot);
  } catch (error) {
    return { findings: [unreadable(directory, (error as NodeJS.ErrnoException).code ?? String(error))] };
  }
  if (seen.pids.length === 0) return { findings: [unreadable(directory, 'it shows no process')] };
  const ownCgroup = readText('/proc/self/cgroup');
  const others = seen.containers.filter(({ cgroup }) => cgroup !== ownCgroup);
  return { findings: [...describeVisibility(directory, seen, others), describeRights(directory, others)] };
}

function unreadable(directory: string, why: string): CheckFinding {
  return {
    id: 'proc-unreadable',
    severity: 'failure',
    subject: directory,
    message: `${directory} cannot be used: ${why}.`,
    remedy: 'Mount the node’s root with its /proc, and give its place by --host-root or HOSTFS.',
  };
}

function describeVisibility(
  directory: string,
  { pids }: SeenProcesses,
  others: readonly ContainerProcess[],
): CheckFinding[] {
  const found: CheckFinding[] = [];
  const hidden = findMountAt(directory, readMountinfo())?.options.find((option) =>
    /^hidepid=(1|2|4|noaccess|invisible|ptraceable)$/.test(option),
  );
  if (hidden !== undefined && !hasCapability('SYS_PTRACE')) {
    found.push({
      id: 'proc-hidden',
      severity: 'warning',
      subject: directory,
      message: `${directory} is mounted with ${hidden}: processes of other users are hidden from uid ${process.geteuid?.()}.`,
      remedy: 'Run with the capability SYS_PTRACE, or as a member of the group that the mount’s option gid= names.',
    });
  }
  const status = readText(`${directory}/self/status`);
  const [own, ...inner] =
    /^NSpid:\s*(.+)$/m
      .exec(status ?? '')?.[1]
      ?.trim()
      .split(/\s+/)
      .map(Number) ?? [];
  const isHostNamespace = inner.length === 0 && own === process.pid;
  if (!isHostNamespace) {
    found.push({
      id: 'pid-namespace-private',
      severity: 'warning',
      subject: directory,
      message: `This process is not in the pid namespace that ${directory} shows: it must not signal the processes in it, so a command that runs over time is ended by the engine’s own means only.`,
      remedy: 'Run it in the node’s pid namespace (hostPID: true).',
    });
  } else if (!isNodesNamespace(others)) {
    found.push({
      id: 'pid-namespace-private',
      severity: 'warning',
      subject: directory,
      message: `${directory} shows the processes of this container only, not those of the node: containers cannot be looked into.`,
      remedy:
        'Run it in the node’s pid namespace (hostPID: true), or mount the node’s root and give it by --host-root.',
    });
  }
  if (found.length > 0) return found;
  const message = `${directory} shows ${pids.length} processes, those of ${others.length} containers among them.`;
  return [{ id: 'proc-visible', severity: 'ok', subject: directory, message }];
}

/** A node that is a container itself has another namespace than the first, but containers. */
function isNodesNamespace(others: readonly ContainerProcess[]): boolean {
  return others.length > 0 || readlinkSync('/proc/self/ns/pid') === firstPidNamespace;
}

function describeRights(directory: string, others: readonly ContainerProcess[]): CheckFinding {
  const refused = others.filter(({ pid }) => !canLookInto(`${directory}/${pid}`));
  const hasPtrace = hasCapability('SYS_PTRACE');
  const about = { subject: directory };
  const who = `uid ${process.geteuid?.()}${hasPtrace ? '' : ' without the capability SYS_PTRACE'}`;
  const remedy =
    'Run as root with the capability SYS_PTRACE (securityContext: { capabilities: { add: [SYS_PTRACE] } }); where AppArmor or SELinux refuses still, as privileged.';
  if (refused.length > 0) {
    const id = refused.length === others.length ? 'proc-rights-missing' : 'proc-rights-partial';
    return {
      ...about,
      id,
      severity: 'warning',
      message: `The processes of ${refused.length} of ${others.length} containers may not be looked into by ${who}: their files, networks and time zones go through the engine, more slowly.`,
      remedy,
    };
  }
  if (hasPtrace) {
    const tried = others.length === 0 ? '' : ` (tried with ${others.length} containers)`;
    return { ...about, id: 'proc-rights-full', severity: 'ok', message: `Processes may be looked into${tried}.` };
  }
  if (process.geteuid?.() === 0) {
    return {
      ...about,
      id: 'proc-rights-partial',
      severity: 'warning',
      message: `Processes of containers that have more rights than this one, or another user, may not be looked into by ${who}${others.length === 0 ? '' : `; those of the ${others.length} that run now may`}.`,
      remedy,
    };
  }
  return {
    ...about,
    id: 'proc-rights-missing',
    severity: 'warning',
    message: `Processes of other users may not be looked into by ${who}: files, networks and time zones of containers go through the engine, more slowly.`,
    remedy,
  };
}

/** As core does it: the root directory and the network are what is behind the rights. */
function canLookInto(directory: string): boolean {
  // Not among Node's constants.
  const O_PATH = 0o10000000;
  try {
    closeSync(openSync(`${directory}/root`, O_PATH | constants.O_DIRECTORY));
    readlinkSync(`${directory}/ns/net`);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // It may have ended meanwhile.
    return code !== 'EACCES' && code !== 'EPERM';
  }
}

function hasCapability(name: keyof typeof capabilities): boolean {
  const [, mask] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText('/proc/self/status') ?? '') ?? [];
  return mask !== undefined && (BigInt(`0x${mask}`) >> BigInt(capabilities[name])) % 2n === 1n;
}
