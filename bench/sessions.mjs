// @ts-check
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connectEngine } from '@crikit/core';
import { containerd } from '@crikit/engine-containerd';
import { docker } from '@crikit/engine-docker';
import { createCriPod } from '../tools/lab/cri-pods.mjs';
import {
  createContainerdDaemon,
  down,
  removeContainer,
  removeContainerdContainer,
  runContainer,
  runContainerdContainer,
  up,
} from '../tools/lab/lab.mjs';
import { inTurn, median, printResults, ratio, verdict } from './measure.mjs';

const mebibytes = 1024;
/** An exec goes on working after its end, when the runtime tidies up: one command right after it would pay for that. */
const perRound = 50;
/** Says so many bytes to whoever connects. */
const speaker = ['nc', '-ll', '-p', '9000', '-e', 'head', '-c', String(mebibytes * 1024 * 1024), '/dev/zero'];

/**
 * Starts a containerd of its own.
 * @param {{ socketPath: string }} lab
 */
export default async function benchSessions({ socketPath }) {
  const { id } = await runContainer(socketPath, { name: `bench-sessions-${process.pid}`, cmd: speaker });
  const engine = await connectEngine(docker({ socketPath }));
  try {
    await compareSession('Docker', engine, id);
    await compareDial('Docker', engine, id);
    await compareForward('Docker', engine, id);
  } finally {
    await engine.close();
    await removeContainer(socketPath, id);
  }
  const { containerd: daemon } = (await up({ engines: ['containerd'] })).engines;
  if (daemon === undefined) throw new Error('the lab started no containerd');
  const native = await connectEngine(containerd({ address: daemon.socketPath, namespaces: ['k8s.io', 'default'] }));
  try {
    const pod = await createCriPod(daemon, { name: 'bench-sessions', containers: [{ name: 'main' }] });
    const target = { scope: 'k8s.io', id: pod.containers.main ?? '' };
    await compareSession('containerd', native, target);
    // Pods of the lab share the node's network; this container has one of its own.
    const own = { id: `bench-sockets-${process.pid}`, namespace: 'default' };
    const client = createContainerdDaemon({ directory: daemon.directory });
    await runContainerdContainer(client, { ...own, cmd: speaker });
    const socketTarget = { scope: own.namespace, id: own.id };
    await compareDial('containerd', native, socketTarget);
    await compareForward('containerd', native, socketTarget);
    await removeContainerdContainer(client, own);
  } finally {
    await native.close();
    await down({ engines: ['containerd'] });
  }
}

/**
 * @param {string} name
 * @param {import('@crikit/core').ContainerEngine} engine
 * @param {import('@crikit/core').ContainerTarget} target
 */
async function compareSession(name, engine, target) {
  const session = await engine.openSession(target);
  /** @param {readonly string[]} cmd */
  const several = async (cmd) => {
    for (let index = 0; index < perRound; index += 1) await session.exec({ cmd, check: true });
  };
  const times = await inTurn(
    {
      exec: () => engine.exec(target, { cmd: ['/bin/true'], check: true }),
      session: () => several(['/bin/true']),
      cat: () => several(['cat', '/etc/passwd']),
    },
    { rounds: 30, warmUps: 3 },
  );
  await session.close();
  const exec = times.exec ?? [];
  for (const name of ['session', 'cat']) times[name] = (times[name] ?? []).map((ms) => ms / perRound);
  printResults(`a command in a session on ${name} (ms)`, [
    ['what', 'median', 'exec / session', 'wanted', 'met'],
    ['exec of /bin/true', median(exec), '', '', ''],
    ['session, /bin/true', median(times.session ?? []), ...verdict(ratio(exec, times.session ?? []), '>=', 25)],
    ['session, cat of a small file', median(times.cat ?? []), ratio(exec, times.cat ?? []), '', ''],
  ]);
}

/**
 * @param {string} name
 * @param {import('@crikit/core').ContainerEngine} engine
 * @param {import('@crikit/core').ContainerTarget} target
 */
async function compareDial(name, engine, target) {
  const start = performance.now();
  (await engine.dial(target, { port: 9000 })).destroy();
  const first = performance.now() - start;
  const times = await inTurn(
    { dial: async () => void (await engine.dial(target, { port: 9000 })).destroy() },
    { rounds: 100 },
  );
  printResults(`a connection into a pod's network on ${name} (ms)`, [
    ['what', 'median', 'wanted', 'met'],
    ['the first, with its process', first, '', ''],
    ['each after it', ...verdict(median(times.dial ?? []), '<=', 5)],
  ]);
}

/**
 * @param {string} name
 * @param {import('@crikit/core').ContainerEngine} engine
 * @param {import('@crikit/core').ContainerTarget} target
 */
async function compareForward(name, engine, target) {
  const forward = await engine.portForward(target, 9000);
  const local = spawn('busybox', ['nc', '-ll', '-p', '39000', '-e', ...speaker.slice(5)], { stdio: 'ignore' });
  try {
    await download(39_000, 20);
    const times = await inTurn(
      { direct: () => download(39_000), forwarded: () => download(forward.port) },
      { rounds: 5, warmUps: 1 },
    );
    const { direct = [], forwarded = [] } = times;
    const rate = (/** @type {number[]} */ ms) => mebibytes / (median(ms) / 1000);
    printResults(`1 GiB through a forwarded port on ${name} (MiB/s)`, [
      ['what', 'rate', 'forwarded / direct', 'wanted', 'met'],
      ['direct, on this loopback', rate(direct), '', '', ''],
      ['forwarded', rate(forwarded), ...verdict(ratio(direct, forwarded), '>=', 0.5)],
    ]);
  } finally {
    local.kill();
    await forward.close();
  }
}

/**
 * @param {number} port
 * @param {number} attempts
 */
async function download(port, attempts = 1) {
  for (let attempt = 1; ; attempt += 1) {
    const reader = spawn('sh', ['-c', 'busybox nc 127.0.0.1 "$1" </dev/null | wc -c', 'sh', String(port)]);
    let said = '';
    reader.stdout.on('data', (chunk) => {
      said += String(chunk);
    });
    await once(reader, 'close');
    if (Number(said) === mebibytes * 1024 * 1024) return;
    if (attempt >= attempts) throw new Error(`${said.trim()} bytes came from port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
