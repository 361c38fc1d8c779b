import { realpath } from 'node:fs/promises';
import {
  EngineUnavailableError,
  type ProbeAttempt,
  type ProbeReport,
  probeUnixSocket,
  withDeadline,
} from '@crikit/core';
import type { DaemonEndpoint } from './daemon-endpoint.js';
import type { DaemonVersion } from './read-daemon-version.js';

/** Why a daemon that answers cannot be used. */
export interface DaemonObjection {
  readonly code: 'NOT_DOCKER' | 'NOT_POUCH' | 'TOO_OLD' | 'TOO_NEW';
  readonly message: string;
  readonly remedy: string;
}

/** Which daemons a probe is for. */
export interface DaemonKind {
  readonly product: string;
  /** The code of an attempt that met something else. */
  readonly foreignCode: 'NOT_DOCKER' | 'NOT_POUCH';
  /** Asks a daemon what it is; rejects as `readDaemonVersion` does. */
  ask(endpoint: DaemonEndpoint, signal: AbortSignal): Promise<DaemonVersion>;
  /** Undefined when it can be used. */
  objectTo(daemon: DaemonVersion): DaemonObjection | undefined;
}

/** One endpoint: how the attempt went, and what answered when it went well. */
export interface ProbedEndpoint {
  readonly endpoint: DaemonEndpoint;
  readonly attempt: ProbeAttempt;
  readonly daemon?: DaemonVersion;
}

// Shorter than core's deadline for the whole probe, so that a daemon that hangs is reported by name.
const endpointDeadlineMs = 1_500;

/** What a probe of these endpoints found, for core. */
export function reportProbe(probed: readonly ProbedEndpoint[]): ProbeReport {
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

/** The first endpoint whose daemon can be used; throws with what was tried when there is none. */
export function requireEndpoint(
  probed: readonly ProbedEndpoint[],
  { product }: DaemonKind,
): { readonly endpoint: DaemonEndpoint; readonly daemon: DaemonVersion } {
  for (const { endpoint, daemon, attempt } of probed) {
    if (attempt.outcome === 'ok' && daemon !== undefined) return { endpoint, daemon };
  }
  const tried = probed.map(({ attempt: { message, remedy } }) =>
    remedy === undefined ? message : `${message} ${remedy}`,
  );
  throw new EngineUnavailableError(`No ${product} daemon answers. Tried: ${tried.join(' ')}`, {
    engine: product.toLowerCase(),
    applied: 'no',
    retryable: true,
    remedy: `Start ${product}, or give \`socketPath\`.`,
  });
}

/** Every endpoint with its attempt, in order of preference. Never rejects; loads no client library. */
export async function probeEndpoints(
  endpoints: readonly DaemonEndpoint[],
  kind: DaemonKind,
  signal: AbortSignal,
): Promise<readonly ProbedEndpoint[]> {
  return Promise.all(
    (await withoutAliases(endpoints)).map((endpoint) =>
      withDeadline(signal, endpointDeadlineMs, (limited) => probeEndpoint(endpoint, kind, limited)),
    ),
  );
}

async function probeEndpoint(endpoint: DaemonEndpoint, kind: DaemonKind, signal: AbortSignal): Promise<ProbedEndpoint> {
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
    const daemon = await kind.ask(endpoint, signal);
    const objection = kind.objectTo(daemon);
    if (objection !== undefined) return failed('version', objection.code, objection.message, objection.remedy);
    const message = `${endpoint.name}: ${kind.product} ${daemon.version}, API ${daemon.apiVersion}.`;
    return { endpoint, daemon, attempt: { ...about, step: 'done', outcome: 'ok', message } };
  } catch (error) {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    const step = endpoint.kind === 'tcp' && connectCodes.has(code) ? 'connect' : 'handshake';
    return code === 'FOREIGN'
      ? failed(step, kind.foreignCode, message, `Give the endpoint of a ${kind.product} daemon.`)
      : failed(step, code, message, remedies[code]);
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
  TIMEOUT: 'It accepts connections and does not answer: look whether the daemon hangs.',
  ECONNREFUSED: 'Nothing listens there: look whether the daemon runs.',
  ECONNRESET: 'It closed the connection without an answer: look into the daemon’s log.',
};

/** `/var/run` is a link to `/run` nearly everywhere: the same socket is tried once, by its first name. */
async function withoutAliases(endpoints: readonly DaemonEndpoint[]): Promise<DaemonEndpoint[]> {
  const seen = new Set<string>();
  const kept: DaemonEndpoint[] = [];
  for (const endpoint of endpoints) {
    const real = endpoint.kind === 'unix' ? await realpath(endpoint.path).catch(() => endpoint.path) : endpoint.name;
    if (!seen.has(real)) kept.push(endpoint);
    seen.add(real);
  }
  return kept;
}
