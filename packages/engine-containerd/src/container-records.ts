/**
 * What containerd keeps of a container, with the JSON inside parsed at first use and once only: the same container as
 * before (by its `updated_at`) is the same record.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { type Any, type Timestamp, timestampMs } from '@bufbuild/protobuf/wkt';
import type { Container } from './generated/containers_pb.js';
import { OptionsSchema } from './generated/runc-options_pb.js';

export interface ContainerRecord {
  readonly namespace: string;
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly image: string;
  readonly runtimeName: string;
  /** Path or name of the low-level runtime that the shim was told to use; absent where it uses its default. */
  readonly runtimeBinary: string | undefined;
  /** Changes whenever the container's record does. */
  readonly version: string;
  readonly spec: OciSpec;
  readonly cri: CriMetadata | undefined;
  /** Of a pod sandbox that is only in the store of sandboxes, and no container: what runs it. */
  readonly sandboxer: string | undefined;
}

/** The parts of an OCI runtime spec that this package reads. */
export interface OciSpec {
  readonly process?: OciProcess;
  readonly root?: { readonly path?: string };
  readonly hostname?: string;
  readonly mounts: readonly OciMount[];
  readonly annotations: Readonly<Record<string, string>>;
  /** Undefined when the spec has no list, as for a virtual machine of another system. */
  readonly namespaces: readonly OciNamespace[] | undefined;
}

/** Kept whole: an exec's process is made of it, capabilities and all. */
export type OciProcess = Readonly<Record<string, unknown>> & {
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly user?: { readonly uid?: number; readonly gid?: number; readonly additionalGids?: readonly number[] };
};

export interface OciMount {
  readonly destination?: string;
  readonly type?: string;
  readonly source?: string;
  readonly options?: readonly string[];
}

export interface OciNamespace {
  readonly type?: string;
  readonly path?: string;
}

/** What the CRI part of containerd wrote about one of its sandboxes or containers; no image can forge it. */
export interface CriMetadata {
  readonly kind: 'sandbox' | 'container';
  readonly name?: string;
  /** Of a container. */
  readonly sandboxId?: string;
  /** Name in the pod's spec, of a container. */
  readonly containerName?: string;
  readonly podName?: string;
  readonly podNamespace?: string;
  readonly podUid?: string;
  readonly hostname?: string;
  readonly netnsPath?: string;
  readonly logPath?: string;
}

export interface ContainerRecords {
  /** The record of a container that the daemon has just described. */
  remember(namespace: string, container: Container, sandboxer?: string): ContainerRecord;
  find(namespace: string, id: string): ContainerRecord | undefined;
  forget(namespace: string, id: string): void;
  /** Drops the others of this namespace. */
  keepOnly(namespace: string, ids: ReadonlySet<string>): void;
}

export function createContainerRecords(): ContainerRecords {
  const records = new Map<string, Map<string, ContainerRecord>>();
  const of = (namespace: string): Map<string, ContainerRecord> => {
    let found = records.get(namespace);
    if (found === undefined) {
      found = new Map();
      records.set(namespace, found);
    }
    return found;
  };
  return {
    remember(namespace, container, sandboxer) {
      const known = of(namespace).get(container.id);
      if (known?.version === versionOf(container) && known.sandboxer === sandboxer) return known;
      const record = createContainerRecord(namespace, container, sandboxer);
      of(namespace).set(container.id, record);
      return record;
    },
    find: (namespace, id) => of(namespace).get(id),
    forget(namespace, id) {
      of(namespace).delete(id);
    },
    keepOnly(namespace, ids) {
      for (const id of of(namespace).keys()) if (!ids.has(id)) of(namespace).delete(id);
    },
  };
}

export function createContainerRecord(
  namespace: string,
  container: Container,
  sandboxer?: string | undefined,
): ContainerRecord {
  const { extensions, runtime } = container;
  let specBytes = container.spec?.value;
  let spec: OciSpec | undefined;
  let criBytes = findCriExtension(extensions);
  let cri: CriMetadata | undefined;
  const options = runtime?.options;
  return {
    namespace,
    id: container.id,
    labels: container.labels,
    image: container.image,
    runtimeName: runtime?.name ?? '',
    runtimeBinary: options === undefined ? undefined : readRuntimeBinary(options),
    version: versionOf(container),
    sandboxer,
    get spec() {
      if (spec === undefined) {
        spec = readSpec(specBytes);
        // The bytes are a window of the whole reply, which would be kept with them.
        specBytes = undefined;
      }
      return spec;
    },
    get cri() {
      if (criBytes !== undefined) {
        cri = readCriMetadata(criBytes.kind, criBytes.value);
        criBytes = undefined;
      }
      return cri;
    },
  };
}

function versionOf({ createdAt, updatedAt }: Container): string {
  return `${exactTime(createdAt)}-${exactTime(updatedAt)}`;
}

/** Milliseconds are too coarse to tell two updates apart. */
function exactTime(time: Timestamp | undefined): string {
  return time === undefined ? '0' : `${time.seconds}.${time.nanos}`;
}

/** ISO 8601; undefined for containerd's "never", the year 1. */
export function toIsoTime(time: Timestamp | undefined): string | undefined {
  return time === undefined || time.seconds <= 0n ? undefined : new Date(timestampMs(time)).toISOString();
}

const criExtensions = {
  'io.cri-containerd.sandbox.metadata': 'sandbox',
  'io.cri-containerd.container.metadata': 'container',
} as const;

function findCriExtension(
  extensions: Readonly<Record<string, Any>>,
): { readonly kind: CriMetadata['kind']; readonly value: Uint8Array } | undefined {
  for (const [key, kind] of Object.entries(criExtensions)) {
    const found = extensions[key];
    if (found !== undefined) return { kind, value: found.value };
  }
  return undefined;
}

function readRuntimeBinary(options: Any): string | undefined {
  // Other shims have options of their own, and containerd may hold them as JSON.
  if (options.typeUrl !== OptionsSchema.typeName && !options.typeUrl.endsWith(`/${OptionsSchema.typeName}`)) {
    return undefined;
  }
  try {
    const { binaryName } = fromBinary(OptionsSchema, options.value);
    return binaryName === '' ? undefined : binaryName;
  } catch {
    return undefined;
  }
}

/** What cannot be read counts as absent: one strange container must not hide the others. */
export function readSpec(bytes: Uint8Array | undefined): OciSpec {
  const spec = record(parseJson(bytes));
  const process = optionalRecord(spec.process);
  const root = optionalRecord(spec.root);
  const linux = optionalRecord(spec.linux);
  return {
    ...(process === undefined ? {} : { process: process as OciProcess }),
    ...(root === undefined ? {} : { root: root as { path?: string } }),
    ...text('hostname', spec.hostname),
    mounts: records(spec.mounts) as OciMount[],
    annotations: strings(spec.annotations),
    namespaces: linux === undefined ? undefined : (records(linux.namespaces) as OciNamespace[]),
  };
}

/** The JSON of a CRI extension: `{"Version":"v1","Metadata":{…}}`. */
export function readCriMetadata(kind: CriMetadata['kind'], bytes: Uint8Array): CriMetadata {
  const metadata = record(record(parseJson(bytes)).Metadata);
  const config = record(metadata.Config);
  const named = record(config.metadata);
  const labels = strings(config.labels);
  if (kind === 'sandbox') {
    return {
      kind,
      ...text('name', metadata.Name),
      ...text('podName', named.name),
      ...text('podNamespace', named.namespace),
      ...text('podUid', named.uid),
      ...text('hostname', config.hostname),
      ...text('netnsPath', metadata.NetNSPath),
    };
  }
  return {
    kind,
    ...text('name', metadata.Name),
    ...text('sandboxId', metadata.SandboxID),
    ...text('containerName', named.name),
    // A kubelet repeats the pod here. These are its words, not those of the image.
    ...text('podName', labels['io.kubernetes.pod.name']),
    ...text('podNamespace', labels['io.kubernetes.pod.namespace']),
    ...text('podUid', labels['io.kubernetes.pod.uid']),
    ...text('logPath', metadata.LogPath),
  };
}

export function parseJson(bytes: Uint8Array | undefined): unknown {
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  } catch {
    return undefined;
  }
}

function optionalRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function record(value: unknown): Record<string, unknown> {
  return optionalRecord(value) ?? {};
}

function records(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.map(optionalRecord).filter((item) => item !== undefined) : [];
}

function strings(value: unknown): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record(value)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function text<Name extends string>(name: Name, value: unknown): { readonly [key in Name]?: string } {
  return typeof value === 'string' && value !== '' ? ({ [name]: value } as { [key in Name]: string }) : {};
}
