// @ts-check
// Follows the pods of a node in a process of its own, and tells its parent what the first list cost.
import { monitorEventLoopDelay } from 'node:perf_hooks';

const [, , contestant = '', url = '', wanted = ''] = process.argv;
const count = Number(wanted);
const nodeName = 'lab-node';

/** @returns {Promise<{ run: () => Promise<unknown>, size: () => number }>} */
async function prepareOurs() {
  const { apiServerPods } = await import('@crikit/metastore');
  const silent = () => {};
  /** What a store keeps. @type {Map<string | undefined, object>} */
  const pods = new Map();
  const source = apiServerPods({
    name: 'bench',
    connect: async () => ({ server: url, nodeName, credentials: async () => ({}) }),
  });
  return {
    size: () => pods.size,
    run: async () => {
      const session = source.open?.({
        environment: {},
        hostRoot: '/',
        logger: { debug: silent, info: silent, warn: silent, error: silent },
        clock: {
          now: () => Date.now(),
          setTimer: (run, delayMs) => {
            const timer = setTimeout(run, delayMs);
            return () => clearTimeout(timer);
          },
        },
        onUpdate: (update) => {
          for (const pod of update.kind === 'replace' ? update.pods : update.put) pods.set(pod.metadata?.uid, pod);
        },
        onState: silent,
      });
      await session?.ready;
      return session;
    },
  };
}

/** @returns {Promise<{ run: () => Promise<unknown>, size: () => number }>} */
async function prepareInformer() {
  const { CoreV1Api, KubeConfig, makeInformer } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'bench', server: url, skipTLSVerify: true }],
    users: [{ name: 'bench' }],
    contexts: [{ name: 'bench', cluster: 'bench', user: 'bench' }],
    currentContext: 'bench',
  });
  const api = config.makeApiClient(CoreV1Api);
  const fieldSelector = `spec.nodeName=${nodeName}`;
  const informer = makeInformer(
    config,
    '/api/v1/pods',
    () => api.listPodForAllNamespaces({ fieldSelector }),
    undefined,
    fieldSelector,
  );
  return {
    size: () => informer.list().length,
    run: async () => {
      informer.on('error', () => {});
      await informer.start();
      return informer;
    },
  };
}

const { run, size } = await (contestant === 'crikit' ? prepareOurs() : prepareInformer());
const collect = () => {
  for (let round = 0; round < 3; round += 1) globalThis.gc?.();
};
// What is loaded by the first request is not what is asked here.
await fetch(`${url}/version`);
collect();
const heapBytes = process.memoryUsage().heapUsed;
const delay = monitorEventLoopDelay({ resolution: 1 });
await new Promise((resolve) => setTimeout(resolve, 50));
delay.enable();
await new Promise((resolve) => setTimeout(resolve, 10));
delay.reset();
const start = performance.now();
const kept = await run();
const ms = performance.now() - start;
// The histogram learns of a block when the loop turns again.
await new Promise((resolve) => setTimeout(resolve, 20));
delay.disable();
const blockMs = delay.max / 1e6;
collect();
const heapMb = (process.memoryUsage().heapUsed - heapBytes) / 1e6;
if (size() !== count || kept === undefined) throw new Error(`${contestant} has ${size()} of ${count} pods`);
process.send?.({ ms, blockMs, heapMb }, () => process.exit());
