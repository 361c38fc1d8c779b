import {
  type ContainerDetail,
  type ContainerStatus,
  type ContainerSummary,
  detailsOneByOne,
  type EngineContext,
  type EngineDriver,
  EngineUnavailableError,
} from '@crikit/core';
import type { ExampleOptions } from './example.js';
import { askExample, engineId } from './example-api.js';
import { startExampleExec } from './example-exec.js';
import { findSocket, probeExample } from './probe-example.js';

const parallelDetails = 8;
const parallelExecStarts = 8;

interface ExampleContainer {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly env: Readonly<Record<string, string>>;
  readonly state: string;
  readonly pid: number;
  readonly exitCode: number | null;
  readonly startedAt: string;
}

export async function connectExample(options: ExampleOptions, context: EngineContext): Promise<EngineDriver> {
  const report = await probeExample(options, context);
  if (report.status !== 'available') {
    throw new EngineUnavailableError(report.attempts.map(({ message }) => message).join(' '), {
      engine: 'example',
      applied: 'no',
      retryable: true,
      remedy: 'Start the example daemon, or give `socketPath`.',
    });
  }
  const { path } = findSocket(options, context);
  const list = async (signal: AbortSignal) =>
    ((await askExample(path, '/containers', signal)) as ExampleContainer[]).map(convertExampleSummary);
  return {
    id: engineId(path),
    ...(report.version === undefined ? {} : { version: report.version }),
    containerIdSchemes: ['example'],
    features: {},
    // Say 'this-kernel' when the pids of the details are pids of this machine.
    locality: 'elsewhere',
    limits: { parallelDetails, parallelExecStarts },
    // What is missing here core emulates (env, workingDir) or refuses.
    execFields: new Set(['env', 'stdin'] as const),
    listAllContainers: ({ signal }) => list(signal),
    async getContainerDetails(of, { signal }) {
      const references = of === 'all' ? (await list(signal)).map(({ reference }) => reference) : of;
      return detailsOneByOne(references, parallelDetails, async ({ id }) =>
        convertExampleDetail((await askExample(path, containerPath(id), signal)) as ExampleContainer),
      );
    },
    getSource: ({ id }, { signal }) => askExample(path, containerPath(id), signal),
    startExec: ({ id }, request, { signal }) => startExampleExec(path, containerPath(id), request, signal),
    // Every call has a connection of its own.
    async [Symbol.asyncDispose]() {},
  };
}

function containerPath(id: string): string {
  return `/containers/${encodeURIComponent(id)}`;
}

const statuses: ReadonlyMap<string, ContainerStatus> = new Map([
  ['up', 'running'],
  ['frozen', 'paused'],
  ['ended', 'exited'],
]);

function convertExampleSummary({ id, name, labels, state }: ExampleContainer): ContainerSummary {
  return { reference: { scope: '', id }, name, labels, status: statuses.get(state) ?? 'unknown' };
}

function convertExampleDetail(container: ExampleContainer): ContainerDetail {
  const { env, pid, exitCode, startedAt } = container;
  return {
    ...convertExampleSummary(container),
    env,
    startedAt,
    mounts: [],
    withheld: {},
    ...(pid === 0 ? {} : { pid }),
    ...(exitCode === null ? {} : { exitCode }),
  };
}
