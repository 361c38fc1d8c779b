import {
  type ArchiveFeature,
  type ContainerReference,
  detailsOneByOne,
  type EngineContext,
  type EngineDriver,
  EngineUnavailableError,
  isNoSuchContainerError,
  linkSignals,
  PathNotFoundError,
  withDeadline,
} from '@crikit/core';
import { convertPodmanDetail, convertPodmanSummaries } from './convert-podman-container.js';
import { containerPath, createPodmanApi, type PodmanApi } from './podman-api.js';
import { createPodmanEventFeed } from './podman-events.js';
import { startPodmanExec } from './podman-exec.js';
import type { PodmanOptions } from './podman-options.js';
import { probePodmanEndpoints } from './probe-podman.js';

const parallelDetails = 8;
const parallelExecStarts = 8;
/** One container that does not answer must not use up the time of the batch that it is in. */
const inspectDeadlineMs = 3_000;

/** Connects to the first endpoint that answers. Rejects with what was tried when none does. */
export async function connectPodman(options: PodmanOptions, context: EngineContext): Promise<EngineDriver> {
  const probed = await probePodmanEndpoints(options, context);
  const found = probed.find(({ version }) => version !== undefined);
  if (found?.socketPath === undefined || found.version === undefined) {
    const tried = probed.map(({ attempt: { message, remedy } }) => [message, remedy].filter(Boolean).join(' '));
    throw new EngineUnavailableError(`No Podman service answers. Tried: ${tried.join(' ')}`, {
      engine: 'podman',
      applied: 'no',
      retryable: true,
      remedy: 'Start podman.socket, or give `socketPath`.',
    });
  }
  return createPodmanDriver(createPodmanApi(found.socketPath, `podman:${found.socketPath}`), found.version);
}

function createPodmanDriver(api: PodmanApi, version: string): EngineDriver {
  const { engine } = api;
  const list = async (signal: AbortSignal) =>
    convertPodmanSummaries(
      await api.ask({ path: '/containers/json', query: { all: 'true' }, signal, what: 'list containers' }),
      engine,
    );
  const inspect = (of: ContainerReference, signal: AbortSignal) =>
    api.ask({ path: `${containerPath(of.id)}/json`, signal, what: `inspect container ${of.id}` });

  return {
    id: engine,
    version,
    containerIdSchemes: ['podman'],
    locality: 'this-kernel',
    limits: { parallelDetails, parallelExecStarts },
    execFields: new Set(['user', 'workingDir', 'env', 'tty', 'stdin'] as const),
    features: {
      events: {
        async openEvents(onEvent, { signal }) {
          const opened = linkSignals([signal]);
          try {
            const source = await api.open({
              path: '/events',
              query: {
                stream: 'true',
                // The headers come before Podman begins to read its log: asking for what happened since now closes the gap.
                // Now is the beginning of this millisecond, so a start that was just told may be told once more.
                since: (Date.now() / 1_000).toFixed(3),
                filters: JSON.stringify({ type: ['container'] }),
              },
              signal: opened.signal,
              what: 'subscribe to events',
            });
            return createPodmanEventFeed(source, onEvent, engine);
          } finally {
            opened.unlink();
          }
        },
      },
      archive: createArchive(api),
    },

    listAllContainers: ({ signal }) => list(signal),
    async getContainerDetails(of, { signal }) {
      const references = of === 'all' ? (await list(signal)).map(({ reference }) => reference) : of;
      return detailsOneByOne(references, parallelDetails, async (reference) => {
        const inspected = withDeadline(signal, inspectDeadlineMs, (limited) => inspect(reference, limited));
        return convertPodmanDetail(await inspected, engine);
      });
    },
    getSource: (of, { signal }) => inspect(of, signal),
    startExec: (of, request, { signal }) => startPodmanExec(api, of, request, signal),
    // Every call has a connection of its own, which ends with it.
    async [Symbol.asyncDispose]() {},
  };
}

/** Bit of Go's file mode that means a directory. */
const goModeDirectory = 2 ** 31;

function createArchive(api: PodmanApi): ArchiveFeature {
  const { engine } = api;
  return {
    async getArchive(of, path, { signal }) {
      const what = `read ${path} of container ${of.id}`;
      return api.open({ path: `${containerPath(of.id)}/archive`, query: { path }, signal, what });
    },
    async putArchive(of, directory, tar, { signal }) {
      const what = `write to ${directory} of container ${of.id}`;
      // Without it everything would belong to the container's own user.
      const query = { path: directory, copyUIDGID: 'false' };
      const archive = { path: `${containerPath(of.id)}/archive`, query, signal, what } as const;
      try {
        // Podman 4.3 makes a directory that is missing, and says nothing.
        const found = await api.open({ ...archive, method: 'HEAD' }).catch((error: unknown) => {
          // A reply without a body does not say what is missing; the root directory is always there.
          if (isNoSuchContainerError(error) && directory !== '/') return undefined;
          throw error;
        });
        if (!isDirectory(found?.headers['x-docker-container-path-stat'])) {
          throw new PathNotFoundError(`Could not ${what}: there is no such directory.`, { engine, applied: 'no' });
        }
        const reply = await api.open({ ...archive, method: 'PUT', body: tar, changes: true });
        reply.resume();
      } finally {
        tar.destroy();
      }
    },
  };
}

function isDirectory(header: string | string[] | undefined): boolean {
  const { mode = 0 } = JSON.parse(Buffer.from(String(header ?? 'e30='), 'base64').toString()) as { mode?: number };
  return Math.floor(mode / goModeDirectory) % 2 === 1;
}
