import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { canSignalHostPids, findMarkedProcesses, killProvenProcess, proveMarkedProcess } from './host-process.js';

const containerId = 'c'.repeat(64);
const marker = 'CRIKIT_EXEC_MARKER=0123456789abcdef';

let hostRoot: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  hostRoot = mkdtempSync(join(tmpdir(), 'crikit-proc-'));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(hostRoot, { recursive: true });
});

interface FakeProcess {
  readonly cgroup?: string;
  readonly env?: string;
  readonly parent?: number;
  readonly state?: string;
  readonly group?: number;
  readonly startTime?: string;
  readonly name?: string;
}

function writeProcess(pid: number, about: FakeProcess = {}): void {
  const directory = join(hostRoot, 'proc', String(pid));
  mkdirSync(directory, { recursive: true });
  const { state = 'S', parent = 1, group = pid, startTime = '500', name = 'sh' } = about;
  const rest = Array(15).fill('0').join(' ');
  writeFileSync(
    join(directory, 'stat'),
    `${pid} (${name}) ${state} ${parent} ${group} ${pid} ${rest} ${startTime} 0 0\n`,
  );
  writeFileSync(join(directory, 'cgroup'), about.cgroup ?? `4:memory:/docker/${containerId}\n`);
  writeFileSync(join(directory, 'environ'), about.env ?? `PATH=/bin\0${marker}\0`);
}

async function found(): Promise<number[]> {
  return (await findMarkedProcesses(hostRoot, containerId, marker)).processes.map(({ pid }) => pid).sort();
}

/** A real process whose pid the fake /proc can speak of. */
async function spawnSleep(): Promise<{ child: ChildProcess; pid: number; startTime: string }> {
  const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return { child, pid, startTime: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '' };
}

describe('finding the processes of an exec', () => {
  test.each(['/default/web.one-1', '/system.slice/cri-containerd-web.one-1.scope'])(
    'knows a container whose id people chose, dots and dashes included: %s',
    async (path) => {
      writeProcess(7, { cgroup: `4:memory:${path}\n` });
      writeProcess(8, { cgroup: '4:memory:/default/web.one-12\n' });
      expect((await findMarkedProcesses(hostRoot, 'web.one-1', marker)).processes.map(({ pid }) => pid)).toEqual([7]);
    },
  );

  test.each([
    ['a cgroupfs path', `4:memory:/docker/${containerId}`],
    ['a systemd scope', `0::/kubepods.slice/cri-containerd-${containerId}.scope`],
    ['a nested group', `0::/kubepods/pod1/${containerId}/init`],
  ])('knows the container by %s', async (_, cgroup) => {
    writeProcess(10, { cgroup });
    expect(await found()).toEqual([10]);
  });

  test('leaves alone whatever is in another cgroup, even with the marker', async () => {
    writeProcess(10, { cgroup: '0::/user.slice' });
    writeProcess(11, { cgroup: `0::/docker/${containerId}0` });
    expect(await findMarkedProcesses(hostRoot, containerId, marker)).toEqual({ covered: false, processes: [] });
  });

  test('finds descendants that wiped their environment, but nobody else of the container', async () => {
    writeProcess(10);
    writeProcess(11, { env: '', parent: 10 });
    writeProcess(12, { env: '', parent: 11 });
    writeProcess(20, { env: 'PATH=/bin\0', parent: 1 });
    expect(await found()).toEqual([10, 11, 12]);
  });

  test('wants the whole marker, not a part of it', async () => {
    writeProcess(10, { env: `${marker}0\0` });
    writeProcess(11, { env: `X=${marker}\0` });
    expect(await found()).toEqual([]);
  });

  test('takes zombies for gone', async () => {
    writeProcess(10, { state: 'Z' });
    expect(await found()).toEqual([]);
  });

  test('reads a process whose name looks like fields', async () => {
    writeProcess(10, { name: 'a) Z 1 (b' });
    expect(await found()).toEqual([10]);
  });

  test('says that it sees nothing rather than that nothing is there', async () => {
    expect(await findMarkedProcesses(hostRoot, containerId, marker)).toEqual({ covered: false, processes: [] });
    writeProcess(20, { env: '' });
    expect(await findMarkedProcesses(hostRoot, containerId, marker)).toEqual({ covered: true, processes: [] });
  });

  test('never matches an empty container id', async () => {
    writeProcess(10, { cgroup: '0::/' });
    expect((await findMarkedProcesses(hostRoot, '', marker)).processes).toEqual([]);
  });
});

describe('signalling a proven process', () => {
  test('ends it while it is still the same one', async () => {
    const { child, pid, startTime } = await spawnSleep();
    writeProcess(pid, { startTime });
    const proven = await proveMarkedProcess(hostRoot, pid, containerId, marker);
    expect(proven).toEqual(expect.objectContaining({ pid, startTime }));
    const exit = once(child, 'exit');
    expect(proven !== undefined && (await killProvenProcess(hostRoot, proven, true))).toBe(true);
    expect(await exit).toEqual([null, 'SIGKILL']);
  });

  test('refuses when the pid has been given to another process', async () => {
    const { child, pid, startTime } = await spawnSleep();
    writeProcess(pid, { startTime });
    const proven = await proveMarkedProcess(hostRoot, pid, containerId, marker);
    writeProcess(pid, { startTime: '999999' });
    expect(proven !== undefined && (await killProvenProcess(hostRoot, proven))).toBe(false);
    expect(child.exitCode ?? child.signalCode).toBeNull();
  });

  test('refuses a group that the process does not lead', async () => {
    const { child, pid, startTime } = await spawnSleep();
    writeProcess(pid, { startTime, group: 1 });
    expect(await killProvenProcess(hostRoot, { pid, startTime }, true)).toBe(false);
    expect(child.exitCode ?? child.signalCode).toBeNull();
  });

  test.each([
    ['without the marker', { env: 'PATH=/bin\0' }],
    ['of another container', { cgroup: '0::/docker/other' }],
  ])('does not prove a process %s', async (_, about) => {
    writeProcess(10, about);
    expect(await proveMarkedProcess(hostRoot, 10, containerId, marker)).toBeUndefined();
  });
});

describe('seeing the host’s pids', () => {
  test.each([
    ['true in the namespace that /proc shows', `NSpid:\t${process.pid}\n`, true],
    ['false in a namespace below it', `NSpid:\t4242\t${process.pid}\n`, false],
    ['false when /proc is of another namespace', `NSpid:\t${process.pid + 1}\n`, false],
    ['false when the kernel does not tell', 'Name:\tnode\n', false],
  ])('is %s', async (_, status, expected) => {
    mkdirSync(join(hostRoot, 'proc/self'), { recursive: true });
    writeFileSync(join(hostRoot, 'proc/self/status'), status);
    expect(await canSignalHostPids(hostRoot)).toBe(expected);
  });

  test('is false without /proc and true here', async () => {
    expect(await canSignalHostPids(hostRoot)).toBe(false);
    expect(await canSignalHostPids('/')).toBe(true);
  });
});
