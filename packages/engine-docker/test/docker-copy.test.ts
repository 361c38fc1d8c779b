import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ContainerEngine, connectEngine, isCopyFailedError } from '@crikit/core';
import { describeCopyMethods, type EngineFixture } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { dockerRequest, IMAGES, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { docker } from '../src/docker.js';
import { createDockerFixture } from './docker-fixture.js';

const runner = { describe, test, beforeAll, afterAll };

describeWithDocker('copying with Docker', ({ socketPath }) => {
  let folder: string;
  let engine: ContainerEngine;
  const containers: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crikit-docker-copy-'));
    await mkdir(join(folder, 'volume'));
    await mkdir(join(folder, 'tree', 'deep'), { recursive: true });
    await writeFile(join(folder, 'tree', 'deep', 'file'), 'content');
    await writeFile(join(folder, 'large'), Buffer.alloc(8 * 1024 ** 2));
    engine = await connectEngine(docker({ socketPath }));
  });
  afterAll(async () => {
    await Promise.all(containers.map((id) => removeContainer(socketPath, id)));
    await engine?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const start = async (options: Parameters<typeof runContainer>[1]): Promise<string> => {
    const { id } = await runContainer(socketPath, options);
    containers.push(id);
    return id;
  };
  const inside = async (id: string, script: string): Promise<string> =>
    (await engine.exec(id, { cmd: ['sh', '-c', script], check: true })).stdout.toString();

  /** As the usual fixture, with a volume to go through. */
  const createFixture = async (): Promise<EngineFixture> => {
    const fixture = await createDockerFixture(socketPath);
    return {
      ...fixture,
      async runContainer() {
        const id = await start({ hostConfig: { Binds: [`${join(folder, 'volume')}:/volume`] } });
        const never = async (): Promise<void> => {};
        const remove = () => removeContainer(socketPath, id);
        return { id, target: id, stop: never, start: never, pause: never, resume: never, remove };
      },
    };
  };
  describeCopyMethods({ runner, createFixture, methods: ['host', 'engine', 'mount', 'tar', 'chunk'] });

  it('leaves nothing in the volume that it went through', async () => {
    expect(await readdir(join(folder, 'volume'))).toEqual([]);
  });

  describe('into a read-only container with a small tmpfs', () => {
    let id: string;
    beforeAll(async () => {
      id = await start({ hostConfig: { ReadonlyRootfs: true, Tmpfs: { '/scratch': 'size=1m' } } });
    });

    it.each(['host', 'tar', 'chunk'] as const)('%s: reaches the tmpfs', async (method) => {
      await engine.copyToContainer(id, join(folder, 'tree'), `/scratch/${method}`, { methods: [method] });
      expect(await inside(id, `cat /scratch/${method}/deep/file; ls -A /scratch/${method}`)).toBe('contentdeep\n');
      await engine.copyFromContainer(id, `/scratch/${method}`, join(folder, `tmpfs-${method}`), { methods: [method] });
      expect(await readFile(join(folder, `tmpfs-${method}`, 'deep', 'file'), 'utf8')).toBe('content');
    });

    it.each(['host', 'tar', 'chunk'] as const)('%s: says that the rest is read-only', async (method) => {
      const copying = engine.copyToContainer(id, join(folder, 'tree'), '/srv/tree', { methods: [method] });
      await expect(copying).rejects.toMatchObject({ code: 'PERMISSION', applied: 'no' });
    });

    it.each(['host', 'tar', 'chunk'] as const)('%s: a full disk is an error, and nothing stays', async (method) => {
      await inside(id, 'rm -rf /scratch/*');
      const copying = engine.copyToContainer(id, join(folder, 'large'), '/scratch/for/large', { methods: [method] });
      await expect(copying).rejects.toMatchObject({ code: 'COPY_FAILED', applied: 'no' });
      await expect(copying).rejects.toThrow(/space/i);
      expect(await inside(id, 'ls -A /scratch')).toBe('');
    });
  });

  it('does not believe the engine that it reached a tmpfs', async () => {
    const id = await start({ hostConfig: { Tmpfs: { '/scratch': '' } } });
    const options = { methods: ['engine', 'tar'] as const };
    const copied = await engine.copyToContainer(id, join(folder, 'tree'), '/scratch/tree', options);
    expect(copied).toMatchObject({
      method: 'tar',
      skipped: [{ method: 'engine', reason: expect.stringMatching(/mount/) }],
    });
    expect(await inside(id, 'ls -A /scratch /scratch/tree')).toBe('/scratch:\ntree\n\n/scratch/tree:\ndeep\n');
  });

  it('serves a container that has neither a shell nor tar, by the host and by the engine', async () => {
    const id = await start({ image: IMAGES.noShell, cmd: ['/bin/sleep', '1000000'] });
    for (const method of ['host', 'engine'] as const) {
      const options = { methods: [method] };
      await engine.copyToContainer(id, join(folder, 'tree'), `/new/${method}`, options);
      await engine.copyFromContainer(id, `/new/${method}`, join(folder, `no-shell-${method}`), options);
      expect(await readFile(join(folder, `no-shell-${method}`, 'deep', 'file'), 'utf8')).toBe('content');
    }
    const copying = engine.copyToContainer(id, join(folder, 'tree'), '/new/none', {
      methods: ['mount', 'tar', 'chunk'],
    });
    const error = await copying.catch((thrown) => thrown);
    expect(isCopyFailedError(error) && error.attempts.map(({ method, error: { code } }) => [method, code])).toEqual([
      ['mount', 'UNSUPPORTED'],
      ['tar', 'COMMAND_NOT_FOUND'],
      ['chunk', 'COMMAND_NOT_FOUND'],
    ]);
  });

  it('serves a stopped and a paused container', async () => {
    const id = await start({});
    await dockerRequest(socketPath, 'POST', `/containers/${id}/pause`);
    expect(await engine.copyToContainer(id, join(folder, 'tree'), '/paused')).toMatchObject({ method: 'host' });
    await dockerRequest(socketPath, 'POST', `/containers/${id}/unpause`);
    const known = await engine.getContainerDetail(id);
    await dockerRequest(socketPath, 'POST', `/containers/${id}/stop?t=0`);
    // What the caller knows is not so any more.
    const copied = await engine.copyToContainer(known, join(folder, 'tree'), '/stopped');
    expect(copied).toMatchObject({ method: 'engine', skipped: [{ method: 'host' }] });
    await engine.copyFromContainer(id, '/paused', join(folder, 'paused'));
    expect(await readFile(join(folder, 'paused', 'deep', 'file'), 'utf8')).toBe('content');
    expect(engine.supports('copy', await engine.getContainerDetail(id))).toBe(true);
  });

  it('copies through mounts in a tree, and does not replace a mount', async () => {
    await writeFile(join(folder, 'volume', 'in-volume'), 'v');
    const id = await start({ hostConfig: { Binds: [`${join(folder, 'volume')}:/srv/data/volume`] } });
    await engine.copyFromContainer(id, '/srv/data', join(folder, 'mounted'), { methods: ['host'] });
    expect(await readFile(join(folder, 'mounted', 'volume', 'in-volume'), 'utf8')).toBe('v');
    await rm(join(folder, 'volume', 'in-volume'));
    const onto = engine.copyToContainer(id, join(folder, 'tree'), '/srv/data/volume', { methods: ['host'] });
    await expect(onto).rejects.toMatchObject({ attempts: [{ method: 'host', error: { code: 'UNSUPPORTED' } }] });
  });

  it('says of a target on this host that cannot be written what is wrong with it', async () => {
    const id = await start({});
    await writeFile(join(folder, 'a-file'), '');
    const below = engine.copyFromContainer(id, '/etc/passwd', join(folder, 'a-file', 'below'));
    await expect(below).rejects.toMatchObject({ code: 'COPY_FAILED' });
    await expect(engine.copyFromContainer(id, '/etc', join(folder, 'a-file'))).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
    });
    const limited = engine.copyFromContainer(id, '/bin/busybox', join(folder, 'limited'), { maxBytes: 10_000 });
    await expect(limited).rejects.toMatchObject({ code: 'TOO_LARGE' });
    const few = engine.copyFromContainer(id, '/bin', join(folder, 'limited'), { maxEntries: 10 });
    await expect(few).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect(await readdir(folder)).not.toContain('limited');
  });
});
