import type {
  ContainerDetail,
  ContainerReference,
  ContainerSummary,
  EngineContext,
  EngineDriver,
  ExecField,
} from '@crikit/core';
import {
  askDaemonVersion,
  createDaemonEventFeed,
  createDockerodeApi,
  type Daemon,
  type DaemonEndpoint,
  type DaemonVersion,
  type DockerodeApi,
  eventsSince,
  inspectInParallel,
  PARALLEL_DETAILS,
  requireEndpoint,
  startDaemonExec,
} from '@crikit/dockerode-api';
import { convertDockerDetail, convertDockerSummary } from './convert-docker-container.js';
import { convertDockerEvent } from './docker-events.js';
import { dockerExecDialect } from './docker-exec.js';
import type { DockerOptions } from './docker-options.js';
import { createDockerRevisions } from './docker-revisions.js';
import { negotiateApiVersion } from './docker-version.js';
import { dockerKind, probeDockerEndpoints } from './probe-docker.js';

const parallelExecStarts = 16;

const execFields: ReadonlySet<ExecField> = new Set(['user', 'workingDir', 'env', 'tty', 'stdin']);

/** Connects to the first endpoint that answers. Rejects with what was tried when none does. */
export async function connectDocker(options: DockerOptions, context: EngineContext): Promise<EngineDriver> {
  const { endpoint, daemon: version } = requireEndpoint(await probeDockerEndpoints(options, context), dockerKind);
  const daemon = { product: dockerKind.product, engine: `docker:${endpoint.name}` };
  const api = await createDockerodeApi(endpoint, daemon, negotiateApiVersion(version, daemon.engine));
  return createDockerDriver({ api, endpoint, daemon, version, trustLabels: options.trustLabels === true });
}

interface DockerDriverParts {
  readonly api: DockerodeApi;
  readonly endpoint: DaemonEndpoint;
  readonly daemon: Daemon;
  readonly version: DaemonVersion;
  readonly trustLabels: boolean;
}

function createDockerDriver({ api, endpoint, daemon, version, trustLabels }: DockerDriverParts): EngineDriver {
  const { engine } = daemon;
  const revisions = createDockerRevisions();
  const execDialect = dockerExecDialect(api);
  let present = version;

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

  const getDetail = async (
    of: ContainerReference,
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<ContainerDetail> => {
    const askedAtMs = performance.now();
    const inspect = await api.inspectContainer(of.id, signal, timeoutMs);
    return convertDockerDetail(inspect, trustLabels, revisions.remember(inspect, askedAtMs));
  };

  return {
    id: engine,
    version: version.version,
    containerIdSchemes: ['docker'],
    locality: endpoint.kind === 'unix' ? 'this-kernel' : 'elsewhere',
    limits: { parallelDetails: PARALLEL_DETAILS, parallelExecStarts },
    execFields,

    listAllContainers: ({ signal }) => listAllContainers(signal),

    async getContainerDetails(of, { signal }) {
      const references = of === 'all' ? (await listAllContainers(signal)).map(({ reference }) => reference) : of;
      return inspectInParallel(references, signal, getDetail);
    },

    getSource: (of, { signal }) => api.inspectContainer(of.id, signal),

    startExec: (of, request, { signal }) => startDaemonExec(api, daemon, execDialect, of, request, signal),

    features: {
      events: {
        coversOpening: true,
        async openEvents(onEvent, { signal }) {
          const startedAtMs = Date.now();
          // The daemon may be another version than before: this is where core comes back to it after a loss.
          present = await askDaemonVersion(endpoint, daemon, present, signal);
          api.apiVersion = negotiateApiVersion(present, engine);
          // Docker sends the headers a moment before it subscribes, so they prove nothing yet. Asking for what happened
          // since the call closes the gap; what is told although it was before is only a hint.
          const since = eventsSince(present.clockSeconds, startedAtMs);
          const source = await api.openEvents({ filters: { type: ['container'] }, since: since.toFixed(3) }, signal);
          return createDaemonEventFeed(source, onEvent, convertDockerEvent, daemon);
        },
      },
      archive: {
        // These work on containers that are stopped or paused, too.
        getArchive: (of, path, { signal }) => api.getArchive(of.id, path, signal),
        putArchive: (of, directory, tar, { signal }) => api.putArchive(of.id, directory, tar, signal),
      },
    },

    async [Symbol.asyncDispose]() {
      api.close();
      revisions.keepOnly(new Set());
    },
  };
}
