/**
 * A process of our own Node in a network namespace, which connects there and hands the connected socket back. Only the
 * network namespace is entered: the process sees this one's files and runs nothing of the container.
 */
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { EngineTimeoutError } from './errors/engine-timeout-error.js';
import { PermissionDeniedError } from './errors/permission-denied-error.js';
import { ProtocolError } from './errors/protocol-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';

export interface NetworkDialler {
  readonly usable: boolean;
  /** Rejects with the system's error, as node:net has it, when the connection fails. */
  dial(host: string, port: number, signal: AbortSignal): Promise<Socket>;
  /** Connections that were handed out stay. */
  close(): void;
}

const startDeadlineMs = 10_000;

// A paused socket is not read: what a server says at once must reach whoever gets the socket.
const childProgram = `
const net = require('node:net');
const connecting = new Map();
process.on('disconnect', () => process.exit());
process.on('message', ({ id, host, port, abort }) => {
  if (abort) {
    connecting.get(id)?.destroy();
    connecting.delete(id);
    return;
  }
  const socket = new net.Socket({ allowHalfOpen: true });
  connecting.set(id, socket);
  socket.pause();
  socket.on('error', ({ code, errno, syscall, address, message }) => {
    if (connecting.delete(id)) process.send({ id, error: { code, errno, syscall, address, port, message } });
  });
  socket.connect({ host, port }, () => {
    if (connecting.delete(id)) process.send({ id }, socket);
    else socket.destroy();
  });
});
process.send({ ready: true });
`;

interface ChildMessage {
  readonly ready?: true;
  readonly id?: number;
  readonly error?: NodeJS.ErrnoException;
}

interface Pending {
  readonly resolve: (socket: Socket) => void;
  readonly reject: (error: Error) => void;
}

/** `namespaceFd` is an open `/proc/<pid>/ns/net`; it is not needed any more when this resolves. */
export async function startNetworkDialler(namespaceFd: number): Promise<NetworkDialler> {
  // Not imported above: the file that this is built into is loaded by who never dials, too.
  const { spawn } = await import('node:child_process');
  const enter = ['--net=/proc/self/fd/4', '--', process.execPath, '--no-warnings', '-e', childProgram];
  const child = spawn('nsenter', enter, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc', namespaceFd],
    env: { PATH: process.env.PATH },
    cwd: '/',
  });
  const pending = new Map<number, Pending>();
  let usable = true;
  let nextId = 0;
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(0, 2_000);
  });

  let markReady: (() => void) | undefined;
  const ended = new Promise<Error>((resolve) => {
    child.once('error', (error) => resolve(startError(error, said)));
    child.once('close', () => resolve(startError(undefined, said)));
  });
  void ended.then((error) => {
    usable = false;
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
  });
  const ready = new Promise<void>((resolve) => {
    markReady = resolve;
  });
  child.on('message', (message: ChildMessage, handle?: unknown) => {
    if (message.ready === true) {
      markReady?.();
      return;
    }
    const socket = handle as Socket | undefined;
    const waiting = pending.get(message.id ?? -1);
    pending.delete(message.id ?? -1);
    holdOpen(child, pending.size > 0);
    if (waiting === undefined) socket?.destroy();
    else if (message.error !== undefined) waiting.reject(connectError(message.error));
    else if (socket === undefined) waiting.reject(new ProtocolError('The connection was lost on its way.'));
    else waiting.resolve(socket);
  });

  const close = (): void => {
    usable = false;
    if (child.connected) child.disconnect();
    child.kill('SIGKILL');
  };

  let timer: NodeJS.Timeout | undefined;
  try {
    await Promise.race([
      ready,
      ended.then((error) => Promise.reject(error)),
      new Promise((_, reject) => {
        timer = setTimeout(() => {
          reject(new EngineTimeoutError(`Entering the pod's network took more than ${startDeadlineMs} ms.`));
        }, startDeadlineMs);
      }),
    ]);
  } catch (error) {
    close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  child.unref();
  (child.stderr as unknown as Socket | null)?.unref();
  holdOpen(child, false);

  return {
    get usable() {
      return usable;
    },
    dial(host, port, signal) {
      const id = nextId;
      nextId += 1;
      return new Promise((resolve, reject) => {
        const onAbort = (): void => {
          if (!pending.delete(id)) return;
          if (child.connected) child.send({ id, abort: true });
          holdOpen(child, pending.size > 0);
          reject(signal.reason as Error);
        };
        const settled = (): void => signal.removeEventListener('abort', onAbort);
        pending.set(id, {
          resolve: (socket) => {
            settled();
            resolve(socket);
          },
          reject: (error) => {
            settled();
            reject(error);
          },
        });
        signal.addEventListener('abort', onAbort, { once: true });
        holdOpen(child, true);
        child.send({ id, host, port }, (error) => {
          if (error === null) return;
          pending.get(id)?.reject(error);
          pending.delete(id);
        });
      });
    },
    close,
  };
}

/** Waiting connections keep this process alive; a dialler that nobody waits for does not. */
function holdOpen(child: ChildProcess, hold: boolean): void {
  if (hold) child.channel?.ref();
  else child.channel?.unref();
}

function connectError(told: NodeJS.ErrnoException): Error {
  const { message, ...fields } = told;
  return Object.assign(new Error(message), fields);
}

function startError(error: NodeJS.ErrnoException | undefined, said: string): Error {
  if (error?.code === 'ENOENT') {
    return new UnsupportedError('`nsenter` is not there to enter a network namespace.', {
      applied: 'no',
      cause: error,
      remedy: 'Install util-linux beside this program.',
    });
  }
  if (/not permitted|permission denied/i.test(said)) {
    return new PermissionDeniedError(`This process may not enter the network namespace: ${said.trim()}.`, {
      applied: 'no',
      remedy: 'Run it as root with the capability SYS_ADMIN.',
    });
  }
  return new ProtocolError(`The process in the pod's network has ended: ${said.trim() || 'without a word'}.`, {
    cause: error,
    retryable: true,
  });
}
