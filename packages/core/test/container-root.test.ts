import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import {
  type Container,
  type ContainerRoot,
  containerIdOfPid,
  listProcesses,
  listProcessesOfAll,
  openContainerRoot,
  transferToHostPathForContainer,
} from '@crikit/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dockerRequest, IMAGES, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { type Attacker, startAttacker, tryTimes, untilTrue } from './hostile-container.js';

/** The long tests do all of them, which takes minutes. In these few a naive reader is led out a hundred times. */
const tries = process.env.CRIKIT_LONG_TESTS === undefined ? 400 : 20_000;

const swaps = [
  ['directory-absolute-link', '/directory/target'],
  ['directory-dots-link', '/directory/target'],
  ['file-link', '/target'],
  ['file-fifo', '/target'],
  // More steps up than the path has steps down: what is renamed in between must not count twice.
  ['rename-directories', (directory: string) => `/tree/a/b/c/../../../../../..${directory}/target`],
] as const;

describeWithDocker('the root of a Docker container', ({ socketPath }) => {
  let container: { id: string; pid: number };
  let mergedDir: string;
  /** On the host; the container has one of the same name, with other content. */
  let directory: string;
  let secret: string;

  beforeAll(async () => {
    container = await runContainer(socketPath, { image: IMAGES.users, hostConfig: { Tmpfs: { '/scratch': '' } } });
    const detail = await dockerRequest(socketPath, 'GET', `/containers/${container.id}/json`);
    mergedDir = detail.GraphDriver.Data.MergedDir;
    directory = mkdtempSync(join(tmpdir(), 'crikit-attack-'));
    secret = join(directory, 'target');
  });

  afterAll(async () => {
    await removeContainer(socketPath, container.id);
    rmSync(directory, { recursive: true, force: true });
  });

  const byPid = () => openContainerRoot({ pid: container.pid, containerId: container.id });

  describe.each(swaps)('while a program in it swaps: %s', (action, where) => {
    const work = `/attack/${action}`;
    const path = () => `${work}${typeof where === 'string' ? where : where(directory)}`;
    let attacker: Attacker;
    let root: ContainerRoot;

    beforeAll(async () => {
      writeFileSync(secret, 'secret');
      attacker = await startAttacker(container.pid, directory, work, action);
      root = await byPid();
    });

    afterAll(async () => {
      await root.close();
      expect(await attacker.stop()).toBeGreaterThan(tries);
    });

    it(`reads nothing of the host and does not hang, in ${tries} tries`, async () => {
      const seen = await tryTimes(tries, async () => (await root.readFile(path())).toString());
      expect(seen.get('secret') ?? 0).toBe(0);
      expect(seen.get('hung') ?? 0).toBe(0);
      expect((seen.get('inside') ?? 0) + (seen.get('written') ?? 0)).toBeGreaterThan(0);
    }, 120_000);

    it(`writes nothing on the host and does not hang, in ${tries} tries`, async () => {
      const seen = await tryTimes(tries, () => root.writeFile(path(), 'written'));
      expect(seen.get('hung') ?? 0).toBe(0);
      expect(seen.get('undefined') ?? 0).toBeGreaterThan(0);
      expect(readFileSync(secret, 'utf8')).toBe('secret');
      expect(readdirSync(directory)).toEqual(['target']);
    }, 180_000);

    it('is as safe by the merged directory', async () => {
      const merged = await openContainerRoot({ mergedDir });
      try {
        const seen = await tryTimes(tries / 4, async () => {
          const content = (await merged.readFile(path())).toString();
          await merged.writeFile(path(), 'written');
          return content;
        });
        expect(seen.get('secret') ?? 0).toBe(0);
        expect(seen.get('hung') ?? 0).toBe(0);
        expect(readFileSync(secret, 'utf8')).toBe('secret');
      } finally {
        await merged.close();
      }
    }, 120_000);
  });

  describe('this attack, on somebody who resolves to a string and opens that', () => {
    const stopped = { status: 'exited', pid: 0 } as const;
    const resolve = (path: string) =>
      transferToHostPathForContainer(
        { id: container.id, state: stopped, mounts: [], mergedDir } satisfies Partial<Container>,
        path,
        true,
      );

    it.each([
      ['directory-absolute-link', '/directory/target'],
      ['directory-dots-link', '/directory/target'],
      ['file-link', '/target'],
    ] as const)(
      'makes it read and write files of the host: %s',
      async (action, where) => {
        writeFileSync(secret, 'secret');
        const work = `/attack/naive-${action}`;
        const path = `${work}${where}`;
        const attacker = await startAttacker(container.pid, directory, work, action);
        try {
          const read = await untilTrue(async () => (await readFile(await resolve(path), 'utf8')) === 'secret');
          expect(read).toBe(true);
          const written = await untilTrue(async () => {
            await writeFile(await resolve(path), 'written');
            return readFileSync(secret, 'utf8') === 'written';
          });
          expect(written).toBe(true);
        } finally {
          await attacker.stop();
        }
      },
      120_000,
    );
  });

  it('does not touch a FUSE file system on which nobody answers', async () => {
    const attacker = await startAttacker(container.pid, directory, '/attack/hanging', 'fuse');
    const root = await byPid();
    try {
      for (const path of [
        '/attack/hanging/fuse',
        '/attack/hanging/fuse/',
        '/attack/hanging/fuse/file',
        '/attack/hanging/fuse/../fuse/file',
      ]) {
        for (const call of [
          () => root.stat(path),
          () => root.stat(path, { followSymlinks: false }),
          () => root.readFile(path),
          () => root.readDir(path),
          () => root.writeFile(path, 'x', { makeParents: true }),
          () => root.makeDirectories(path),
          () => root.remove(path, { recursive: true }),
        ]) {
          await expect(call()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
        }
      }
      await expect(root.remove('/attack', { recursive: true })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      expect((await root.readDir('/attack/hanging')).map(({ name }) => name)).toContain('fuse');
    } finally {
      await root.close();
      await attacker.stop();
    }
  });

  it('shows what the container sees: its files, its tmpfs, the files that the engine binds', async () => {
    const root = await byPid();
    try {
      await root.writeFile('/scratch/file', 'on tmpfs');
      const seen = await execute(socketPath, container.id, ['cat', '/scratch/file']);
      expect(seen).toContain('on tmpfs');
      const hosts = await root.readFile('/etc/hosts');
      expect(hosts.toString()).not.toBe(readFileSync(join(mergedDir, 'etc/hosts'), 'utf8'));
      expect(hosts.toString()).toContain('localhost');
      await expect(root.writeFile('/etc/hosts', 'x')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await expect(root.remove('/etc/hosts')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      expect(await root.readFile('/etc/hosts')).toEqual(hosts);
      await expect(root.writeFile('/proc/sys/kernel/hostname', 'x')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await expect(root.makeDirectories('/sys/kernel/x/y')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      await expect(root.remove('/sys/kernel', { recursive: true })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
      expect((await root.readFile('/proc/1/comm')).toString()).toBe('sleep\n');
    } finally {
      await root.close();
    }
  });

  it('is not to be used once its process has ended', async () => {
    const short = await runContainer(socketPath, { hostConfig: { Tmpfs: { '/scratch': '' } } });
    const root = await openContainerRoot({ pid: short.pid, containerId: short.id });
    await root.writeFile('/scratch/file', 'x');
    await expect(openContainerRoot({ pid: short.pid, containerId: container.id })).rejects.toMatchObject({
      code: 'NOT_RUNNING',
    });
    await dockerRequest(socketPath, 'POST', `/containers/${short.id}/kill`);
    await dockerRequest(socketPath, 'POST', `/containers/${short.id}/wait`);
    for (const call of [
      () => root.readFile('/scratch/file'),
      () => root.stat('/etc/hostname'),
      () => root.writeFile('/scratch/file', 'x'),
      () => openContainerRoot({ pid: short.pid, containerId: short.id }),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'NOT_RUNNING' });
    }
    await root.close();
    await removeContainer(socketPath, short.id);
  });

  it('is reached where the root of the node is mounted elsewhere, by pid and by directory', async () => {
    const hostRoot = join(directory, 'hostfs');
    const location = { pid: container.pid, containerId: container.id, hostRoot };
    const merged = { mergedDir: join(hostRoot, mergedDir), hostRoot };
    const script = `import { listProcesses, openContainerRoot } from '@crikit/core';
      for (const location of ${JSON.stringify([location, merged])}) {
        const root = await openContainerRoot(location);
        console.log((await root.readFile('/etc/passwd')).includes('app:x:1000'));
        await root.close();
      }
      console.log((await listProcesses(${JSON.stringify(location)})).map(({ pid, user }) => pid + user).join());`;
    const inOwnMounts = 'mkdir -p "$1" && mount --rbind / "$1" && shift && exec "$@"';
    const node = [process.execPath, '--input-type=module', '-e', script];
    const child = spawn('unshare', ['-m', 'sh', '-ec', inOwnMounts, 'sh', hostRoot, ...node], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    expect(await text(child.stdout as Readable)).toBe(`true\ntrue\n${container.pid}root\n`);
    rmdirSync(hostRoot);
  });

  it('says which capability is missing when it may not look into the container', async () => {
    const powerful = await runContainer(socketPath, { hostConfig: { CapAdd: ['SYS_ADMIN'] } });
    try {
      const location = JSON.stringify({ pid: powerful.pid, containerId: powerful.id });
      const script = `import { openContainerRoot } from '@crikit/core';
        const root = await openContainerRoot(${location}).catch((error) => console.log(error.code, error.remedy));
        if (root) console.log((await root.readFile('/etc/hostname')).length > 0)`;
      const run = async (...drop: string[]): Promise<string> => {
        const node = [process.execPath, '--input-type=module', '-e', script];
        const child = spawn('setpriv', [...drop, ...node], {
          cwd: import.meta.dirname,
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        return text(child.stdout as Readable);
      };
      expect(await run('--bounding-set=-sys_ptrace,-sys_admin')).toContain(
        'PERMISSION Run it as root with the capability SYS_PTRACE',
      );
      expect(await run('--bounding-set=+all')).toBe('true\n');
    } finally {
      await removeContainer(socketPath, powerful.id);
    }
  });

  it('lists the processes with their users, zombies among them', async () => {
    // The shell becomes a program that does not wait for the child that it has.
    const cmd = ['sh', '-c', 'true & exec sleep 1000000'];
    const other = await runContainer(socketPath, { image: IMAGES.users, user: '1000', cmd });
    try {
      const { id: containerId, pid } = other;
      await expect
        .poll(async () => (await listProcesses({ containerId, pid })).map(({ name, state }) => `${name} ${state}`), {
          timeout: 10_000,
        })
        .toEqual(['sleep sleeping', 'true zombie'].map((text) => expect.stringMatching(text.replace('true', '.*'))));
      const [main, zombie] = await listProcesses({ containerId, pid });
      expect(main).toMatchObject({ pid, containerPid: 1, command: ['sleep', '1000000'], uid: 1000, user: 'app' });
      expect(zombie).toMatchObject({ parentPid: pid, state: 'zombie', command: [] });
      expect(containerIdOfPid(pid)).toBe(containerId);
      const all = await listProcessesOfAll();
      expect(all.get(containerId)?.map((each) => each.pid)).toEqual([pid, zombie?.pid]);
      expect(all.get(container.id)?.map((each) => each.pid)).toEqual([container.pid]);
    } finally {
      await removeContainer(socketPath, other.id);
    }
  });
});

async function execute(socketPath: string, id: string, cmd: readonly string[]): Promise<string> {
  const { Id } = await dockerRequest(socketPath, 'POST', `/containers/${id}/exec`, {
    body: { Cmd: cmd, AttachStdout: true, Tty: true },
  });
  return String(await dockerRequest(socketPath, 'POST', `/exec/${Id}/start`, { body: { Tty: true } }));
}
