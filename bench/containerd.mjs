// @ts-check
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { connectEngine } from '@crikit/core';
import { containerd } from '@crikit/engine-containerd';
import { createMetaStore, labelPods } from '@crikit/metastore';
import grpc from '@grpc/grpc-js';
import { createCriPod } from '../tools/lab/cri-pods.mjs';
import { down, up } from '../tools/lab/lab.mjs';
import { inTurn, median, printResults, ratio, verdict } from './measure.mjs';

const podCount = 30;
const containersPerPod = 9;

/** Starts a containerd of its own. */
export default async function benchContainerd() {
  const { containerd: daemon } = (await up({ engines: ['containerd'] })).engines;
  if (daemon === undefined) throw new Error('the lab started no containerd');
  const pods = [];
  const engine = await connectEngine(containerd({ address: daemon.socketPath }));
  try {
    for (let index = 0; index < 4; index += 1) {
      pods.push(await createCriPod(daemon, { name: `bench-${index}`, containers: [{ name: 'c-0' }] }));
    }
    const ids = pods.map((pod) => pod.containers['c-0'] ?? '');
    await benchExec(daemon, engine, ids[0] ?? '');
    await benchManyExecs(engine, ids);
    await benchEvents(daemon, engine);
    for (let index = 4; index < podCount; index += 1) {
      pods.push(await createCriPod(daemon, { name: `bench-${index}`, containers: [{ name: 'c-0' }] }));
    }
    for (const pod of pods) {
      for (let index = 1; index < containersPerPod; index += 1) await pod.addContainer({ name: `c-${index}` });
    }
    await benchList(daemon);
  } finally {
    await engine.close();
    await down({ engines: ['containerd'] });
  }
}

/** @param {string} program @param {readonly string[]} commandArguments */
async function run(program, commandArguments) {
  const child = spawn(program, commandArguments, { stdio: 'ignore' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
}

/**
 * @param {{ socketPath: string, directory: string }} daemon
 * @param {import('@crikit/core').ContainerEngine} engine
 * @param {string} id
 */
async function benchExec({ socketPath, directory }, engine, id) {
  const runcRoot = join(directory, 'containerd', 'runc', 'k8s.io');
  const hasCrictl = spawnSync('crictl', ['--version']).status === 0;
  let made = 0;
  const crikit = () => engine.exec(id, { cmd: ['true'], check: true });
  const against = (/** @type {() => Promise<unknown>} */ other, rounds = 60) =>
    inTurn({ crikit, other }, { rounds, warmUps: 3 });
  // An agent's code is compiled after some hundred execs, that of the others always.
  for (let index = 0; index < 300; index += 1) await crikit();
  const calls = timeCalls(['Exec', 'Start']);
  const { crikit: ours = [], other: runc = [] } = await against(
    () => run('runc', ['--root', runcRoot, 'exec', id, 'true']),
    // Some of both wait 10 to 20 ms more: a process that joins a control group does so for the kernel's grace period,
    // unless another has joined one just before.
    500,
  );
  const [execs = [], starts = []] = calls.end();
  const bareCalls = execs.map((callMs, index) => callMs + (starts[index] ?? Number.NaN)).slice(-runc.length);
  const { crikit: oursBesideCtr = [], other: ctr = [] } = await against(() => {
    made += 1;
    const execId = `bench-${process.pid}-${made}`;
    return run('ctr', ['-a', socketPath, '-n', 'k8s.io', 'tasks', 'exec', '--exec-id', execId, id, 'true']);
  });
  const { crikit: oursBesideCrictl = [], other: crictl = [] } = hasCrictl
    ? await against(() => run('crictl', ['--runtime-endpoint', `unix://${socketPath}`, 'exec', '--sync', id, 'true']))
    : {};
  printResults('exec of `true` on containerd (ms)', [
    ['what', 'median', 'ours / theirs', 'wanted', 'met'],
    ['crikit', median(ours), '', '', ''],
    ['runc exec', median(runc), ...verdict(ratio(ours, runc), '<=', 1.15)],
    ['ctr tasks exec', median(ctr), ...verdict(ratio(oursBesideCtr, ctr), '<=', 0.65)],
    ...(hasCrictl ? [['crictl exec', median(crictl), ratio(oursBesideCrictl, crictl), '', '']] : []),
  ]);
  printResults('of it, the two calls to containerd that it cannot do without (ms)', [
    ['what', 'median', 'over runc exec'],
    ['its Exec and Start calls', median(bareCalls), ratio(bareCalls, runc)],
  ]);
}

/**
 * How long calls to containerd take from now on, in the order in which they end.
 * @param {readonly string[]} methods
 */
function timeCalls(methods) {
  const { prototype } = grpc.Client;
  const { makeUnaryRequest } = prototype;
  const times = methods.map(() => /** @type {number[]} */ ([]));
  prototype.makeUnaryRequest = /** @type {any} */ (
    /** @this {grpc.Client} @param {string} path @param {any[]} rest */
    function (path, ...rest) {
      const start = performance.now();
      const onReply = rest.pop();
      return Reflect.apply(makeUnaryRequest, this, [
        path,
        ...rest,
        (/** @type {unknown[]} */ ...reply) => {
          times[methods.indexOf(path.slice(path.lastIndexOf('/') + 1))]?.push(performance.now() - start);
          onReply(...reply);
        },
      ]);
    }
  );
  return {
    end() {
      prototype.makeUnaryRequest = makeUnaryRequest;
      return times;
    },
  };
}

/**
 * @param {import('@crikit/core').ContainerEngine} engine
 * @param {readonly string[]} ids
 */
async function benchManyExecs(engine, ids) {
  const exec = (/** @type {number} */ index) =>
    engine.exec(ids[index % ids.length] ?? '', { cmd: ['true'], check: true });
  const times = await inTurn(
    {
      atOnce: () => Promise.all(Array.from({ length: 32 }, (_, index) => exec(index))),
      oneByOne: async () => {
        for (let index = 0; index < 32; index += 1) await exec(index);
      },
    },
    { rounds: 5, warmUps: 1 },
  );
  const atOnce = times.atOnce ?? [];
  printResults(`32 execs of \`true\` across ${ids.length} pods (ms)`, [
    ['what', 'median', 'longest', 'ours / theirs', 'wanted', 'met'],
    ['at once', median(atOnce), Math.max(...atOnce), '', '', ''],
    [
      'one after the other',
      median(times.oneByOne ?? []),
      '',
      ...verdict(ratio(atOnce, times.oneByOne ?? []), '<=', 1.15),
    ],
  ]);
}

/**
 * @param {{ socketPath: string, directory: string, cgroup: string }} daemon
 * @param {import('@crikit/core').ContainerEngine} engine
 */
async function benchEvents(daemon, engine) {
  const store = createMetaStore({ engines: [engine], pods: labelPods() });
  await store.start();
  /** @type {Map<string, number>} */
  const published = new Map();
  const stop = new AbortController();
  const watching = engine.watch(
    {
      onSync() {},
      onEvent: ({ action, reference, timeMs }) => {
        if (action === 'started') published.set(reference.id, timeMs);
      },
      onLost() {},
    },
    { signal: stop.signal },
  );
  const delays = [];
  try {
    // A pod for each: the store looks less often at a pod that changes all the time.
    for (let index = 0; index < 30; index += 1) {
      const name = `events-${index}`;
      let shownAt = Number.NaN;
      let id = '';
      const off = store.onAnyPodChanged(() => {
        const now = performance.timeOrigin + performance.now();
        const running = store.getPod('default', name)?.all.find(({ k8sName, state }) => k8sName && state.pid > 0);
        if (running === undefined || id !== '') return;
        id = running.id;
        shownAt = now;
      });
      const pod = await createCriPod(daemon, { name, containers: [{ name: 'main' }] });
      while (!published.has(id)) await new Promise((resolve) => setTimeout(resolve, 5));
      off();
      delays.push(shownAt - (published.get(id) ?? Number.NaN));
      await pod.remove();
    }
  } finally {
    stop.abort();
    await watching;
    await store.close();
  }
  printResults('from containerd’s event to the store (ms)', [
    ['what', 'longest', 'median', 'wanted', 'met'],
    ['a container started', Math.max(...delays), ...verdict(median(delays), '<=', 50)],
  ]);
}

/** @param {{ socketPath: string }} daemon */
async function benchList({ socketPath }) {
  const client = new grpc.Client(`unix:${socketPath}`, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': 32 * 1024 * 1024,
  });
  const metadata = new grpc.Metadata();
  metadata.set('containerd-namespace', 'k8s.io');
  const bare = (/** @type {string} */ path) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        (/** @type {Buffer} */ bytes) => bytes,
        (bytes) => bytes,
        Buffer.alloc(0),
        metadata,
        {},
        (error, reply) => (error === null ? resolve(reply) : reject(error)),
      );
    });
  const bareLists = () =>
    Promise.all([
      bare('/containerd.services.containers.v1.Containers/List'),
      bare('/containerd.services.tasks.v1.Tasks/List'),
    ]);
  const known = await connectEngine(containerd({ address: socketPath }));
  let count = 0;
  const everyField = async (/** @type {import('@crikit/core').ContainerEngine} */ engine) => {
    const details = await engine.getContainerDetails('all');
    count = details.length;
    for (const outcome of details) {
      if ('error' in outcome) throw outcome.error;
      for (const value of Object.values(outcome.detail)) void value;
    }
  };
  const rounds = 25;
  const warmUps = 3;
  let next = 0;
  // A new engine each time has parsed nothing yet; connecting it is not measured.
  const fresh = [];
  for (let index = 0; index < rounds + warmUps; index += 1) {
    const engine = await connectEngine(containerd({ address: socketPath }));
    await engine.getContainerDetail('none').catch(() => {});
    fresh.push(engine);
  }
  try {
    const times = await inTurn(
      {
        first: () => everyField(fresh[next++] ?? known),
        again: () => everyField(known),
        bare: bareLists,
      },
      { rounds, warmUps },
    );
    const theirs = times.bare ?? [];
    printResults(`list and details of ${count} containers, every field (ms)`, [
      ['what', 'median', 'ours / bare', 'wanted', 'met'],
      ['two bare List calls, replies not decoded', median(theirs), '', '', ''],
      ['crikit, the first time', median(times.first ?? []), ...verdict(ratio(times.first ?? [], theirs), '<=', 1.8)],
      ['crikit, again', median(times.again ?? []), ...verdict(ratio(times.again ?? [], theirs), '<=', 1.8)],
    ]);
  } finally {
    client.close();
    for (const engine of [known, ...fresh]) await engine.close();
  }
}
