/** Keeps the Node object of this node up to date, by a watch on it alone. */
import type { KubernetesNode } from '@crikit/core';
import type { ApiServerPodsOptions } from './api-server-pods.js';
import { connectApiServer } from './connect-api-server.js';
import { startListWatch } from './kubernetes-list-watch.js';
import type { NodeContext } from './pod-source.js';
import { defaultPodSourceTimings } from './pod-source-timings.js';

export function followNode(options: ApiServerPodsOptions, context: NodeContext): AsyncDisposable {
  const { clock, logger } = context;
  const closing = new AbortController();
  const { signal } = closing;
  let failures = 0;

  const noteFailure = (error: unknown): void => {
    failures += 1;
    // It is tried again for ever: an agent that may not read nodes must not fill its log with that.
    const log = failures === 1 ? logger.warn : logger.debug;
    log.call(logger, { err: error, podSource: options.name }, 'the Node object cannot be read');
  };

  const run = async (): Promise<void> => {
    const connection = await connectApiServer(options, context, {
      signal,
      onFailure: noteFailure,
      onFinal: noteFailure,
    });
    if (connection === undefined || signal.aborted) return;
    await startListWatch<KubernetesNode>({
      server: connection.server,
      credentials: () => connection.credentials(),
      path: '/api/v1/nodes',
      fieldSelector: `metadata.name=${connection.nodeName}`,
      clock,
      timings: { ...defaultPodSourceTimings, ...options.timings },
      signal,
      startListing: () => {
        let listed: KubernetesNode | undefined;
        return {
          add: ([first]) => {
            listed ??= first;
          },
          commit: () => context.onNode(listed === undefined ? undefined : projectNode(listed)),
        };
      },
      onChanges: (changes) => {
        const change = changes.at(-1);
        if (change !== undefined) context.onNode(change.kind === 'put' ? projectNode(change.item) : undefined);
      },
      onLive: () => {
        failures = 0;
      },
      onFailure: noteFailure,
    }).ended;
  };
  const ended = run().catch(noteFailure);
  return {
    [Symbol.asyncDispose]: async () => {
      closing.abort();
      await ended;
    },
  };
}

/** All but what is heavy and of no use to an agent: who wrote which field, and the images that the node has. */
function projectNode(node: KubernetesNode): KubernetesNode {
  const { metadata, status } = node as { metadata?: { managedFields?: unknown }; status?: { images?: unknown } };
  const { managedFields: _fields, ...keptMetadata } = metadata ?? {};
  const { images: _images, ...keptStatus } = status ?? {};
  return Object.freeze({ ...node, metadata: Object.freeze(keptMetadata), status: Object.freeze(keptStatus) });
}
