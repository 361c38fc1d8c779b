import { realpath } from 'node:fs/promises';
import { type EngineContext, type ProbeAttempt, type ProbeReport, probeUnixSocket } from '@crikit/core';
import { type DockerEndpoint, findDockerEndpoints } from './docker-endpoints.js';
import type { DockerOptions } from './docker-options.js';
import { type DockerVersion, objectTo, readDockerVersion } from './read-docker-version.js';
import { withDeadline } from './settle-call.js';

/** One endpoint: how the attempt went, and what answered when it went well. */
export interface ProbedEndpoint {
  readonly endpoint: DockerEndpoint;
  readonly attempt: ProbeAttempt;
  readonly daemon?: DockerVersion;
}

// Shorter than core's deadline for the whole probe, so that a daemon that hangs is reported by name.
const endpointDeadlineMs = 1_500;

/** Looks for a Docker daemon that this package can use. Never rejects; loads no client library. */
export async function probeDocker(options: DockerOptions, context: EngineContext): Promise<ProbeReport> {
  const probed = await probeDockerEndpoints(options, context);
  const attempts = probed.map(({ attempt }) => attempt);
  const available = probed.find(({ attempt }) => attempt.outcome === 'ok');
  if (available !== undefined) {
    const version = available.daemon?.version;
    return { status: 'available', attempts, ...(version === undefined ? {} : { version }) };
  }
  // Somebody who names an endpoint wants it: that it is absent is a failure then, not "no Docker here".
  const failed = attempts.some(({ outcome, origin }) => outcome === 'failed' || origin !== 'well-known');
  return { status: failed ? 'failed' : 'not-applicable', attempts };
}

/** Every endpoint with its attempt, in order of preference. Never rejects. */
export async function probeDockerEndpoints(
  options: DockerOptions,
  context: EngineContext,
): Promise<readonly ProbedEndpoint[]> {
  const endpoints = await withoutAliases(findDockerEndpoints(options, context));
  return Promise.all(
    endpoints.map((endpoint) =>
      withDeadline(context.signal, endpointDeadlineMs, (signal) => probeEndpoint(endpoint, signal)),
    ),
  );
}

async function probeEndpoint(endpoint: DockerEndpoint, signal: AbortSignal): Promise<ProbedEndpoint> {
  const about = { endpoint: endpoint.name, origin: endpoint.origin };
  const failed = (
    step: ProbeAttempt['step'],
    code: string,
    why: string,
    remedy: string | undefined,
  ): ProbedEndpoint => ({
    endpoint,
    attempt: {
      ...about,
      step,
      outcome: 'failed',
      code,
      message: `${endpoint.name}: ${why}.`,
      ...(remedy === undefined ? {} : { remedy }),
    },
  });
  if (endpoint.kind === 'unsupported') {
    return {
      endpoint,
      attempt: {
        ...about,
        step: 'stat',
        outcome: 'failed',
        code: 'UNSUPPORTED',
        message: endpoint.reason,
        remedy: endpoint.remedy,
      },
    };
  }
  if (endpoint.kind === 'unix') {
    const attempt = await probeUnixSocket(endpoint.path, { origin: endpoint.origin, signal });
    if (attempt.outcome !== 'ok') return { endpoint, attempt };
  }
  try {
    const daemon = await readDockerVersion(endpoint, signal);
    const objection = objectTo(daemon);
    if (objection !== undefined) return failed('version', objection.code, objection.message, objection.remedy);
    const message = `${endpoint.name}: Docker ${daemon.version}, API ${daemon.apiVersion}.`;
    return { endpoint, daemon, attempt: { ...about, step: 'done', outcome: 'ok', message } };
  } catch (error) {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    const step = endpoint.kind === 'tcp' && connectCodes.has(code) ? 'connect' : 'handshake';
    return failed(step, code, message, remedies[code]);
  }
}

const connectCodes: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
]);

const remedies: Readonly<Record<string, string>> = {
  NOT_DOCKER: 'Give the endpoint of a Docker daemon.',
  TIMEOUT: 'It accepts connections and does not answer: look whether the daemon hangs.',
  ECONNREFUSED: 'Nothing listens there: look whether the daemon runs.',
  ECONNRESET: 'It closed the connection without an answer: look into the daemon’s log.',
};

/** `/var/run` is a link to `/run` nearly everywhere: the same socket is tried once, by its first name. */
async function withoutAliases(endpoints: readonly DockerEndpoint[]): Promise<DockerEndpoint[]> {
  const seen = new Set<string>();
  const kept: DockerEndpoint[] = [];
  for (const endpoint of endpoints) {
    const real = endpoint.kind === 'unix' ? await realpath(endpoint.path).catch(() => endpoint.path) : endpoint.name;
    if (!seen.has(real)) kept.push(endpoint);
    seen.add(real);
  }
  return kept;
}
