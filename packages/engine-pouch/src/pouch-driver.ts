import {
  ContainerPausedError,
  type ContainerReference,
  type ContainerSummary,
  type EngineContext,
  type EngineDriver,
  type ExecField,
  type ExecHandle,
  isContainerNotRunningError,
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
import { convertPouchDetail, convertPouchSummary, type PouchReading } from './convert-pouch-container.js';
import { createPouchArchive } from './pouch-archive.js';
import { convertPouchEvent, POUCH_EVENT_FILTERS } from './pouch-events.js';
import { pouchExecDialect } from './pouch-exec.js';
import type { PouchOptions } from './pouch-options.js';
import { convertPouchStatus } from './pouch-status.js';
import { pouchKind, probePouchEndpoints } from './probe-pouch.js';

const parallelExecStarts = 16;

// Pouch takes a working directory and ignores it; core goes there by a shell.
const execFields: ReadonlySet<ExecField> = new Set(['user', 'env', 'tty', 'stdin']);

/** Connects to the first endpoint that answers. Rejects with what was tried when none does. */
export async function connectPouch(options: PouchOptions, context: EngineContext): Promise<EngineDriver> {
  const { endpoint, daemon: version } = requireEndpoint(await probePouchEndpoints(options, context), pouchKind);
  const daemon = { product: pouchKind.product, engine: `pouch:${endpoint.name}` };
  return createPouchDriver({
    // Pouch serves any version alike, and has just one.
    api: await createDockerodeApi(endpoint, daemon, version.apiVersion),
    endpoint,
    daemon,
    version,
    reading: { trustLabels: options.trustLabels === true, allowArchive: options.allowArchive === true },
  });
}

interface PouchDriverParts {
  readonly api: DockerodeApi;
  readonly endpoint: DaemonEndpoint;
  readonly daemon: Daemon;
  readonly version: DaemonVersion;
  readonly reading: PouchReading;
}

function createPouchDriver({ api, endpoint, daemon, version, reading }: PouchDriverParts): EngineDriver {
  const { engine } = daemon;

  const listAllContainers = async (signal: AbortSignal): Promise<ContainerSummary[]> =>
    (await api.listContainers(signal)).map((item) => convertPouchSummary(item, reading));

  return {
    id: engine,
    version: version.version,
    containerIdSchemes: ['pouch'],
    locality: 'this-kernel',
    limits: { parallelDetails: PARALLEL_DETAILS, parallelExecStarts },
    execFields,

    listAllContainers: ({ signal }) => listAllContainers(signal),

    async getContainerDetails(of, { signal }) {
      const references = of === 'all' ? (await listAllContainers(signal)).map(({ reference }) => reference) : of;
      return inspectInParallel(references, signal, async ({ id }, batch, timeoutMs) =>
        convertPouchDetail(await api.inspectContainer(id, batch, timeoutMs), reading),
      );
    },

    getSource: (of, { signal }) => api.inspectContainer(of.id, signal),

    async startExec(of, request, { signal }): Promise<ExecHandle> {
      try {
        return await startDaemonExec(api, daemon, pouchExecDialect, of, request, signal);
      } catch (error) {
        throw isContainerNotRunningError(error) && (await isPaused(of, signal))
          ? new ContainerPausedError(`Container ${of.id} is paused.`, {
              engine,
              applied: 'no',
              retryable: true,
              remedy: 'Resume it first.',
              cause: error,
            })
          : error;
      }
    },

    features: {
      events: {
        async openEvents(onEvent, { signal }) {
          // Pouch sends the headers before it subscribes. Asking for what happened since now closes the gap.
          const startedAtMs = Date.now();
          const { clockSeconds } = await askDaemonVersion(endpoint, daemon, version, signal);
          const since = eventsSince(clockSeconds, startedAtMs);
          const query = { filters: POUCH_EVENT_FILTERS, since: String(Math.floor(since)) };
          const source = await api.openEvents(query, signal);
          const sinceMs = Math.floor(since * 1_000);
          return createDaemonEventFeed(
            source,
            // It counts in whole seconds: what happened earlier in this one is in the list already.
            (event) => event.timeMs >= sinceMs && onEvent(event),
            convertPouchEvent,
            daemon,
          );
        },
      },
      ...(reading.allowArchive ? { archive: createPouchArchive(api, daemon) } : {}),
    },

    async [Symbol.asyncDispose]() {
      api.close();
    },
  };

  // Pouch says of both that they are not running.
  async function isPaused({ id }: ContainerReference, signal: AbortSignal): Promise<boolean> {
    try {
      return convertPouchStatus((await api.inspectContainer(id, signal)).State) === 'paused';
    } catch {
      return false;
    }
  }
}
