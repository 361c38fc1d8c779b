/** Connections into the network that a container shares with its pod. */
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, readlinkSync } from 'node:fs';
import { connect, createServer, isIP, type Socket } from 'node:net';
import { type AnchoredBase, systemError, type Walked, walk } from './anchored-walk.js';
import type { ContainerReference } from './container.js';
import type { CallOptions, ContainerEngine } from './container-engine.js';
import { ClosedError } from './errors/closed-error.js';
import { ContainerNotRunningError } from './errors/container-not-running-error.js';
import { isCrikitError } from './errors/crikit-error.js';
import { EngineTimeoutError } from './errors/engine-timeout-error.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { OperationAbortedError } from './errors/operation-aborted-error.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { hostPath } from './host-path.js';
import { mapContainerFileError } from './map-container-file-error.js';
import { createMountGuard } from './mount-guard.js';
import { type NetworkDialler, startNetworkDialler } from './pod-network-dialler.js';
import { randomHex } from './random-hex.js';
import { cgroupNamesContainer } from './read-cgroup.js';
import { createSemaphore } from './semaphore.js';
import { shortContainerId } from './short-container-id.js';

export type DialTarget =
  | {
      /** An IP address, or `localhost`, as the container sees it. Names are not resolved. Default: `127.0.0.1`. */
      readonly host?: string;
      readonly port: number;
    }
  | {
      /** Of a unix socket, absolute in the container; links are followed inside of it. */
      readonly path: string;
    };

export interface DialOptions extends CallOptions {
  /**
   * Where the pod's network cannot be entered from here, connect by a command in the container (`socat`, `nc` or bash).
   * Such a connection is slower, and a refused one is told only by its early end. Default: true.
   */
  readonly viaExec?: boolean;
}

export interface PodNetwork {
  dial(reference: ContainerReference, target: DialTarget, options?: DialOptions): Promise<Socket>;
  close(): void;
}

// Not among Node's constants.
const O_PATH = 0o10000000;

const dialDeadlineMs = 10_000;
/** Each start of a process keeps a processor busy for a tenth of a second and more. */
const startsAtOnce = 4;
const idleMs = 60_000;
const sweepMs = 5_000;

interface KnownContainer {
  /** Stands for the container's first process: what is looked up in it fails when that has ended. */
  readonly anchor: number;
  lastUsed: number;
}

interface Network {
  readonly dialler: Promise<NetworkDialler>;
  readonly users: Set<string>;
}

export interface PodNetworkOptions {
  readonly engine: Pick<ContainerEngine, 'id' | 'getContainerDetail' | 'execAsync'>;
  readonly hostRoot: string;
  readonly locality: 'this-kernel' | 'elsewhere';
}

/** One dialler a network namespace, shared by the containers of a pod; it ends when the pod does, or is idle. */
export function createPodNetwork({ engine, hostRoot, locality }: PodNetworkOptions): PodNetwork {
  const known = new Map<string, KnownContainer>();
  const networks = new Map<string, Network>();
  const limitStarts = createSemaphore(startsAtOnce);
  let sweeper: NodeJS.Timeout | undefined;
  let closed = false;

  const forget = (key: string): void => {
    const container = known.get(key);
    if (container === undefined) return;
    known.delete(key);
    closeSync(container.anchor);
    for (const [name, { dialler, users }] of networks) {
      if (!users.delete(key) || users.size > 0) continue;
      networks.delete(name);
      dialler.then(
        (started) => started.close(),
        () => {},
      );
    }
    if (known.size === 0) {
      clearInterval(sweeper);
      sweeper = undefined;
    }
  };
  const sweep = (): void => {
    const now = Date.now();
    for (const [key, { anchor, lastUsed }] of [...known]) {
      if (now - lastUsed > idleMs || namespaceName(anchor) === undefined) forget(key);
    }
  };

  /** The anchor of a container that lives, with the name of its network namespace. */
  const anchorOf = async (
    reference: ContainerReference,
    signal: AbortSignal,
  ): Promise<{ readonly key: string; readonly anchor: number; readonly name: string }> => {
    const key = JSON.stringify([reference.scope, reference.id]);
    const before = known.get(key);
    if (before !== undefined) {
      const name = namespaceName(before.anchor);
      if (name !== undefined) {
        before.lastUsed = Date.now();
        return { key, anchor: before.anchor, name };
      }
      forget(key);
    }
    const { pid, status } = await engine.getContainerDetail(reference, { signal });
    if (pid === undefined || pid <= 0) {
      throw new ContainerNotRunningError(`Container ${reference.id} has no process (it is ${status}).`, {
        engine: engine.id,
        applied: 'no',
      });
    }
    const anchor = openAnchor(pid, reference.id);
    const name = namespaceName(anchor);
    const meanwhile = known.get(key);
    if (meanwhile !== undefined || name === undefined) {
      closeSync(anchor);
      if (meanwhile !== undefined) return anchorOf(reference, signal);
      throw notRunning(reference.id);
    }
    known.set(key, { anchor, lastUsed: Date.now() });
    sweeper ??= setInterval(sweep, sweepMs).unref();
    return { key, anchor, name };
  };

  const openAnchor = (pid: number, id: string): number => {
    let anchor: number;
    try {
      anchor = openSync(hostPath(hostRoot, `/proc/${pid}`), constants.O_RDONLY | constants.O_DIRECTORY);
    } catch (error) {
      throw new UnsupportedError(`Process ${pid} of container ${shortContainerId(id)} is not to be seen here.`, {
        engine: engine.id,
        applied: 'no',
        cause: error,
        remedy: 'Run on the node, with its root mounted where hostRoot says.',
      });
    }
    try {
      // The pid may be another machine's, or used again.
      if (cgroupNamesContainer(readFileSync(`/proc/self/fd/${anchor}/cgroup`, 'latin1'), id)) return anchor;
    } catch {}
    closeSync(anchor);
    throw notRunning(id);
  };

  const notRunning = (id: string): ContainerNotRunningError =>
    new ContainerNotRunningError(`The first process of container ${shortContainerId(id)} has ended.`, {
      engine: engine.id,
      applied: 'no',
      retryable: true,
    });

  const diallerOf = async (anchor: number, key: string, name: string): Promise<NetworkDialler> => {
    const running = networks.get(name);
    if (running !== undefined) {
      running.users.add(key);
      const dialler = await running.dialler;
      if (dialler.usable) return dialler;
      if (networks.get(name) === running) networks.delete(name);
      return diallerOf(anchor, key, name);
    }
    const namespace = openNamespace(anchor);
    // The name was read before the descriptor was opened: both must be of the same namespace.
    const opened = readlinkSync(`/proc/self/fd/${namespace}`);
    if (opened !== name) {
      closeSync(namespace);
      throw new ContainerNotRunningError('The container changed its network while it was entered.', {
        engine: engine.id,
        applied: 'no',
        retryable: true,
      });
    }
    const dialler = limitStarts(async () => {
      if (closed) throw new ClosedError('The engine was closed.', { engine: engine.id, applied: 'no' });
      return startNetworkDialler(namespace);
    }).finally(() => closeSync(namespace));
    const network: Network = { dialler, users: new Set([key]) };
    networks.set(name, network);
    dialler.catch(() => {
      if (networks.get(name) === network) networks.delete(name);
    });
    return dialler;
  };

  const openNamespace = (anchor: number): number => {
    try {
      return openSync(`/proc/self/fd/${anchor}/ns/net`, 'r');
    } catch (error) {
      throw new PermissionDeniedError('This process may not open the network namespace of the container.', {
        engine: engine.id,
        applied: 'no',
        cause: error,
        remedy: 'Run it as root with the capabilities SYS_PTRACE and SYS_ADMIN.',
      });
    }
  };

  const dialDirectly = async (
    reference: ContainerReference,
    host: string,
    port: number,
    signal: AbortSignal,
    onEntered: () => void,
  ): Promise<Socket> => {
    if (locality === 'elsewhere') {
      throw new UnsupportedError('The engine runs on another kernel: its networks cannot be entered from here.', {
        engine: engine.id,
        applied: 'no',
      });
    }
    const { key, anchor, name } = await anchorOf(reference, signal);
    const here = name === readlinkSync('/proc/self/ns/net');
    const dialler = here ? undefined : await unlessAborted(diallerOf(anchor, key, name), signal);
    onEntered();
    return dialler === undefined ? connectHere({ host, port }, signal) : dialler.dial(host, port, signal);
  };

  /** By the walk that no link of the container leads out of, to the very socket that it found. */
  const dialPath = async (
    reference: ContainerReference,
    path: string,
    signal: AbortSignal,
    onEntered: () => void,
  ): Promise<Socket> => {
    if (locality === 'elsewhere') {
      throw new UnsupportedError('The engine runs on another kernel: its files cannot be reached from here.', {
        engine: engine.id,
        applied: 'no',
      });
    }
    const { anchor } = await anchorOf(reference, signal);
    const place = `container ${shortContainerId(reference.id)}`;
    let root: number | undefined;
    let walked: Walked | undefined;
    try {
      root = openSync(`/proc/self/fd/${anchor}/root`, O_PATH | constants.O_DIRECTORY);
      const guard = createMountGuard(`/proc/self/fd/${anchor}/mountinfo`);
      const base: AnchoredBase = { fd: root, guard, place: guard.placeOf(root, undefined, '/'), mounts: new Map() };
      walked = walk(base, Buffer.from(path), { followLast: true });
      if (walked.entry === undefined) throw systemError('ENOENT', 'no such file or directory');
      if (!walked.entry.stats.isSocket()) throw new InvalidArgumentError(`'${path}' in ${place} is no socket.`);
    } catch (error) {
      walked?.close();
      if (root !== undefined) closeSync(root);
      throw mapContainerFileError(error, path, place);
    }
    onEntered();
    try {
      return await connectHere({ path: `/proc/self/fd/${walked.entry.fd}` }, signal);
    } finally {
      walked.close();
      closeSync(root);
    }
  };

  return {
    async dial(reference, target, options = {}) {
      const address = checkTarget(target);
      const inWords = 'path' in address ? address.path : `${address.host}:${address.port}`;
      const { signal: caller, timeoutMs, viaExec = true } = options;
      const limit = new AbortController();
      const giveUpAfter = (ms: number): NodeJS.Timeout =>
        setTimeout(() => {
          const message = `Connecting to ${inWords} in container ${shortContainerId(reference.id)} took more than ${ms} ms.`;
          limit.abort(new EngineTimeoutError(message, { engine: engine.id, retryable: true }));
        }, ms);
      let timer = timeoutMs === undefined ? undefined : giveUpAfter(timeoutMs);
      // What comes before has limits of its own, and may wait for others' turns.
      const onEntered = (): void => {
        timer ??= giveUpAfter(dialDeadlineMs);
      };
      const onAbort = (): void => {
        limit.abort(new OperationAbortedError('Connecting was aborted.', { engine: engine.id, cause: caller?.reason }));
      };
      if (caller?.aborted === true) onAbort();
      caller?.addEventListener('abort', onAbort, { once: true });
      try {
        limit.signal.throwIfAborted();
        try {
          if ('path' in address) return await dialPath(reference, address.path, limit.signal, onEntered);
          return await dialDirectly(reference, address.host, address.port, limit.signal, onEntered);
        } catch (error) {
          limit.signal.throwIfAborted();
          if ('path' in address) throw error;
          const elsewise = isCrikitError(error) && (error.code === 'UNSUPPORTED' || error.code === 'PERMISSION');
          if (!elsewise || !viaExec) throw error;
          return await dialByExec(engine, reference, address.host, address.port, error);
        }
      } finally {
        clearTimeout(timer);
        caller?.removeEventListener('abort', onAbort);
      }
    },
    close() {
      closed = true;
      for (const key of [...known.keys()]) forget(key);
    },
  };
}

function checkTarget(target: DialTarget): { readonly host: string; readonly port: number } | { readonly path: string } {
  if ('path' in target) {
    if (!target.path.startsWith('/')) throw new InvalidArgumentError(`'${target.path}' is no absolute path.`);
    return target;
  }
  const { host: asked = '127.0.0.1', port } = target;
  const host = asked === 'localhost' ? '127.0.0.1' : asked;
  if (isIP(host) === 0) throw new InvalidArgumentError(`'${asked}' is no IP address.`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new InvalidArgumentError(`${port} is no port.`);
  return { host, port };
}

/** `net:[4026531840]`; undefined when the process has ended. */
function namespaceName(anchor: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${anchor}/ns/net`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EINVAL') return undefined;
    throw new PermissionDeniedError(`This process may not look at the network of the container (${code}).`, {
      applied: 'no',
      cause: error,
      remedy: 'Run it as root with the capability SYS_PTRACE.',
    });
  }
}

async function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function connectHere(target: { host: string; port: number } | { path: string }, signal: AbortSignal) {
  signal.throwIfAborted();
  const socket = connect({ ...target, allowHalfOpen: true });
  const onAbort = (): void => {
    socket.destroy(signal.reason as Error);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await once(socket, 'connect');
    return socket;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

// Positional arguments only: nothing that a caller gave is read as shell.
const bridgeScript = [
  'if command -v socat >/dev/null 2>&1; then case $1 in *:*) exec socat - "TCP6:[$1]:$2" ;; *) exec socat - "TCP4:$1:$2" ;; esac; fi',
  'if command -v nc >/dev/null 2>&1; then exec nc "$1" "$2"; fi',
  `if command -v bash >/dev/null 2>&1; then exec bash -c 'exec 3<>"/dev/tcp/$1/$2" && { cat <&3 & cat >&3; wait; }' bash "$1" "$2"; fi`,
  'exit 127',
].join('\n');

async function dialByExec(
  engine: PodNetworkOptions['engine'],
  reference: ContainerReference,
  host: string,
  port: number,
  why: unknown,
): Promise<Socket> {
  const probe = 'command -v socat || command -v nc || command -v bash';
  const looked = await engine.execAsync(reference, { cmd: ['sh', '-c', probe] });
  looked.stdout.resume();
  looked.stderr.resume();
  const outcome = await looked.result;
  if ('error' in outcome || outcome.exitCode !== 0) {
    throw new UnsupportedError(`There is no way into the network of container ${shortContainerId(reference.id)}.`, {
      engine: engine.id,
      applied: 'no',
      cause: 'error' in outcome ? outcome.error : why,
      remedy: 'Run on the node as root with util-linux, or have `socat`, `nc` or bash in the container.',
    });
  }
  const running = await engine.execAsync(reference, {
    cmd: ['sh', '-c', bridgeScript, 'sh', host, String(port)],
    input: 'pipe',
  });
  const [inner, outer] = await socketPair();
  running.stderr.resume();
  running.stdout.pipe(inner);
  if (running.stdin !== undefined) inner.pipe(running.stdin);
  running.stdin?.on('error', () => {});
  const end = (): void => {
    inner.destroy();
    void running.kill();
  };
  inner.on('error', end);
  inner.on('close', () => void running.kill());
  running.stdout.on('error', end);
  return outer;
}

/** Two ends of one connection, so that whoever dials gets a real socket. */
async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: false });
  // Abstract and unpredictable: no file is left, and nobody else knows where to connect.
  const path = `\0crikit-${randomHex(16)}`;
  server.listen(path);
  await once(server, 'listening');
  const outer = connect({ path, allowHalfOpen: true });
  const [[inner]] = (await Promise.all([once(server, 'connection'), once(outer, 'connect')])) as [[Socket], unknown];
  server.close();
  return [inner, outer];
}
