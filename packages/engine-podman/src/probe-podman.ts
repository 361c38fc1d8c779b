import {
  type EngineContext,
  isCrikitError,
  type ProbeAttempt,
  type ProbeReport,
  probeUnixSocket,
  withDeadline,
} from '@crikit/core';
import { createPodmanApi } from './podman-api.js';
import { findPodmanEndpoints, type PodmanEndpoint } from './podman-endpoints.js';
import type { PodmanOptions } from './podman-options.js';

// Shorter than core's deadline for the whole probe, so that a service that hangs is reported by name.
const endpointDeadlineMs = 1_500;
/** libpod's API as this package uses it began with this release. */
const oldestMajor = 4;

export interface ProbedPodman {
  readonly socketPath: string | undefined;
  readonly version?: string;
  readonly attempt: ProbeAttempt;
}

/** Looks for a Podman service that this package can use. Never rejects. */
export async function probePodman(options: PodmanOptions, context: EngineContext): Promise<ProbeReport> {
  const probed = await probePodmanEndpoints(options, context);
  const attempts = probed.map(({ attempt }) => attempt);
  const found = probed.find(({ version }) => version !== undefined);
  if (found?.version !== undefined) return { status: 'available', version: found.version, attempts };
  const failed = attempts.some(({ outcome, origin }) => outcome === 'failed' || origin !== 'well-known');
  return { status: failed ? 'failed' : 'not-applicable', attempts };
}

/** Every endpoint with its attempt, in order of preference. Never rejects. */
export function probePodmanEndpoints(options: PodmanOptions, context: EngineContext): Promise<ProbedPodman[]> {
  return withDeadline(context.signal, endpointDeadlineMs, (signal) =>
    Promise.all(findPodmanEndpoints(options, context).map((endpoint) => probeEndpoint(endpoint, signal))),
  );
}

async function probeEndpoint(endpoint: PodmanEndpoint, signal: AbortSignal): Promise<ProbedPodman> {
  const { name, origin, socketPath } = endpoint;
  const failed = (step: ProbeAttempt['step'], code: string, why: string, remedy?: string): ProbedPodman => ({
    socketPath,
    attempt: {
      endpoint: name,
      origin,
      step,
      outcome: 'failed',
      code,
      message: `${name}: ${why}.`,
      ...(remedy === undefined ? {} : { remedy }),
    },
  });
  if (socketPath === undefined) {
    return failed('stat', 'UNSUPPORTED', 'only unix sockets are supported', 'Give unix:///path of a socket.');
  }
  const connected = await probeUnixSocket(socketPath, { origin, signal });
  if (connected.outcome !== 'ok') return { socketPath, attempt: connected };
  try {
    const api = createPodmanApi(socketPath, `podman:${socketPath}`);
    // Asking for the version proper makes Podman ask the machine's package manager, which takes seconds when it is busy.
    const reply = await api.open({ path: '/_ping', signal, what: 'ask for the version' });
    reply.resume();
    const version = reply.headers['libpod-api-version'];
    if (typeof version !== 'string') {
      return failed('handshake', 'NOT_PODMAN', 'it does not say that it is Podman', 'Give the socket of Podman.');
    }
    if (Number.parseInt(version, 10) < oldestMajor) {
      return failed('version', 'TOO_OLD', `Podman ${version} is too old`, 'Update Podman to 4.0 or newer.');
    }
    const message = `${name}: Podman ${version}.`;
    return { socketPath, version, attempt: { endpoint: name, origin, step: 'done', outcome: 'ok', message } };
  } catch (error) {
    if (signal.aborted) return failed('handshake', 'TIMEOUT', 'no answer in time', 'Look whether the service hangs.');
    const { code } = ((error as Error).cause ?? {}) as { code?: string };
    const notHttp = isCrikitError(error) && (error.code === 'PROTOCOL' || error.code === 'NOT_FOUND');
    return failed('handshake', notHttp ? 'NOT_PODMAN' : (code ?? 'UNKNOWN'), (error as Error).message);
  }
}
