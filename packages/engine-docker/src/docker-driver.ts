import { setMaxListeners } from 'node:events';
import {
  type ContainerDetail,
  type ContainerReference,
  type ContainerSummary,
  detailsOneByOne,
  type EngineContext,
  type EngineDriver,
  EngineUnavailableError,
  type ExecField,
  type ProbeAttempt,
} from '@crikit/core';
import { convertDockerDetail, convertDockerSummary } from './convert-docker-container.js';
import { createDockerApi, type DockerApi } from './docker-api.js';
import type { DockerEndpoint } from './docker-endpoints.js';
import { createDockerEventFeed } from './docker-events.js';
import { startDockerExec } from './docker-exec.js';
import type { DockerOptions } from './docker-options.js';
import { createDockerRevisions } from './docker-revisions.js';
import { mapDockerError } from './map-docker-error.js';
import { probeDockerEndpoints } from './probe-docker.js';
import { type DockerVersion, negotiateApiVersion, readDockerVersion } from './read-docker-version.js';
import { withDeadline } from './settle-call.js';

/** More inspections at once gain nothing. */
const parallelDetails = 16;
/** One container that does not answer must not use up the time of the batch that it is in. */
const inspectDeadlineMs = 3_000;
const parallelExecStarts = 16;

const execFields: ReadonlySet<ExecField> = new Set(['user', 'workingDir', 'env', 'tty', 'stdin']);

/** Connects to the first endpoint that answers. Rejects with what was tried when none does. */
export async function connectDocker(options: DockerOptions, context: EngineContext): Promise<EngineDriver> {
  const probed = await probeDockerEndpoints(options, context);
  const found = probed.find(({ attempt }) => attempt.outcome === 'ok');
  if (found?.daemon === undefined) throw noEndpoint(probed.map(({ attempt }) => attempt));
  const { endpoint, daemon } = found;
  const engine = `docker:${endpoint.name}`;
  const api = await createDockerApi(endpoint, engine, negotiateApiVersion(daemon, engine));
  return createDockerDriver({ api, endpoint, engine, daemon, trustLabels: options.trustLabels === true });
}

export interface DockerDriverParts {
  readonly api: DockerApi;
  readonly endpoint: DockerEndpoint;
  readonly engine: string;
  readonly daemon: DockerVersion;
  readonly trustLabels: boolean;
}

export function createDockerDriver({ api, endpoint, engine, daemon, trustLabels }: DockerDriverParts): EngineDriver {
  const revisions = createDockerRevisions();

  const listAllContainers = async (signal: AbortSignal): Promise<ContainerSummary[]> => {
    const askedAtMs = performance.now();
    const items = await api.listContainers(signal);
    const answeredAtMs = performance.now();
    revisions.keepOnly(new Set(items.map(({ Id }) => Id)));
    return items.map((item) => {
      const revision = revisions.confirm(item, askedAtMs, answeredAtMs);
      const summary = convertDockerSummary(item, trustLabels);
      return revision === undefined ? summary : { ...summary, revision };
    });
  };

  const getDetail = (of: ContainerReference, signal: AbortSignal): Promise<ContainerDetail> =>
    withDeadline(signal, inspectDeadlineMs, async (limited) => {
      const askedAtMs = performance.now();
      const inspect = await api.inspectContainer(of.id, limited);
      return { ...convertDockerDetail(inspect, trustLabels), revision: revisions.remember(inspect, askedAtMs) };
    });

  return {
    id: engine,
    version: daemon.version,
    containerIdSchemes: ['docker'],
    locality: endpoint.kind === 'unix' ? 'this-kernel' : 'elsewhere',
    limits: { parallelDetails, parallelExecStarts },
    execFields,

    listAllContainers: ({ signal }) => listAllContainers(signal),

    async getContainerDetails(of, { signal }) {
      const references = of === 'all' ? (await listAllContainers(signal)).map(({ reference }) => reference) : of;
      const batch = new AbortController();
      // Each inspection under way listens; Node takes more than ten for a leak.
      setMaxListeners(parallelDetails, batch.signal);
      const onAbort = (): void => batch.abort(signal.reason);
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        return await detailsOneByOne(references, parallelDetails, (reference) => getDetail(reference, batch.signal));
      } finally {
        signal.removeEventListener('abort', onAbort);
      }
    },

    getSource: (of, { signal }) => api.inspectContainer(of.id, signal),

    startExec: (of, request, { signal }) => startDockerExec(api, engine, of, request, signal),

    features: {
      events: {
        async openEvents(onEvent, { signal }) {
          // The daemon may be another version than before: this is where core comes back to it after a loss.
          const present = await askVersion(endpoint, engine, signal);
          api.apiVersion = negotiateApiVersion(present, engine);
          // Docker sends the headers a moment before it subscribes, so they prove nothing yet. Asking for what happened
          // since now closes the gap; what is told although it was before is only a hint.
          const source = await api.openEvents(eventsSince(present.clockSeconds), signal);
          return createDockerEventFeed(source, onEvent, engine);
        },
      },
      archive: {
        // These work on containers that are stopped or paused, too.
        getArchive: (of, path, { signal }) => api.getArchive(of.id, path, signal),
        putArchive: (of, directory, tar, { signal }) => api.putArchive(of.id, directory, tar, signal),
      },
    },

    async [Symbol.asyncDispose]() {
      revisions.keepOnly(new Set());
    },
  };
}

async function askVersion(endpoint: DockerEndpoint, engine: string, signal: AbortSignal): Promise<DockerVersion> {
  try {
    return await readDockerVersion(endpoint, signal);
  } catch (error) {
    throw mapDockerError(error, { engine, what: 'ask for the version', changes: false });
  }
}

// The daemon's clock has whole seconds in its replies; an answer may be under way for another one.
const sameClockSeconds = 2;

/** The present by the daemon's clock: exact where ours is the same, as it is on one machine. */
function eventsSince(daemonSeconds: number | undefined): number | undefined {
  if (daemonSeconds === undefined) return undefined;
  const ownSeconds = Date.now() / 1_000;
  const aheadSeconds = ownSeconds - daemonSeconds;
  return aheadSeconds >= 0 && aheadSeconds < sameClockSeconds ? ownSeconds : daemonSeconds;
}

function noEndpoint(attempts: readonly ProbeAttempt[]): EngineUnavailableError {
  const tried = attempts.map(({ message, remedy }) => (remedy === undefined ? message : `${message} ${remedy}`));
  return new EngineUnavailableError(`No Docker daemon answers. Tried: ${tried.join(' ')}`, {
    engine: 'docker',
    applied: 'no',
    retryable: true,
    remedy: 'Start Docker, or give `socketPath`.',
  });
}
