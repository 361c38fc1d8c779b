import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listProcesses, listProcessesOfAll } from './list-processes.js';

const outer = 'a'.repeat(64);
const inner = 'b'.repeat(64);
let hostRoot: string;

beforeEach(() => {
  hostRoot = mkdtempSync(join(tmpdir(), 'crikit-processes-'));
});

afterEach(() => rmSync(hostRoot, { recursive: true }));

interface Recorded {
  readonly cgroup: string;
  readonly name?: string;
  readonly state?: string;
  readonly parent?: number;
  readonly inside?: string;
  readonly uid?: number;
  readonly command?: string;
  readonly uidMap?: string;
}

function record(pid: number, recorded: Recorded): void {
  const { cgroup, name = 'sleep', state = 'S (sleeping)', parent = 0, inside = '', uid = 0 } = recorded;
  const directory = join(hostRoot, 'proc', String(pid));
  mkdirSync(directory, { recursive: true });
  const status = [
    `Name:\t${name}`,
    'Umask:\t0022',
    `State:\t${state}`,
    `Pid:\t${pid}`,
    `PPid:\t${parent}`,
    `Uid:\t1\t${uid}\t2\t3`,
    `NSpid:\t${pid}${inside}`,
  ];
  writeFileSync(join(directory, 'cgroup'), cgroup);
  writeFileSync(join(directory, 'status'), `${status.join('\n')}\n`);
  writeFileSync(join(directory, 'uid_map'), recorded.uidMap ?? '         0          0 4294967295\n');
  writeFileSync(join(directory, 'cmdline'), recorded.command ?? 'sleep\x001\x00');
}

describe('listProcesses', () => {
  it('gives the processes of one container, by pid', async () => {
    record(20, {
      cgroup: `0::/docker/${outer}\n`,
      inside: '\t7',
      name: 'a\\nb\\\\c',
      state: 'D (disk sleep)',
      uid: 33,
    });
    record(10, { cgroup: `0::/docker/${outer}\n`, inside: '\t1', command: 'sh\0-c\0\0' });
    record(30, { cgroup: `0::/docker/${inner}\n` });
    record(40, { cgroup: '0::/init.scope\n' });
    expect(await listProcesses({ containerId: outer, hostRoot })).toEqual([
      { pid: 10, containerPid: 1, parentPid: 0, name: 'sleep', state: 'sleeping', uid: 0, command: ['sh', '-c', ''] },
      {
        ...{ pid: 20, containerPid: 7, parentPid: 0, name: 'a\nb\\c', state: 'disk-sleep', uid: 33 },
        command: ['sleep', '1'],
      },
    ]);
    expect(await listProcesses({ containerId: 'c'.repeat(64), hostRoot })).toEqual([]);
  });

  it('numbers users as the container does', async () => {
    record(10, { cgroup: `0::/docker/${outer}\n`, uid: 100_033, uidMap: '0 100000 65536\n' });
    record(11, { cgroup: `0::/docker/${outer}\n`, uid: 5, uidMap: '0 100000 65536\n' });
    expect((await listProcesses({ containerId: outer, hostRoot })).map(({ uid }) => uid)).toEqual([33, 65_534]);
  });

  it('finds zombies, with control groups v1 by the parent who has not reaped them', async () => {
    record(10, { cgroup: `5:pids:/docker/${outer}\n0::/\n` });
    record(11, { cgroup: '5:pids:/\n0::/\n', parent: 10, state: 'Z (zombie)', command: '' });
    record(12, { cgroup: '5:pids:/\n0::/\n', parent: 1, state: 'Z (zombie)', command: '' });
    record(13, { cgroup: '5:pids:/\n0::/\n', parent: 10 });
    record(14, { cgroup: `0::/docker/${outer}\n`, parent: 1, state: 'Z (zombie)', command: '' });
    const found = await listProcesses({ containerId: outer, hostRoot });
    expect(found.map(({ pid, state }) => `${pid} ${state}`)).toEqual(['10 sleeping', '11 zombie', '14 zombie']);
  });

  it('is not held up by a process whose arguments nobody can read', async () => {
    record(10, { cgroup: `0::/docker/${outer}\n` });
    record(11, { cgroup: `0::/docker/${outer}\n` });
    const stuck = join(hostRoot, 'proc/10/cmdline');
    rmSync(stuck);
    execFileSync('mkfifo', [stuck]);
    const commands = async () => (await listProcesses({ containerId: outer, hostRoot })).map(({ command }) => command);
    expect(await commands()).toEqual([[], []]);
    // No second thread is lost to it.
    expect(await commands()).toEqual([[], []]);
    const writer = openSync(stuck, constants.O_WRONLY | constants.O_NONBLOCK);
    closeSync(writer);
    rmSync(join(hostRoot, 'proc/10'), { recursive: true });
    await expect.poll(commands, { timeout: 5000 }).toEqual([['sleep', '1']]);
  });

  it('says so where no processes are to be seen', async () => {
    await expect(listProcesses({ containerId: outer, hostRoot })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  it('stops when the signal aborts', async () => {
    record(10, { cgroup: `0::/docker/${outer}\n` });
    const signal = AbortSignal.abort();
    await expect(listProcesses({ containerId: outer, hostRoot, signal })).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('listProcessesOfAll', () => {
  it('gives each process to the outermost container that is wanted', async () => {
    record(10, { cgroup: `0::/docker/${outer}\n` });
    record(11, { cgroup: `0::/docker/${outer}/docker/${inner}\n` });
    record(12, { cgroup: '0::/system.slice/nerdctl-redis.scope\n' });
    const pids = async (containerIds?: ReadonlySet<string>) => {
      const all = await listProcessesOfAll({ hostRoot, ...(containerIds !== undefined && { containerIds }) });
      return Object.fromEntries([...all].map(([id, found]) => [id, found.map(({ pid }) => pid)]));
    };
    expect(await pids()).toEqual({ [outer]: [10, 11] });
    expect(await pids(new Set([inner]))).toEqual({ [inner]: [11] });
    expect(await pids(new Set([inner, outer, 'redis']))).toEqual({ [outer]: [10, 11], redis: [12] });
  });
});
