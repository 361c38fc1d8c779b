import { realpath } from 'node:fs/promises';
import { type EngineContext, type ProbeAttempt, type ProbeReport, probeUnixSocket, withDeadline } from '@crikit/core';
import { type ContainerdEndpoint, findContainerdEndpoints } from './containerd-endpoints.js';
import type { ContainerdOptions } from './containerd-options.js';
import { objectToVersion, readContainerdVersion } from './read-containerd-version.js';

/** One endpoint: how the attempt went, and the daemon's version when it went well. */
export interface ProbedEndpoint {
  readonly endpoint: ContainerdEndpoint;
  readonly attempt: ProbeAttempt;
  readonly version?: string;
}

// Shorter than core's deadline for the whole probe, so that a daemon that hangs is reported by name.
const endpointDeadlineMs = 1_500;

/** Looks for a containerd that this package can use. Never rejects; loads no gRPC. */
export async function probeContainerd(options: ContainerdOptions, context: EngineContext): Promise<ProbeReport> {
  const probed = await probeContainerdEndpoints(options, context);
  const attempts = probed.map(({ attempt }) => attempt);
  const available = probed.find(({ attempt }) => attempt.outcome === 'ok');
  if (available !== undefined) {
    const { version } = available;
    return { status: 'available', attempts, ...(version === undefined ? {} : { version }) };
  }
  // Somebody who names an endpoint wants it: that it is absent is a failure then, not "no containerd here".
  const failed = attempts.some(({ outcome, origin }) => outcome === 'failed' || origin !== 'well-known');
  return { status: failed ? 'failed' : 'not-applicable', attempts };
}

/** Every endpoint with its attempt, in order of preference. Never rejects. */
export async function probeContainerdEndpoints(
  options: ContainerdOptions,
  context: EngineContext,
): Promise<readonly ProbedEndpoint[]> {
  const endpoints = await withoutAliases(findContainerdEndpoints(options, context));
  return Promise.all(
    endpoints.map((endpoint) =>
      withDeadline(context.signal, endpointDeadlineMs, (signal) => probeEndpoint(endpoint, signal)),
    ),
  );
}

async function probeEndpoint(endpoint: ContainerdEndpoint, signal: AbortSignal): Promise<ProbedEndpoint> {
  const { path, origin } = endpoint;
  const attempt = await probeUnixSocket(path, { origin, signal });
  if (attempt.outcome !== 'ok') return { endpoint, attempt };
  const about = { endpoint: path, origin };
  try {
    const version = await readContainerdVersion(path, signal);
    const objection = objectToVersion(version);
    if (objection !== undefined) {
      const message = `${path}: ${objection.message}.`;
      const { remedy } = objection;
      return { endpoint, attempt: { ...about, step: 'version', outcome: 'failed', code: 'TOO_OLD', message, remedy } };
    }
    const message = `${path}: containerd ${version}.`;
    return { endpoint, version, attempt: { ...about, step: 'done', outcome: 'ok', message } };
  } catch (error) {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    const remedy = remedies[code];
    return {
      endpoint,
      attempt: {
        ...about,
        step: 'handshake',
        outcome: 'failed',
        code,
        message: `${path}: ${message}.`,
        ...(remedy === undefined ? {} : { remedy }),
      },
    };
  }
}

const remedies: Readonly<Record<string, string>> = {
  NOT_CONTAINERD: 'Give the socket of a containerd daemon.',
  TIMEOUT: 'It accepts connections and does not answer: look whether the daemon hangs.',
  ECONNRESET: 'It closed the connection without an answer: look into the daemon’s log.',
};

/** Distributions link one well-known path to another: the same socket is tried once, by its first name. */
async function withoutAliases(endpoints: readonly ContainerdEndpoint[]): Promise<ContainerdEndpoint[]> {
  const seen = new Set<string>();
  const kept: ContainerdEndpoint[] = [];
  for (const endpoint of endpoints) {
    const real = await realpath(endpoint.path).catch(() => endpoint.path);
    if (!seen.has(real)) kept.push(endpoint);
    seen.add(real);
  }
  return kept;
}
