import { docker } from '@crikit/engine-docker';
import { expect, test } from 'vitest';
import { IMAGES, removeContainer, runContainer } from '../../../tools/lab/lab.mjs';
import { describeWithDocker } from '../../../tools/test-support/lab.js';
import { createMetaStore } from '../src/index.js';

describeWithDocker('files and processes of a container, through a store on dockerd', ({ socketPath }) => {
  test('are read and written from the host, and the container sees the same', async () => {
    const { id, pid } = await runContainer(socketPath, { image: IMAGES.users, user: '1000' });
    const store = createMetaStore({ engines: [docker({ socketPath })] });
    try {
      await store.start({ requireReady: true });
      expect((await store.readFile(id, '/etc/passwd')).toString()).toContain('app:x:1000:1000');
      await store.writeFile(id, '/tmp/written', 'from the host', { owner: { uid: 1000, gid: 1000 } });
      const { stdout } = await store.exec(id, { cmd: ['cat', '/tmp/written'], check: true });
      expect(stdout.toString()).toBe('from the host');
      expect(await store.stat(id, '/tmp/written')).toMatchObject({ type: 'file', sizeBytes: 13, uid: 1000 });
      expect((await store.readDir(id, '/tmp')).map(({ name }) => name)).toEqual(['written']);
      expect(await store.listProcesses(id)).toMatchObject([{ pid, containerPid: 1, name: 'sleep', user: 'app' }]);
      expect(store.getContainerByPid(pid)?.id).toBe(id);
      expect(store.getContainerByPid(process.pid)).toBeUndefined();
      const root = await store.openRoot(id);
      await root.remove('/tmp/written');
      await root.close();
      await expect(store.readFile(id, '/tmp/written')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    } finally {
      await store.close();
      await removeContainer(socketPath, id);
    }
  });
});
