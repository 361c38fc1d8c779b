import { create } from '@bufbuild/protobuf';
import { type ContainerRecord, createContainerRecord } from './container-records.js';
import type { ContainerdClient } from './containerd-client.js';
import { ContainerSchema } from './generated/containers_pb.js';
import { Store } from './generated/sandbox-store_pb.js';

/** A pod sandbox of containerd 2 that is no container, as the record of one; undefined when it is unknown. */
export async function readStoredSandbox(
  client: ContainerdClient,
  namespace: string,
  id: string,
  signal: AbortSignal,
): Promise<ContainerRecord | undefined> {
  const { sandbox } = await client.call(Store.method.get, { sandboxId: id }, { namespace, signal });
  if (sandbox === undefined) return undefined;
  const { spec, extensions } = sandbox;
  const metadata = extensions.metadata;
  return createContainerRecord(
    namespace,
    create(ContainerSchema, {
      id,
      ...(spec === undefined ? {} : { spec }),
      // The same content as in the extension of a sandbox that is a container.
      extensions: metadata === undefined ? {} : { 'io.cri-containerd.sandbox.metadata': metadata },
    }),
  );
}
