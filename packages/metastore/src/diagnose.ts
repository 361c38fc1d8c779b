import { readFileSync } from 'node:fs';
import type { EngineReport, ProbeAttempt } from '@crikit/core';
import { findSocketMount, type SocketMount } from './diagnose-socket-mount.js';
import type { Diagnosis, DiagnosisFinding, DiagnosisSeverity } from './diagnosis.js';
import { formatDuration } from './format-duration.js';
import type { MetaStore } from './meta-store.js';
import type { EngineStatus, MetaStoreStatus, PodSourceStatus } from './meta-store-status.js';

export interface DiagnoseOptions {
  /** In milliseconds since 1970. Default: now. */
  readonly nowMs?: number;
  /**
   * Text of `/proc/self/mountinfo`, which tells whether a socket was replaced behind its mount. Default: it is read;
   * where it cannot be, nothing is said of mounts.
   */
  readonly mountinfo?: string;
}

interface Finding extends DiagnosisFinding {
  /** A part of the verdict. */
  readonly summary: string;
}

/**
 * Why a store shows what it shows, the verdict first: made of `store.status()`, the attempts of the engines' probes in
 * it, and this process's table of mounts. Nothing is asked of any daemon, so it answers at once even when all of them
 * hang. Never throws for a state of the store.
 */
export function diagnose(store: Pick<MetaStore, 'status'>, options: DiagnoseOptions = {}): Diagnosis {
  const status = store.status();
  const { nowMs = Date.now(), mountinfo = readMountinfo() } = options;
  const mountOf = (endpoint: string): SocketMount | undefined =>
    endpoint.startsWith('/') ? findSocketMount(endpoint, mountinfo) : undefined;
  const found = [
    ...describeState(status),
    ...(status.state === 'new' || status.state === 'closed'
      ? []
      : [
          ...status.engines.flatMap((engine) => describeEngine(engine, nowMs, mountOf(endpointOf(engine)))),
          ...describeReports(status, mountOf),
          describePodSource(status.podSource, nowMs),
        ]),
  ];
  const findings = [...found].sort((one, other) => rank[one.severity] - rank[other.severity]);
  const severity = findings[0]?.severity ?? 'ok';
  return {
    schemaVersion: 1,
    verdict: describeVerdict(status, findings, severity),
    severity,
    timeMs: nowMs,
    findings: findings.map(({ summary: _summary, ...finding }) => finding),
  };
}

const rank: Readonly<Record<DiagnosisSeverity, number>> = { failure: 0, warning: 1, ok: 2 };

function describeVerdict(status: MetaStoreStatus, findings: readonly Finding[], severity: DiagnosisSeverity): string {
  if (severity !== 'ok') {
    const [first, ...others] = findings.filter((finding) => finding.severity === severity);
    return `${first?.summary}${others.length === 0 ? '' : `; and ${others.length} more`}`;
  }
  const engines = status.engines.map(({ type }) => type).join(', ');
  return `live: ${engines}; ${count(status.pods, 'pod')}, ${count(status.containers, 'container')}`;
}

function describeState({ state, engines, reports }: MetaStoreStatus): Finding[] {
  const about = { subject: 'store' };
  if (state === 'new' || state === 'closed') {
    const summary = state === 'new' ? 'the store was not started' : 'the store is closed';
    return [
      {
        ...about,
        id: 'store-not-running',
        severity: 'failure',
        summary,
        message:
          state === 'new' ? 'The store was not started.' : 'The store was closed: what it shows is its last state.',
        remedy: state === 'new' ? 'Call start().' : 'Make a new store and start it.',
      },
    ];
  }
  if (state === 'starting') {
    return [
      {
        ...about,
        id: 'store-starting',
        severity: 'warning',
        summary: 'the store is starting',
        message: 'The store is reading everything for the first time.',
        remedy: 'Look again in some seconds.',
      },
    ];
  }
  if (engines.length > 0) return [];
  const tried = reports.flatMap(({ attempts }) => attempts.map(({ endpoint }) => endpoint));
  return [
    {
      ...about,
      id: 'no-engine',
      severity: 'failure',
      summary: 'no container engine was found',
      message:
        reports.length === 0
          ? 'No engine package was imported.'
          : `None of ${reports.map(({ type }) => type).join(', ')} can be used${tried.length === 0 ? '' : `; tried: ${tried.join(', ')}`}.`,
      remedy:
        reports.length === 0
          ? 'Import one, such as @crikit/engine-docker.'
          : 'Start an engine, or say where its socket is; in a container, mount the directory of the socket. The store looks again by itself.',
    },
  ];
}

function describeEngine(engine: EngineStatus, nowMs: number, mount: SocketMount | undefined): Finding[] {
  const { id, type, state, version, containers, failingContainers } = engine;
  const about = { subject: id };
  const found: Finding[] = [];
  if (state === 'stale') found.push(describeStaleEngine(engine, nowMs, mount));
  else if (state === 'syncing') {
    found.push({
      ...about,
      id: 'engine-syncing',
      severity: 'warning',
      summary: `${type}: being read for the first time`,
      message: `${id} is being read for the first time.${engine.error === undefined ? '' : ` ${engine.error.message}`}`,
      remedy: 'Look again in some seconds.',
    });
  } else {
    found.push({
      ...about,
      id: 'engine-live',
      severity: 'ok',
      summary: `${type}: live`,
      message: `${id}${version === undefined ? '' : ` (${version})`} is followed: ${count(containers, 'container')}.`,
    });
  }
  if (mount?.isFile === true && !mount.isDeleted) {
    found.push({
      ...about,
      id: 'socket-mounted-as-file',
      severity: 'warning',
      summary: `${type}: the socket is mounted as a file`,
      message: `${mount.mountPoint} is a mount of the socket alone: when ${type} restarts, it makes a new socket that is not seen here.`,
      remedy: 'Mount the directory that holds the socket.',
    });
  }
  if (failingContainers > 0) {
    found.push({
      ...about,
      id: 'details-failing',
      severity: 'warning',
      summary: `${type}: ${count(failingContainers, 'container')} cannot be read`,
      message: `The details of ${count(failingContainers, 'container')} of ${id} cannot be read; they are shown as they were last known, and tried again.`,
      remedy: 'See the diagnostics of their pods; look into the log of the engine.',
    });
  }
  return found;
}

function describeStaleEngine(engine: EngineStatus, nowMs: number, mount: SocketMount | undefined): Finding {
  const { id, type, staleSinceMs, error } = engine;
  const isReplaced = mount?.isDeleted === true;
  const age = staleSinceMs === undefined ? '' : ` ${formatDuration(nowMs - staleSinceMs)}`;
  const cause = error === undefined ? undefined : (systemCode(error.message) ?? error.code);
  const remedy = isReplaced ? replacedRemedy : (staleRemedies[cause ?? ''] ?? staleRemedies.UNAVAILABLE);
  return {
    id: 'engine-stale',
    severity: 'failure',
    subject: id,
    summary: `${type}: stale${age}${cause === undefined ? '' : ` since ${cause}`}${isReplaced ? '; the socket was replaced' : ''}`,
    message:
      `${id} cannot be heard${age === '' ? '' : ` for${age}`}; what is shown of it is the last that is known.` +
      `${isReplaced ? ` The socket that is mounted at ${mount.mountPoint} was deleted since.` : ''}` +
      `${error === undefined ? '' : ` ${error.message}`}`,
    ...(remedy === undefined ? {} : { remedy }),
  };
}

const replacedRemedy =
  'Make this process’s container anew, and mount the directory that holds the socket instead of the socket: an engine that restarts makes a new one.';

const staleRemedies: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'The daemon is stopped: start it. The store catches up by itself.',
  ENOENT: 'The socket is gone: start the daemon. The store catches up by itself.',
  EACCES: 'Run as root, or as a member of the group that owns the socket.',
  EPERM: 'Run as root, or as a member of the group that owns the socket.',
  TIMEOUT: 'The daemon takes connections and does not answer: look into its log, restart it if it hangs.',
  UNAVAILABLE: 'Look whether the daemon runs, and into its log. The store catches up by itself.',
};

/** Engines that are not connected: those that are broken, and those that are not on this node. */
function describeReports(
  { reports, engines }: MetaStoreStatus,
  mountOf: (endpoint: string) => SocketMount | undefined,
): Finding[] {
  return reports.flatMap((report): Finding[] => {
    const { type, status, attempts, reason } = report;
    if (status === 'connected') return [];
    const tried = attempts.map(({ endpoint }) => endpoint).join(', ');
    if (status === 'not-applicable') {
      const message = `${type}: ${reason}${tried === '' ? '' : ` (looked at ${tried})`}.`;
      return [{ id: 'engine-absent', severity: 'ok', subject: type, summary: `${type}: absent`, message }];
    }
    const worst = worstAttempt(report);
    const isReplaced = worst !== undefined && mountOf(worst.endpoint)?.isDeleted === true;
    const remedy = isReplaced ? replacedRemedy : worst?.remedy;
    const isWanted = engines.length === 0 || attempts.some(({ origin }) => origin !== 'well-known');
    return [
      {
        id: 'engine-unusable',
        severity: isWanted ? 'failure' : 'warning',
        subject: type,
        summary: `${type}: unusable${worst?.code === undefined ? '' : `, ${worst.code}`}${isReplaced ? '; the socket was replaced' : ''}`,
        message: `${type}: ${reason}. ${attempts
          .filter(({ outcome }) => outcome !== 'ok')
          .map(({ message }) => message)
          .join(' ')}`.trimEnd(),
        ...(remedy === undefined ? {} : { remedy }),
      },
    ];
  });
}

function worstAttempt({ attempts }: EngineReport): ProbeAttempt | undefined {
  return attempts.find(({ outcome }) => outcome === 'failed') ?? attempts.find(({ outcome }) => outcome === 'absent');
}

function describePodSource({ name, backend, state, sinceMs, error }: PodSourceStatus, nowMs: number): Finding {
  const about = { subject: name };
  if (state === 'starting') {
    return {
      ...about,
      id: 'pod-source-starting',
      severity: 'warning',
      summary: `pods: ${name} has told of none yet`,
      message: `The source of pods ${name} has told of no pods yet.`,
      remedy: 'Look again in some seconds.',
    };
  }
  if (state === 'stale') {
    const age = sinceMs === undefined ? '' : ` ${formatDuration(nowMs - sinceMs)}`;
    return {
      ...about,
      id: 'pod-source-stale',
      severity: 'failure',
      summary: `pods: ${backend === 'none' ? name : backend} stale${age}${causeOf(error)}`,
      message: `The source of pods ${name} is away${age === '' ? '' : ` for${age}`}; the pods that it told of stay as they were, new ones are made from their containers.${error === undefined ? '' : ` ${error.message}`}`,
      remedy: podSourceRemedy(error),
    };
  }
  if (error !== undefined) {
    return {
      ...about,
      id: 'pod-source-degraded',
      severity: 'warning',
      summary: `pods: ${backend} stands in${causeOf(error)}`,
      message: `Pods come from ${backend}, because what ${name} would rather ask does not serve: ${error.message}`,
      remedy: podSourceRemedy(error),
    };
  }
  const message = `Pods come from ${backend === 'containers' ? 'the containers’ own marks' : backend}.`;
  return { ...about, id: 'pod-source-live', severity: 'ok', summary: `pods: ${backend}`, message };
}

type StatusError = PodSourceStatus['error'];

function causeOf(error: StatusError): string {
  if (error === undefined) return '';
  const status = httpStatus(error.message);
  return ` since ${status === undefined ? (systemCode(error.message) ?? error.code) : `HTTP ${status}`}`;
}

function podSourceRemedy(error: StatusError): string {
  const status = error === undefined ? undefined : httpStatus(error.message);
  if (status === 401) return 'Look at the token: it may have expired, or belong to another cluster.';
  if (status === 403) {
    return 'Allow get, list and watch on pods to the agent’s service account; for the kubelet, get on nodes/pods.';
  }
  if (error?.code === 'UNSUPPORTED') return 'Choose a source of pods that works here, such as labelPods().';
  if (error?.code === 'PERMISSION') return 'Look at the token and the certificates of the agent’s service account.';
  return 'Look whether the server can be reached from here. The store catches up by itself.';
}

function httpStatus(message: string): number | undefined {
  const [, digits] = /\banswered (\d{3})\b/.exec(message) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** The system's own word for what went wrong, which people look for: ECONNREFUSED rather than UNAVAILABLE. */
function systemCode(message: string): string | undefined {
  return /\b(?:ECONNREFUSED|ECONNRESET|ENOENT|EACCES|EPERM|EPIPE|ENOTSOCK|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|ETIMEDOUT)\b/.exec(
    message,
  )?.[0];
}

/** An engine's id is its type and its endpoint. */
function endpointOf({ id, type }: EngineStatus): string {
  return id.startsWith(`${type}:`) ? id.slice(type.length + 1).replace(/^unix:\/\//, '') : '';
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function readMountinfo(): string {
  try {
    return readFileSync('/proc/self/mountinfo', 'utf8');
  } catch {
    return '';
  }
}
