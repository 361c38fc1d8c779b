/**
 * Random histories of containers, pods, lost events and engines that go away. When all is quiet again the store must
 * show what the engine has, and the events, replayed from nothing, must give what the store shows.
 */
import type { Container } from '@crikit/core';
import { createInMemoryEngine, type InMemoryEngineControl } from '@crikit/engine-conformance';
import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { containerKey } from './container-facts.js';
import { createMetaStore } from './create-meta-store.js';
import type { MetaStoreEvent } from './meta-store-event.js';
import { replayEvents } from './replay-events.js';

type Step =
  | { readonly kind: 'pod'; readonly name: number }
  | { readonly kind: 'container' | 'start' | 'stop' | 'remove' | 'false-event'; readonly which: number }
  | { readonly kind: 'drop' | 'hold' | 'tell' | 'end-events' | 'away' | 'back' | 'pause' };

const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('pod' as const), name: fc.nat(3) }) },
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constantFrom('container', 'start', 'stop', 'remove', 'false-event'),
        which: fc.nat(20),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constantFrom('drop', 'hold', 'tell', 'end-events', 'away', 'back', 'pause') }),
    },
  ),
  { maxLength: 60, size: 'max' },
);

async function take(step: Step, control: InMemoryEngineControl, number: number): Promise<void> {
  const id =
    'which' in step ? control.containerIds()[step.which % Math.max(1, control.containerIds().length)] : undefined;
  switch (step.kind) {
    case 'pod':
      control.addPod({
        namespace: 'shop',
        name: `web-${step.name}`,
        uid: `uid-${number}`,
        containers: [{ k8sName: 'app' }, { k8sName: 'sidecar' }],
      });
      break;
    case 'container':
      control.addContainer({ name: `lonely-${number}`, status: 'running' });
      break;
    case 'start':
      if (id !== undefined) control.startContainer(id);
      break;
    case 'stop':
      if (id !== undefined) control.stopContainer(id, number % 3);
      break;
    case 'remove':
      if (id !== undefined) control.removeContainer(id);
      break;
    case 'false-event':
      control.emit({ action: 'removed', reference: { scope: '', id: id ?? 'never-there' }, timeMs: 1 });
      break;
    case 'drop':
    case 'hold':
    case 'tell':
      control.setEvents(step.kind);
      break;
    case 'end-events':
      control.endEvents();
      break;
    case 'away':
      control.goAway();
      break;
    case 'back':
      control.comeBack();
      break;
    case 'pause':
      await new Promise((resolve) => setImmediate(resolve));
      break;
  }
}

const byId = <Item extends { id: string } | { uid: string }>(items: Iterable<Item>): Item[] =>
  [...items].sort((one, other) => (idOf(one) < idOf(other) ? -1 : 1));
const idOf = (item: { id: string } | { uid: string }): string => ('uid' in item ? item.uid : item.id);

test('after any history the store shows what the engine has, and its events tell the same', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (history, revisions) => {
      const { definition, control } = createInMemoryEngine({ revisions });
      const options = {
        gracePeriodMs: 0,
        engines: [definition],
        reconcileIntervalMs: 10,
        trackFinishedPods: true,
        enrichment: false as const,
      };
      const store = createMetaStore(options);
      const events: MetaStoreEvent[] = [];
      const reading = (async () => {
        for await (const event of store.events()) events.push(event);
      })();
      try {
        await store.start();
        for (const [number, step] of history.entries()) await take(step, control, number);
        control.setEvents('tell');
        control.comeBack();
        const fresh = createMetaStore(options);
        try {
          await fresh.start({ requireReady: true });
          await vi.waitFor(
            () => {
              expect(byId(store.getAllContainers({ withoutPod: true }))).toEqual(
                byId(fresh.getAllContainers({ withoutPod: true })).map((container) =>
                  withRoleOf(container, store.getContainerByCid(container.id)),
                ),
              );
            },
            { timeout: 5_000, interval: 5 },
          );
          expect(byId(fresh.getAllContainers({ withoutPod: true })).map(({ id }) => id)).toEqual(
            [...control.containerIds()].sort(),
          );
          expect(
            store
              .getAllPods()
              .map(({ uid, phase }) => `${uid} ${phase}`)
              .sort(),
          ).toEqual(
            fresh
              .getAllPods()
              .map(({ uid, phase }) => `${uid} ${phase}`)
              .sort(),
          );
        } finally {
          await fresh.close();
        }
      } finally {
        await store.close();
        await reading;
      }
      const replayed = replayEvents(events);
      expect(byId(replayed.containers.values())).toEqual(byId(store.getAllContainers({ withoutPod: true })));
      expect(byId(replayed.pods.values())).toEqual(byId(store.getAllPods()));
      for (const container of store.getAllContainers({ withoutPod: true })) {
        expect(replayed.containers.get(containerKey(container.engineId, container))).toBe(container);
      }
    }),
    { numRuns: 60 },
  );
});

/** Roles remember containers that are gone, which a store that has just begun cannot know. */
function withRoleOf(container: Container, remembered: Container | undefined): Container {
  if (remembered?.role === undefined || container.role === undefined) return container;
  return {
    ...container,
    role: remembered.role,
    ...(remembered.roleReason === undefined ? {} : { roleReason: remembered.roleReason }),
  };
}
