import { type Container, InvalidArgumentError, type Pod } from '@crikit/core';
import type { MetaStore, MetaStoreEvent } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { describeStatus } from '../output/container-columns.js';
import { type ContainerDocument, describeContainer, nameOfContainer } from '../output/describe-container.js';
import { describePod, type PodDocument } from '../output/describe-pod.js';
import { escapeControlCharacters } from '../output/escape-control-characters.js';
import { schemaVersion } from '../output/write-list.js';
import { reportEngineStates } from '../report-engine-states.js';
import { writeFully } from '../write-fully.js';

export interface EventsRequest {
  /** Whether what there is at the start is told first. Default: false. */
  readonly all?: boolean;
  readonly namespace?: string;
}

/** A change in the JSON of `events`. */
export interface EventDocument {
  /**
   * `pod-added`, `pod-changed`, `pod-removed`, `container-added`, `container-changed`, `container-removed`; `resync` when
   * this command was too slow to be told each: then `pods` and `containers` are all there is.
   */
  readonly type: string;
  /** Grows with each change; equal for what changed at once. */
  readonly sequence: number;
  /** When it was seen. ISO 8601. */
  readonly time: string;
  /** When the engine says that it happened; absent where a list showed it. */
  readonly engineTime?: string;
  readonly pod?: PodDocument;
  readonly container?: ContainerDocument;
  readonly previousPhase?: string;
  readonly previousStatus?: string;
  readonly pods?: readonly PodDocument[];
  readonly containers?: readonly ContainerDocument[];
}

/** Prints each change of a pod or container until the signal aborts, then rejects with its reason. */
export async function runEvents(context: CommandContext, request: EventsRequest): Promise<void> {
  const { signal, stdout, stderr, options } = context;
  if (options.output === 'yaml' || options.output === 'name') {
    throw new InvalidArgumentError(`events prints text or, with -o json, a document a line; not ${options.output}.`);
  }
  const describe = options.output === 'json' ? describeAsJson : describeAsText;
  await withStore(context, async (store) => {
    const known = store.status().sequence;
    stderr.write(
      `crikit: following ${store.getAllContainers({ withoutPod: true }).length} containers; Ctrl-C ends it\n`,
    );
    const stopReports = reportEngineStates(context, store);
    try {
      for await (const event of store.events({ signal })) {
        if (request.all !== true && event.sequence <= known) continue;
        if (!isWanted(store, event, request)) continue;
        await writeFully(stdout, `${describe(store, event)}\n`, signal);
      }
    } finally {
      stopReports();
    }
    signal.throwIfAborted();
  });
}

function isWanted(store: MetaStore, event: MetaStoreEvent, { namespace }: EventsRequest): boolean {
  if (namespace === undefined || event.type === 'resync') return true;
  return podOf(store, event)?.namespace === namespace;
}

function podOf(store: MetaStore, event: MetaStoreEvent): Pod | undefined {
  if ('pod' in event) return event.pod;
  return 'container' in event ? store.getPodOf(event.container) : undefined;
}

function describeAsText(store: MetaStore, event: MetaStoreEvent): string {
  const time = new Date(('engineTimeMs' in event ? event.engineTimeMs : undefined) ?? event.timeMs).toISOString();
  const parts = ((): readonly string[] => {
    if ('pod' in event) {
      const previous = 'previous' in event ? event.previous.phase : undefined;
      return [`${event.pod.namespace}/${event.pod.name}`, change(previous, event.pod.phase)];
    }
    if ('container' in event) {
      const previous = 'previous' in event ? describeStatus(event.previous) : undefined;
      const status = event.type === 'container-removed' ? 'removed' : change(previous, describeStatus(event.container));
      return [event.container.shortId, nameOfContainer(event.container, podOf(store, event)), status];
    }
    return [`${event.containers.length} containers, ${event.pods.length} pods: too many changes to tell each`];
  })();
  return escapeControlCharacters([time, event.type.padEnd(17), ...parts].join('  '));
}

function change(previous: string | undefined, now: string): string {
  return previous === undefined || previous === now ? now : `${previous} -> ${now}`;
}

function describeAsJson(store: MetaStore, event: MetaStoreEvent): string {
  const { type, sequence } = event;
  const describe = (container: Container) => describeContainer(container, store.getPodOf(container));
  const document: EventDocument = {
    type,
    sequence,
    time: new Date(event.timeMs).toISOString(),
    ...('engineTimeMs' in event && event.engineTimeMs !== undefined
      ? { engineTime: new Date(event.engineTimeMs).toISOString() }
      : {}),
    ...('pod' in event ? { pod: describePod(event.pod) } : {}),
    ...('container' in event ? { container: describe(event.container) } : {}),
    ...('previous' in event && 'container' in event ? { previousStatus: event.previous.state.status } : {}),
    ...('previous' in event && 'pod' in event ? { previousPhase: event.previous.phase } : {}),
    ...(event.type === 'resync'
      ? { pods: event.pods.map(describePod), containers: event.containers.map(describe) }
      : {}),
  };
  return JSON.stringify({ schemaVersion, kind: 'event', ...document });
}
