import { waitUntil } from '@crikit/engine-conformance';
import { createMetaStore, labelPods } from '@crikit/metastore';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithEngine } from '../../../tools/test-support/lab.js';
import { podman } from '../src/podman.js';
import { createPodmanFixture } from './podman-fixture.js';

describeWithEngine('podman', 'Podman in a store', (lab) => {
  let fixture: Awaited<ReturnType<typeof createPodmanFixture>>;
  let store: ReturnType<typeof createMetaStore>;
  beforeAll(async () => {
    fixture = await createPodmanFixture(lab);
    store = createMetaStore({
      engines: [podman({ socketPath: lab.socketPath })],
      pods: labelPods(),
      gracePeriodMs: 200,
    });
    await store.start();
  });
  afterAll(async () => {
    await store?.close();
    await fixture?.close();
  });

  test('its containers come and go, run commands and give their files', async () => {
    const { id, remove } = await fixture.runContainer({ env: { ROLE: 'shop' } });
    await waitUntil('the store knows it', () => store.getContainerByCid(id)?.state.status === 'running');
    const container = store.getContainerByCid(id.slice(0, 12));
    expect(container).toMatchObject({ id, engineType: 'podman', runtime: 'runc', env: { ROLE: 'shop' } });
    const { stdout } = await store.exec(id, { cmd: ['sh', '-c', 'echo $ROLE'], timeoutMs: 10_000 });
    expect(stdout.toString()).toBe('shop\n');
    expect((await store.readFile(id, '/etc/hostname', { maxBytes: 1_000 })).toString()).not.toBe('');
    await remove();
    await waitUntil('the store has forgotten it', () => store.getContainerByCid(id) === undefined, 20_000);
  });
});
