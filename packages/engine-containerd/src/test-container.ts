/** Containers as containerd would send them, for tests: recorded ones and made ones. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type Container, ContainerSchema } from './generated/containers_pb.js';

interface RecordedContainer {
  readonly ID: string;
  readonly Labels: Record<string, string>;
  readonly Image: string;
  readonly Runtime: { readonly Name: string; readonly Options?: RecordedAny };
  readonly CreatedAt: string;
  readonly UpdatedAt: string;
  readonly Extensions: Record<string, RecordedAny>;
  readonly Spec: unknown;
}

interface RecordedAny {
  readonly type_url: string;
  readonly value: string;
}

/** What `ctr containers info` of containerd 2.1 said about a container of Kubernetes 1.36. */
export function recordedContainer(name: 'two-sandbox' | 'two-app' | 'volumes-app' | 'static-web-web'): Container {
  const path = join(import.meta.dirname, '__fixtures__', `${name}.json`);
  const recorded = JSON.parse(readFileSync(path, 'utf8')) as RecordedContainer;
  const any = ({ type_url: typeUrl, value }: RecordedAny) => ({ typeUrl, value: Buffer.from(value, 'base64') });
  return create(ContainerSchema, {
    id: recorded.ID,
    labels: recorded.Labels,
    image: recorded.Image,
    runtime: {
      name: recorded.Runtime.Name,
      ...(recorded.Runtime.Options === undefined ? {} : { options: any(recorded.Runtime.Options) }),
    },
    spec: { value: Buffer.from(JSON.stringify(recorded.Spec)) },
    createdAt: timestampFromDate(new Date(recorded.CreatedAt)),
    updatedAt: timestampFromDate(new Date(recorded.UpdatedAt)),
    extensions: Object.fromEntries(Object.entries(recorded.Extensions).map(([key, value]) => [key, any(value)])),
  });
}

/** A container that no CRI made. */
export function plainContainer(
  id: string,
  spec: unknown = {},
  rest: Partial<Exclude<MessageInitShape<typeof ContainerSchema>, Container>> = {},
): Container {
  return create(ContainerSchema, {
    id,
    runtime: { name: 'io.containerd.runc.v2' },
    spec: { value: Buffer.from(JSON.stringify(spec)) },
    createdAt: { seconds: 1_795_000_000n },
    updatedAt: { seconds: 1_795_000_000n },
    ...rest,
  });
}
