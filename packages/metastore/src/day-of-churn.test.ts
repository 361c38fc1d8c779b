/**
 * A day of a busy node by a clock that is turned by hand: pods come and go, containers end, engine and source are away now
 * and then. What the store holds must not grow with time.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createInMemoryEngine, type InMemoryPod } from '@crikit/engine-conformance';
import { expect, test } from 'vitest';
import { createMetaStore } from './create-meta-store.js';
import { createFakeClock } from './fake-clock.js';
import { createScriptedPodSource } from './scripted-pod-source.js';

const hours = 24;
/** The first hours fill what is kept for ever: compiled code, caches of shapes. */
const hoursBefore = 12;
const podsAtOnce = 20;
const stepsAnHour = 120;
/** In bytes. What noise leaves is a fraction of it. */
const allowedGrowth = 900_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

// The least of some rounds: V8 holds a block of 2 MB of its own through the first one or two of them, now and then.
async function heapBytes(): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 8; round += 1) {
    collectGarbage();
    // What finalizers let go of is collected the next time.
    await new Promise((resolve) => setTimeout(resolve, 20));
    least = Math.min(least, process.memoryUsage().heapUsed);
  }
  return least;
}

const title = `the heap is flat over ${hours} hours of churn`;

async function liveADay(): Promise<void> {
  const clock = createFakeClock();
  const { definition, control } = createInMemoryEngine({ containerIdSchemes: ['memory'] });
  const source = createScriptedPodSource();
  const store = createMetaStore({
    engines: [definition],
    pods: source.source,
    environment: {},
    enrichment: false,
    clock,
  });
  const pods: { readonly pod: InMemoryPod; readonly lonelyId: string }[] = [];
  let made = 0;
  let told = 0;
  const reading = (async () => {
    for await (const _event of store.events()) told += 1;
  })();

  const addPod = (): void => {
    made += 1;
    const uid = `uid-${made}`;
    const name = `web-${made % (2 * podsAtOnce)}`;
    source.put({
      metadata: { uid, name, namespace: 'shop', labels: { made: String(made) } },
      spec: { containers: [{ name: 'app' }] },
      status: { phase: 'Running', podIP: `10.0.0.${made % 250}` },
    });
    const pod = control.addPod({ namespace: 'shop', name, uid, containers: [{ k8sName: 'app' }] });
    pods.push({ pod, lonelyId: control.addContainer({ name: `lonely-${made}`, status: 'exited' }) });
    store.attributes(pod.sandboxId)?.set('made', made);
  };
  const removePod = (): void => {
    const oldest = pods.shift();
    if (oldest === undefined) return;
    const { pod, lonelyId } = oldest;
    source.remove(pod.uid);
    for (const id of [pod.containers.app as string, pod.sandboxId, lonelyId]) control.removeContainer(id);
  };
  const liveAnHour = async (): Promise<void> => {
    for (let step = 0; step < stepsAnHour; step += 1) {
      if (pods.length >= podsAtOnce) removePod();
      addPod();
      if (step % 30 === 10) source.goAway();
      if (step % 30 === 14) source.comeBack('replace');
      if (step % 40 === 20) control.setEvents('drop');
      if (step % 40 === 24) control.setEvents('tell');
      if (step === 60) control.endEvents();
      // Not awaited by expect, which remembers what it was asked.
      const waiting = store.waitFor({ podUid: `none-${step}` }, { timeoutMs: 1_000 }).then(
        () => {
          throw new Error('a pod was found that is not there');
        },
        () => {},
      );
      await clock.advance(3_600_000 / stepsAnHour);
      await waiting;
      control.inspected.length = 0;
      store.explain(pods[0]?.pod.sandboxId ?? '');
    }
  };

  source.comeBack();
  await store.start({ requireReady: true });
  for (let hour = 0; hour < hoursBefore; hour += 1) await liveAnHour();
  const before = await heapBytes();
  for (let hour = 0; hour < hours; hour += 1) await liveAnHour();
  const grown = (await heapBytes()) - before;
  expect(told).toBeGreaterThan(hours * stepsAnHour * 4);
  expect(store.getAllPods().length).toBeLessThanOrEqual(podsAtOnce + 5);
  expect(grown).toBeLessThan(allowedGrowth);
  await store.close();
  await reading;
  expect(clock.timers()).toBe(0);
}

if (process.env.CRIKIT_LONG_TESTS === undefined) test.skip(`${title} [skipped: the long tests run it]`, () => {});
else test(title, { timeout: 600_000 }, liveADay);
