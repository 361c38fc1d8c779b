import type { ProbeAttempt } from './engine-contract.js';

/**
 * Looks whether something listens on a unix socket: the first two steps of an engine's probe. Never rejects.
 * `ok` means connected (and closed again); nothing was sent. `absent` means that there is no such file.
 */
export async function probeUnixSocket(
  path: string,
  options: { readonly origin: ProbeAttempt['origin']; readonly signal: AbortSignal },
): Promise<ProbeAttempt> {
  const about = { endpoint: path, origin: options.origin };
  // Not imported above: loading it costs every program some time.
  const { stat } = await import('node:fs/promises');
  try {
    const found = await stat(path);
    if (!found.isSocket()) {
      return {
        ...about,
        step: 'stat',
        outcome: 'failed',
        code: 'ENOTSOCK',
        message: `${path} is ${found.isDirectory() ? 'a directory' : 'not a socket'}.`,
        remedy: found.isDirectory()
          ? 'A container engine that mounts a missing socket makes a directory in its place: remove it, start the daemon, mount the directory that holds the socket.'
          : 'Give the path of the daemon’s socket.',
      };
    }
  } catch (error) {
    return failedAttempt(about, 'stat', error);
  }
  try {
    await connectOnce(path, options.signal);
    return { ...about, step: 'connect', outcome: 'ok', message: `${path} accepts connections.` };
  } catch (error) {
    return failedAttempt(about, 'connect', error);
  }
}

async function connectOnce(path: string, signal: AbortSignal): Promise<void> {
  const { createConnection } = await import('node:net');
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(timeOut());
      return;
    }
    const socket = createConnection(path);
    const onAbort = (): void => {
      socket.destroy();
      reject(timeOut());
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve();
    });
    socket.once('error', (error) => {
      signal.removeEventListener('abort', onAbort);
      reject(error);
    });
  });
}

function timeOut(): Error {
  return Object.assign(new Error('no answer in time'), { code: 'TIMEOUT' });
}

const remedies: Readonly<Record<string, string>> = {
  EACCES: 'Run the agent as root, or as a member of the group that owns the socket.',
  EPERM: 'Run the agent as root, or as a member of the group that owns the socket.',
  ECONNREFUSED:
    'The daemon is stopped, or the socket file belongs to a daemon that is gone: start it; in a container, mount the socket’s directory rather than the socket.',
  TIMEOUT: 'The daemon accepts no connections: look whether it hangs.',
};

function failedAttempt(
  about: Pick<ProbeAttempt, 'endpoint' | 'origin'>,
  step: ProbeAttempt['step'],
  error: unknown,
): ProbeAttempt {
  const code = (error as NodeJS.ErrnoException).code ?? 'UNKNOWN';
  if (step === 'stat' && (code === 'ENOENT' || code === 'ENOTDIR')) {
    return { ...about, step, outcome: 'absent', code: 'ENOENT', message: `${about.endpoint} does not exist.` };
  }
  const remedy = remedies[code];
  return {
    ...about,
    step,
    outcome: 'failed',
    code,
    message: `${about.endpoint}: ${(error as Error).message}.`,
    ...(remedy === undefined ? {} : { remedy }),
  };
}
