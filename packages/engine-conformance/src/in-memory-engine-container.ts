import { createHash } from 'node:crypto';
import type {
  ContainerDetail,
  ContainerReference,
  ContainerStatus,
  ContainerSummary,
  KubernetesMarks,
  MountPoint,
} from '@crikit/core';
import { type InMemoryFiles, makeInMemoryFiles } from './in-memory-engine-archive.js';

/** What a test or a demo says about a container; everything has a default. */
export interface InMemoryContainer {
  /** Default: 64 hexadecimal digits, different for each container. */
  readonly id?: string;
  /** Default: the empty string. */
  readonly scope?: string;
  /** Default: the first characters of the id. */
  readonly name?: string;
  /** Default: `created`. */
  readonly status?: ContainerStatus;
  readonly labels?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly image?: string;
  readonly kubernetes?: KubernetesMarks;
  readonly hostname?: string;
  /** Default: `runc`. */
  readonly runtime?: string;
  readonly networkMode?: string;
  readonly pidMode?: string;
  readonly logPath?: string;
  readonly mergedDir?: string;
  readonly mounts?: readonly MountPoint[];
  readonly exitCode?: number;
  /** Files by absolute path, for the feature `archive`; commands do not see them. Default: none. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly withheld?: Readonly<Record<string, string>>;
}

/** What the engine holds of a container; changed in place, handed out only as copies. */
export interface HeldContainer {
  readonly reference: ContainerReference;
  readonly given: InMemoryContainer;
  readonly files: InMemoryFiles;
  /** Raised at each change. */
  revision: number;
  status: ContainerStatus;
  pid: number;
  startedAt: string | undefined;
  exitCode: number | undefined;
  /** Aborts when the container's processes end. */
  life: AbortController;
}

/** `number` tells containers of one engine apart. */
export function holdContainer(given: InMemoryContainer, engineId: string, number: number): HeldContainer {
  const id = given.id ?? createHash('sha256').update(`${engineId} ${number}`).digest('hex');
  return {
    reference: { scope: given.scope ?? '', id },
    given,
    files: makeInMemoryFiles(given.files),
    revision: 0,
    status: 'created',
    pid: 0,
    startedAt: undefined,
    exitCode: undefined,
    life: new AbortController(),
  };
}

export function convertHeldToSummary(held: HeldContainer, withRevision: boolean): ContainerSummary {
  const { given } = held;
  return {
    reference: { ...held.reference },
    name: given.name ?? held.reference.id.slice(0, 12),
    labels: { ...given.labels },
    status: held.status,
    ...(given.image === undefined ? {} : { image: given.image }),
    ...(given.kubernetes === undefined ? {} : { kubernetes: { ...given.kubernetes } }),
    ...(withRevision ? { revision: String(held.revision) } : {}),
  };
}

export function convertHeldToDetail(held: HeldContainer, withRevision: boolean): ContainerDetail {
  const { given } = held;
  return {
    ...convertHeldToSummary(held, withRevision),
    env: { ...given.env },
    runtime: given.runtime ?? 'runc',
    mounts: (given.mounts ?? []).map((mount) => ({ ...mount })),
    withheld: { ...given.withheld },
    ...(given.hostname === undefined ? {} : { hostname: given.hostname }),
    ...(given.networkMode === undefined ? {} : { networkMode: given.networkMode }),
    ...(given.pidMode === undefined ? {} : { pidMode: given.pidMode }),
    ...(given.logPath === undefined ? {} : { logPath: given.logPath }),
    ...(given.mergedDir === undefined ? {} : { mergedDir: given.mergedDir }),
    ...(held.pid === 0 ? {} : { pid: held.pid }),
    ...(held.startedAt === undefined ? {} : { startedAt: held.startedAt }),
    ...(held.exitCode === undefined ? {} : { exitCode: held.exitCode }),
  };
}
