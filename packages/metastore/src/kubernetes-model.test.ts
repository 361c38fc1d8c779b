/**
 * Random histories of a node: pods made, deleted and made again under their names on the API server, containers made,
 * started, ended, restarted and removed by a kubelet, forged claims, lost, doubled, late and false events, an engine and a
 * source of pods that go away and come back. When all is quiet again the store must show what an oracle says, what a
 * store shows that has just begun, and what its events, replayed from nothing, lead to.
 *
 * The histories are the same in every run, so that a change answers for itself alone. CRIKIT_MODEL_SEED=random looks for
 * new ones and prints its seed, with which they can be had again; CRIKIT_MODEL_RUNS sets their number.
 */
import type { Container, KubernetesMarks, KubernetesPod } from '@crikit/core';
import { createInMemoryEngine } from '@crikit/engine-conformance';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { containerKey } from './container-facts.js';
import { createMetaStore } from './create-meta-store.js';
import { createFakeClock } from './fake-clock.js';
import type { MetaStore } from './meta-store.js';
import type { MetaStoreEvent } from './meta-store-event.js';
import { podIdentity } from './pod-identity.js';
import { replayEvents } from './replay-events.js';
import { createScriptedPodSource } from './scripted-pod-source.js';

const isLong = process.env.CRIKIT_LONG_TESTS !== undefined;
const runs = Number(process.env.CRIKIT_MODEL_RUNS ?? (isLong ? 10_000 : 500));
const givenSeed = process.env.CRIKIT_MODEL_SEED ?? '1';
const seed = givenSeed === 'random' ? Math.floor(Math.random() * 2 ** 31) : Number(givenSeed);

const podKinds = [
  'api-create',
  'api-create-static',
  'api-phase',
  'api-label',
  'api-status',
  'api-terminate',
  'api-delete',
  'api-recreate',
  'kubelet-run',
  'kubelet-sandbox-again',
  'kubelet-restart',
  'kubelet-debug',
] as const;
const containerKinds = ['start', 'stop', 'remove', 'double-event', 'false-event'] as const;
const plainKinds = [
  'lonely',
  'forge',
  'events-drop',
  'events-hold',
  'events-tell',
  'events-end',
  'engine-away',
  'engine-back',
  'source-away',
  'source-back',
  'source-back-listing',
  'source-switch',
  'turn',
  'second',
] as const;

interface Step {
  readonly kind: (typeof podKinds)[number] | (typeof containerKinds)[number] | (typeof plainKinds)[number];
  readonly which: number;
}

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    kind: fc.oneof(
      { weight: 14, arbitrary: fc.constantFrom(...podKinds) },
      { weight: 8, arbitrary: fc.constantFrom(...containerKinds) },
      { weight: 10, arbitrary: fc.constantFrom(...plainKinds) },
      // What brings containers into pods without marks that prove it, and out of them again.
      {
        weight: 5,
        arbitrary: fc.constantFrom(
          'forge',
          'lonely',
          'api-status',
          'api-recreate',
          'source-away',
          'source-back-listing',
        ),
      },
    ),
    which: fc.nat(30),
  }),
  { maxLength: 70, size: 'max' },
);

const phases = ['Pending', 'Running', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const;

/** The node as it is, and the two that tell of it. */
function createWorld(revisions: boolean) {
  const engine = createInMemoryEngine({ revisions, containerIdSchemes: ['memory'] });
  const source = createScriptedPodSource();
  const { control } = engine;
  /** Marks by container, as the engine gives them. */
  const marksOf = new Map<string, KubernetesMarks | undefined>();
  const running = new Set<string>();
  let number = 0;

  const pick = <Item>(items: readonly Item[], which: number): Item | undefined =>
    items[which % Math.max(1, items.length)];
  const uids = (): string[] => [
    ...new Set([...source.pods.keys(), ...[...marksOf.values()].flatMap((marks) => marks?.podUid ?? [])]),
  ];
  const add = (kubernetes: KubernetesMarks | undefined, id?: string): string => {
    const added = control.addContainer({
      status: 'running',
      ...(id === undefined ? {} : { id }),
      ...(kubernetes === undefined ? {} : { kubernetes }),
    });
    marksOf.set(added, kubernetes);
    running.add(added);
    return added;
  };
  const nameOf = (uid: string): string =>
    source.pods.get(uid)?.metadata?.name ??
    [...marksOf.values()].find((marks) => marks?.podUid === uid)?.podName ??
    'never';
  const marksFor = (uid: string, more: Partial<KubernetesMarks>): KubernetesMarks => ({
    kind: 'container',
    podUid: uid,
    namespace: 'shop',
    podName: nameOf(uid),
    trust: 'engine',
    ...more,
  });
  const sandboxOf = (uid: string): string | undefined =>
    [...marksOf].findLast(([, marks]) => marks?.podUid === uid && marks.kind === 'sandbox')?.[0];
  const update = (uid: string, change: (pod: KubernetesPod) => KubernetesPod): void => {
    const pod = source.pods.get(uid);
    if (pod !== undefined) source.put(change(pod));
  };
  const create = (name: string, isStatic: boolean): void => {
    number += 1;
    const uid = `uid-${number}`;
    source.put({
      metadata: {
        name,
        namespace: 'shop',
        uid,
        ...(isStatic ? { annotations: { 'kubernetes.io/config.mirror': `hash-${number}` } } : {}),
      },
      spec: {
        containers: [{ name: 'app' }, { name: 'log-sidecar' }],
        initContainers: [{ name: 'setup' }, { name: 'mesh', restartPolicy: 'Always' }],
      },
      status: { phase: 'Pending' },
    });
  };

  const take = (kind: Step['kind'], which: number): void => {
    number += 1;
    const told = pick([...source.pods.keys()], which);
    const uid = pick(uids(), which);
    const id = pick(control.containerIds(), which);
    const unproven = pick(
      control.containerIds().filter((each) => marksOf.get(each)?.trust !== 'engine'),
      which,
    );
    switch (kind) {
      case 'api-create':
      case 'api-create-static':
        create(`web-${which % 4}`, kind === 'api-create-static');
        break;
      case 'api-phase':
        if (told !== undefined) {
          update(told, (pod) => ({
            ...pod,
            status: { ...pod.status, phase: phases[number % phases.length] as string },
          }));
        }
        break;
      case 'api-label':
        if (told !== undefined) {
          update(told, (pod) => ({ ...pod, metadata: { ...pod.metadata, labels: { number: String(number) } } }));
        }
        break;
      case 'api-status': {
        const scheme = which % 5 === 0 ? 'elsewhere' : 'memory';
        const named = which % 3 === 0 ? id : unproven;
        if (told !== undefined && named !== undefined) {
          const containerStatuses = [{ name: 'app', containerID: `${scheme}://${named}` }];
          update(told, (pod) => ({ ...pod, status: { ...pod.status, containerStatuses } }));
        }
        break;
      }
      case 'api-terminate':
        if (told !== undefined) {
          update(told, (pod) => ({ ...pod, metadata: { ...pod.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }));
        }
        break;
      case 'api-delete':
        if (told !== undefined) source.remove(told);
        break;
      case 'api-recreate':
        if (told !== undefined) {
          const name = nameOf(told);
          source.remove(told);
          create(name, false);
        }
        break;
      case 'kubelet-run':
      case 'kubelet-sandbox-again': {
        if (uid === undefined) break;
        const sandboxId = add(marksFor(uid, { kind: 'sandbox' }));
        if (kind === 'kubelet-run') {
          for (const containerName of ['setup', 'mesh', 'app', 'log-sidecar']) {
            add(marksFor(uid, { containerName, sandboxId }));
          }
        }
        break;
      }
      case 'kubelet-restart':
      case 'kubelet-debug': {
        const sandboxId = uid === undefined ? undefined : sandboxOf(uid);
        if (uid === undefined || sandboxId === undefined) break;
        add(marksFor(uid, { containerName: kind === 'kubelet-debug' ? 'debugger' : 'app', sandboxId }));
        break;
      }
      case 'start':
        if (id !== undefined) {
          control.startContainer(id);
          running.add(id);
        }
        break;
      case 'stop':
        if (id !== undefined) {
          control.stopContainer(id, number % 3);
          running.delete(id);
        }
        break;
      case 'remove':
        if (id !== undefined) {
          control.removeContainer(id);
          marksOf.delete(id);
          running.delete(id);
        }
        break;
      case 'double-event':
      case 'false-event':
        if (id === undefined) break;
        for (const action of kind === 'double-event' ? (['started', 'exited'] as const) : (['removed'] as const)) {
          control.emit({ action, reference: { scope: '', id }, timeMs: 1 });
        }
        break;
      case 'lonely':
        add(undefined);
        break;
      case 'forge': {
        // An image's labels claim a pod: the right name, a wrong one, or a pod that there never was.
        const lies = [{}, { podName: 'other' }, { podUid: `never-${number}` }][number % 3] as Partial<KubernetesMarks>;
        add({ ...marksFor(uid ?? `never-${number}`, { containerName: 'app' }), trust: 'labels', ...lies });
        break;
      }
      case 'events-drop':
        control.setEvents('drop');
        break;
      case 'events-hold':
        control.setEvents('hold');
        break;
      case 'events-tell':
        control.setEvents('tell');
        break;
      case 'events-end':
        control.endEvents();
        break;
      case 'engine-away':
        control.goAway();
        break;
      case 'engine-back':
        control.comeBack();
        break;
      case 'source-away':
        source.goAway();
        break;
      case 'source-back':
        source.comeBack('change');
        break;
      case 'source-back-listing':
        source.comeBack('replace');
        break;
      case 'source-switch':
        source.comeBack('change', which % 2 === 0 ? 'kubelet' : 'api-server');
        break;
    }
  };

  /** Only its own marks, the status of its pod and the claims that the source confirms bring a container into a pod. */
  const podOf = (id: string): string | undefined => {
    const marks = marksOf.get(id);
    if (marks?.trust === 'engine') return marks.podUid;
    const naming = [...source.pods].find(([, pod]) => statusIdsOf(pod).includes(`memory://${id}`));
    if (naming !== undefined) return naming[0];
    if (marks === undefined) return undefined;
    const claimed = source.pods.get(marks.podUid);
    if (claimed === undefined || claimed.metadata?.name !== marks.podName) return undefined;
    const ids = statusIdsOf(claimed);
    return ids.length === 0 || ids.some((each) => each.startsWith('memory://')) ? marks.podUid : undefined;
  };

  return { ...engine, source, take, podOf, marksOf, running };
}

type World = ReturnType<typeof createWorld>;

function statusIdsOf({ status }: KubernetesPod): readonly string[] {
  return (status?.containerStatuses ?? []).flatMap(({ containerID }) => containerID ?? []);
}

/**
 * True for what depends on the past: what belongs to a pod that the source has forgotten. Several pods whose statuses
 * name one container are as undefined.
 */
function dependsOnPast({ source, marksOf }: World, id: string, podUid: string | undefined): boolean {
  const naming = [...source.pods.values()].filter((pod) => statusIdsOf(pod).some((each) => each.endsWith(`://${id}`)));
  if (naming.length > 1) return true;
  if (marksOf.get(id)?.trust === 'engine') return false;
  return podUid !== undefined && !source.pods.has(podUid);
}

function checkOracle(store: MetaStore, world: World): void {
  const { source, control, running, podOf } = world;
  const containers = store.getAllContainers({ withoutPod: true });
  expect(containers.map(({ id }) => id).sort()).toEqual([...control.containerIds()].sort());
  for (const { id, state, podUid } of containers) {
    expect(`${id} ${state.status === 'running'}`).toBe(`${id} ${running.has(id)}`);
    if (!dependsOnPast(world, id, podUid)) expect(`${id} in ${podUid}`).toBe(`${id} in ${podOf(id)}`);
  }
  for (const [uid, object] of source.pods) {
    const pod = store.getPodByUid(uid);
    const phase = object.status?.phase ?? 'Unknown';
    if (phase === 'Succeeded' || phase === 'Failed') {
      expect(pod).toBeUndefined();
      continue;
    }
    expect(pod).toMatchObject({ phase, name: object.metadata?.name, labels: object.metadata?.labels ?? {} });
    expect(podIdentity(pod?.object ?? {})).toBe(uid);
    expect([...(pod?.all ?? []), ...(pod?.exited ?? [])].map(({ id }) => id).sort()).toEqual(
      containers.flatMap(({ id, podUid }) => (podUid === uid ? id : [])).sort(),
    );
  }
  for (const { uid, diagnostics } of store.getAllPods()) {
    expect(diagnostics.some(({ code }) => code === 'not-in-source')).toBe(!source.pods.has(uid));
  }
}

interface Past {
  readonly ids: ReadonlySet<string>;
  readonly uids: ReadonlySet<string>;
}

/**
 * Containers whose place depends on the past, in one of the stores at least, and the pods that have or claim them. Such a
 * pod may be in the source: what the status of a forgotten pod said counts for more than labels that claim this one, so
 * that only a store that has just begun lets the container in here, or turns it away with a diagnostic.
 */
function listPast(stores: readonly MetaStore[], world: World): Past {
  const containers = stores.flatMap((store) => store.getAllContainers({ withoutPod: true }));
  const ids = new Set(containers.flatMap(({ id, podUid }) => (dependsOnPast(world, id, podUid) ? id : [])));
  const claimed = [...world.marksOf].flatMap(([id, marks]) =>
    marks !== undefined && marks.trust !== 'engine' && (ids.has(id) || !world.source.pods.has(marks.podUid))
      ? marks.podUid
      : [],
  );
  return {
    ids,
    uids: new Set([...containers.flatMap(({ id, podUid }) => (ids.has(id) ? (podUid ?? []) : [])), ...claimed]),
  };
}

/** What a store that has just begun shows as well: all but what is remembered of pods that the source has forgotten. */
function withoutPast(store: MetaStore, world: World, past: Past): { pods: unknown[]; containers: unknown[] } {
  const isForgotten = (uid: string | undefined): boolean => uid !== undefined && !world.source.pods.has(uid);
  const roleless = ({ role: _role, roleReason: _reason, ...rest }: Container): unknown => rest;
  return {
    pods: store
      .getAllPods()
      .filter(({ uid }) => !past.uids.has(uid))
      .toSorted((one, other) => (one.uid < other.uid ? -1 : 1))
      .map((pod) => (isForgotten(pod.uid) ? `forgotten ${pod.uid} ${pod.phase}` : pod)),
    containers: store
      .getAllContainers({ withoutPod: true })
      .filter(({ id }) => !past.ids.has(id))
      .toSorted((one, other) => (one.id < other.id ? -1 : 1))
      .map((container) => (isForgotten(container.podUid) ? roleless(container) : container)),
  };
}

async function runHistory(history: readonly Step[], revisions: boolean, startsAway: boolean): Promise<void> {
  const world = createWorld(revisions);
  const clock = createFakeClock();
  const options = { engines: [world.definition], pods: world.source.source, gracePeriodMs: 0, environment: {}, clock };
  const store = createMetaStore({ ...options, enrichment: false });
  const events: MetaStoreEvent[] = [];
  const reading = (async () => {
    for await (const event of store.events({ maxWaiting: 100_000 })) events.push(event);
  })();
  try {
    if (!startsAway) world.source.comeBack();
    await store.start();
    for (const { kind, which } of history) {
      if (kind === 'turn') await new Promise((resolve) => setImmediate(resolve));
      else if (kind === 'second') await clock.advance(1_000);
      else world.take(kind, which);
    }
    world.control.setEvents('tell');
    world.control.comeBack();
    world.source.comeBack(history.length % 2 === 0 ? 'replace' : 'change');
    const deadlineMs = performance.now() + 5_000;
    // The engine's return is noticed in real time, all else goes by the clock.
    for (;;) {
      await clock.advance(70_000);
      try {
        expect(store.status().ready).toBe(true);
        checkOracle(store, world);
        break;
      } catch (error) {
        if (performance.now() > deadlineMs) throw error;
      }
    }
    const again = createScriptedPodSource();
    again.put(...world.source.pods.values());
    again.comeBack();
    const fresh = createMetaStore({ ...options, pods: again.source, enrichment: false });
    try {
      await fresh.start({ requireReady: true });
      const past = listPast([store, fresh], world);
      expect(withoutPast(store, world, past)).toEqual(withoutPast(fresh, world, past));
    } finally {
      await fresh.close();
    }
  } finally {
    await store.close();
    await reading;
  }
  expect(clock.timers()).toBe(0);
  const replayed = replayEvents(events);
  const shown = new Map(
    store
      .getAllContainers({ withoutPod: true })
      .map((container) => [containerKey(container.engineId, container), container]),
  );
  expect([...replayed.containers.keys()].sort()).toEqual([...shown.keys()].sort());
  for (const [key, container] of shown) expect(replayed.containers.get(key)).toBe(container);
  expect([...replayed.pods.keys()].sort()).toEqual(
    store
      .getAllPods()
      .map(({ uid }) => uid)
      .sort(),
  );
  for (const pod of store.getAllPods()) expect(replayed.pods.get(pod.uid)).toBe(pod);
}

test(`after any of ${runs} histories (CRIKIT_MODEL_SEED=${seed}) the store shows what is so, and its events tell the same`, {
  timeout: 60_000 + runs * 1_000,
}, async () => {
  await fc.assert(fc.asyncProperty(steps, fc.boolean(), fc.boolean(), runHistory), {
    numRuns: runs,
    seed,
    endOnFailure: !isLong,
  });
});

test.each<[string, readonly Step[]]>([
  ['fit', []],
  // Each step counts on, and what a forged claim says goes by the count.
  ['give another name than', [{ kind: 'events-tell', which: 0 }]],
])(
  'a container in a forgotten pod whose labels %s a pod of the source is placed by what a store remembers',
  async (_what, count) => {
    const history: readonly Step[] = [
      { kind: 'api-create', which: 0 },
      ...count,
      { kind: 'forge', which: 0 },
      { kind: 'api-create', which: 1 },
      { kind: 'api-status', which: 1 },
      { kind: 'second', which: 0 },
      { kind: 'api-delete', which: 1 },
    ];
    await runHistory(history, false, false);
  },
);

test('several refused claims are told in the same order, whichever was met first', async () => {
  const kinds = [
    ...['lonely', 'forge', 'remove', 'start', 'start', 'kubelet-run', 'source-back-listing', 'events-drop', 'start'],
    ...['lonely', 'kubelet-sandbox-again', 'api-create', 'start', 'events-tell', 'api-status', 'lonely', 'lonely'],
    ...[
      'kubelet-run',
      'kubelet-sandbox-again',
      'source-back-listing',
      'start',
      'source-away',
      'forge',
      'forge',
      'second',
    ],
  ] as const;
  await runHistory(
    kinds.map((kind, index) => ({ kind, which: index === 20 ? 6 : 0 })),
    false,
    false,
  );
});
