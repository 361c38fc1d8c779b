import type { Container } from '@crikit/core';
import { createInMemoryEngine } from '@crikit/engine-conformance';
import { afterEach, expect, test } from 'vitest';
import type { EnrichmentChoice } from './built-in-enrichers.js';
import { createMetaStore } from './create-meta-store.js';
import { labelPods } from './label-pods.js';
import type { MetaStore } from './meta-store.js';
import type { MetaStoreEvent } from './meta-store-event.js';

const stores: MetaStore[] = [];

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
});

/** Kata: its root is out of reach, so that nothing of this machine plays a part. */
const web = { namespace: 'shop', name: 'web-0', containers: [{ k8sName: 'app', runtime: 'kata' }] };

async function setUp(enrichment: EnrichmentChoice | false = {}) {
  const { definition, control } = createInMemoryEngine({
    commands: {
      hostname: ({ containerId, stdout }) => {
        stdout.write(`host-of-${containerId.slice(0, 4)}\n`);
        return 0;
      },
    },
  });
  const store = createMetaStore({ engines: [definition], pods: labelPods(), enrichment });
  stores.push(store);
  return { store, control };
}

async function readUntil(store: MetaStore, isLast: (event: MetaStoreEvent) => boolean): Promise<MetaStoreEvent[]> {
  const events: MetaStoreEvent[] = [];
  for await (const event of store.events({ signal: AbortSignal.timeout(10_000) })) {
    events.push(event);
    if (isLast(event)) return events;
  }
  throw new Error(`not reached after ${events.map(({ type }) => type).join(', ')}`);
}

const isNamed = (event: MetaStoreEvent): boolean => 'container' in event && event.container.hostname !== undefined;

test('what is found is on the container, in its pod and in an event of its own, and sidecars are left alone', async () => {
  const { store, control } = await setUp();
  const { containers, sandboxId } = control.addPod({
    ...web,
    containers: [...web.containers, { k8sName: 'a-sidecar', runtime: 'kata' }],
  });
  const reading = readUntil(store, ({ type }) => type === 'pod-changed');
  await store.start();
  const events = await reading;
  const app = store.getContainerByCid(containers.app as string) as Container;
  expect(app).toMatchObject({ hostname: `host-of-${app.id.slice(0, 4)}`, alpineStatus: 'unknown', role: 'biz' });
  expect(Object.isFrozen(app)).toBe(true);
  expect(structuredClone(app)).toEqual(app);
  expect(store.getPodOf(app)?.biz[0]).toBe(app);
  const [enriched, changed] = events.slice(-2);
  expect(enriched).toMatchObject({ type: 'container-enriched', container: app });
  expect((enriched as { previous: Container }).previous).not.toHaveProperty('hostname');
  expect(changed).toMatchObject({ type: 'pod-changed', sequence: enriched?.sequence });
  for (const id of [containers['a-sidecar'] as string, sandboxId]) {
    expect(store.getContainerByCid(id)).not.toHaveProperty('alpineStatus');
  }
});

test('what is found survives other changes, and is forgotten when the container is started anew', async () => {
  const { store, control } = await setUp();
  const id = control.addPod(web).containers.app as string;
  const named = readUntil(store, isNamed);
  await store.start();
  await named;
  control.stopContainer(id);
  await readUntil(store, (event) => 'container' in event && event.container.state.status === 'exited');
  expect(store.getContainerByCid(id)).toHaveProperty('hostname');
  const after = readUntil(store, (event) => isNamed(event) && event.type === 'container-enriched');
  control.startContainer(id);
  const events = await after;
  const restarted = events.find(
    (event) => event.type === 'container-changed' && event.container.state.status === 'running',
  );
  expect((restarted as { container: Container }).container).not.toHaveProperty('hostname');
});

test('a sync is not held up by an enricher that never ends, and close is not either', async () => {
  const { store, control } = await setUp({
    without: ['hostname', 'tz', 'alpineStatus'],
    add: [{ name: 'alpineStatus', timeoutMs: 3_600_000, appliesTo: () => true, run: () => new Promise(() => {}) }],
  });
  const id = control.addPod(web).containers.app as string;
  await store.start({ requireReady: true });
  control.stopContainer(id);
  await readUntil(store, (event) => 'container' in event && event.container.state.status === 'exited');
  await store.close();
});

test('nothing runs in any container when enrichment is off', async () => {
  const { store, control } = await setUp(false);
  const id = control.addPod(web).containers.app as string;
  await store.start();
  control.stopContainer(id);
  await readUntil(store, (event) => 'container' in event && event.container.state.status === 'exited');
  expect(control.calls.exec).toBe(0);
  expect(store.getContainerByCid(id)).not.toHaveProperty('hostname');
});
