import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeCopyMethods, type EngineFixture } from '@crikit/engine-conformance';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IMAGES, removeContainerdContainer, runContainerdContainer } from '../../../tools/lab/lab.mjs';
import { connectContainerd, createContainerdFixture, describeWithContainerds } from './containerd-fixture.js';

const runner = { describe, test, beforeAll, afterAll };
let made = 0;

describeWithContainerds('copying with containerd', ({ daemon }) => {
  let volume: string;
  const containers: string[] = [];

  beforeAll(async () => {
    volume = await mkdtemp(join(tmpdir(), 'crikit-containerd-copy-'));
  });
  afterAll(async () => {
    await Promise.all(containers.map((id) => removeContainerdContainer(daemon, { id })));
    await rm(volume, { recursive: true, force: true });
  });

  const start = async (options: Partial<Parameters<typeof runContainerdContainer>[1]> = {}): Promise<string> => {
    made += 1;
    const id = `copy-${process.pid}-${made}`;
    await runContainerdContainer(daemon, { id, ...options });
    containers.push(id);
    return id;
  };

  /** As the usual fixture, with a volume to go through. */
  const createFixture = async (): Promise<EngineFixture> => ({
    ...(await createContainerdFixture(daemon)),
    async runContainer() {
      const mount = `type=bind,src=${volume},dst=/volume,options=rbind:rw`;
      const id = await start({ extraArguments: ['--mount', mount] });
      const never = async (): Promise<void> => {};
      return {
        id,
        target: { scope: 'default', id },
        stop: never,
        start: never,
        pause: never,
        resume: never,
        remove: never,
      };
    },
  });
  // It has no archive streams.
  describeCopyMethods({ runner, createFixture, methods: ['host', 'mount', 'tar', 'chunk'] });

  test('nothing is left in the volume that was gone through', async () => {
    expect(await readdir(volume)).toEqual([]);
  });

  test('a read-only container with a small tmpfs: what is full or read-only is an error, and nothing stays', async () => {
    const tmpfs = 'type=tmpfs,src=tmpfs,dst=/tmp,options=size=1m';
    const id = await start({ extraArguments: ['--read-only', '--mount', tmpfs] });
    const engine = await connectContainerd(daemon.socketPath);
    const target = { scope: 'default', id };
    const [large, small] = [join(volume, 'large'), join(volume, 'small')];
    try {
      await writeFile(large, Buffer.alloc(8 * 1024 ** 2));
      await writeFile(small, 'content');
      for (const method of ['host', 'tar', 'chunk'] as const) {
        const options = { methods: [method] };
        const full = engine.copyToContainer(target, large, '/tmp/for/large', options);
        await expect(full, method).rejects.toMatchObject({ code: 'COPY_FAILED', applied: 'no' });
        const readOnly = engine.copyToContainer(target, small, '/root/small', options);
        await expect(readOnly, method).rejects.toMatchObject({ code: 'PERMISSION', applied: 'no' });
        await engine.copyToContainer(target, small, `/tmp/${method}`, options);
      }
      const { stdout } = await engine.exec(target, { cmd: ['ls', '-A', '/tmp', '/root'], check: true });
      expect(stdout.toString()).toBe('/root:\n\n/tmp:\nchunk\nhost\ntar\n');
    } finally {
      await Promise.all([large, small].map((path) => rm(path, { force: true })));
      await engine.close();
    }
  });

  test('a container that has neither a shell nor tar is served by the host', async () => {
    const id = await start({ image: IMAGES.noShell, cmd: ['/bin/sleep', '1000000'] });
    const engine = await connectContainerd(daemon.socketPath);
    try {
      const target = { scope: 'default', id };
      const source = join(volume, 'source');
      await writeFile(source, 'content');
      expect(await engine.copyToContainer(target, source, '/new/file')).toMatchObject({ method: 'host' });
      await engine.copyFromContainer(target, '/new', join(volume, 'back'));
      expect(await readFile(join(volume, 'back', 'file'), 'utf8')).toBe('content');
      const copying = engine.copyToContainer(target, source, '/new/none', { methods: ['mount', 'tar', 'chunk'] });
      await expect(copying).rejects.toMatchObject({
        attempts: [
          { method: 'mount', error: { code: 'UNSUPPORTED' } },
          { method: 'tar', error: { code: 'COMMAND_NOT_FOUND' } },
          { method: 'chunk', error: { code: 'COMMAND_NOT_FOUND' } },
        ],
      });
    } finally {
      await engine.close();
    }
  });
});
