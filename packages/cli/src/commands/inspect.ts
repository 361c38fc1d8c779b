import type { Container, Pod } from '@crikit/core';
import type { MetaStore } from '@crikit/metastore';
import type { CommandContext } from '../command-context.js';
import { withStore } from '../open-store.js';
import { containerColumns, describeStatus } from '../output/container-columns.js';
import {
  type ContainerDetailDocument,
  describeContainerDetail,
  nameOfContainer,
} from '../output/describe-container.js';
import { containersOf, describePodDetail, type PodDetailDocument } from '../output/describe-pod.js';
import { renderTable } from '../output/render-table.js';
import { type Field, writeFields } from '../output/write-fields.js';
import { schemaVersion, tableOptions, writeDocument } from '../output/write-list.js';
import { resolveTarget } from '../resolve-target.js';

/** The JSON of `inspect` for a container. */
export interface InspectedContainer extends ContainerDetailDocument {
  /** Sentences: which engine shows it, why it is in its pod or in none, what gave it its role. */
  readonly reasons: readonly string[];
}

/** Prints all that is known of a pod or container. */
export async function runInspect(context: CommandContext, { target }: { readonly target: string }): Promise<void> {
  await withStore(
    context,
    async (store) => {
      const found = resolveTarget(store, target);
      if (found.kind === 'pod') await printPod(context, found.pod);
      else await printContainer(context, store, found.container);
    },
    { trackFinishedPods: true },
  );
}

async function printPod(context: CommandContext, pod: Pod): Promise<void> {
  const { output } = context.options;
  const document = describePodDetail(pod, context.options);
  if (output === 'name') context.stdout.write(`${pod.namespace}/${pod.name}\n`);
  else if (output === 'json' || output === 'yaml') {
    await writeDocument(context, { schemaVersion, kind: 'pod', item: document });
  } else {
    writeFields(context, podFields(document));
    const rows = containersOf(pod).map((container) => ({ container, pod }));
    const columns = containerColumns(Date.now(), context.options.hostRoot).filter(
      ({ header }) => header !== 'NAMESPACE' && header !== 'POD',
    );
    context.stdout.write(`\n${renderTable(columns, rows, tableOptions(context))}`);
  }
}

async function printContainer(context: CommandContext, store: MetaStore, container: Container): Promise<void> {
  const { output } = context.options;
  const pod = store.getPodOf(container);
  const document: InspectedContainer = {
    ...describeContainerDetail(container, pod, context.options),
    reasons: store.explain(container.id).reasons,
  };
  if (output === 'name') context.stdout.write(`${nameOfContainer(container, pod)}\n`);
  else if (output === 'json' || output === 'yaml') {
    await writeDocument(context, { schemaVersion, kind: 'container', item: document });
  } else {
    writeFields(context, containerFields(document, describeStatus(container)));
  }
}

function podFields(pod: PodDetailDocument): readonly Field[] {
  return [
    ['Pod', `${pod.namespace}/${pod.name}`],
    ['Uid', pod.uid],
    ['Phase', pod.phase],
    ['App', pod.app],
    ['Hostname', pod.hostname],
    ['IP', pod.ip],
    ['Host IP', pod.hostIP],
    ['Owner', pod.owner === undefined ? undefined : `${pod.owner.kind}/${pod.owner.name}`],
    ['Started', pod.startedAt],
    ['Labels', pairs(pod.labels)],
    ['Annotations', pairs(pod.annotations)],
    ['Notes', pod.diagnostics.map(({ code, message }) => `${code}: ${message}`)],
  ];
}

function containerFields(container: InspectedContainer, status: string): readonly Field[] {
  const { pod } = container;
  return [
    ['Container', container.containerName ?? container.name],
    ['Pod', pod === undefined ? '-' : `${pod.namespace}/${pod.name}`],
    ['Id', container.id],
    ['Name', container.name],
    ['Engine', container.engine],
    ['Namespace', container.scope || undefined],
    ['Role', container.role === undefined ? '-' : `${container.role} (${container.roleReason})`],
    ['Status', status],
    ['Pid', container.pid],
    ['Started', container.startedAt],
    ['Image', container.image],
    ['Runtime', container.runtime],
    ['Hostname', container.hostname],
    ['Sandbox', container.sandboxId],
    ['Network', container.networkMode],
    ['Pid mode', container.pidMode],
    ['Log', container.logPath],
    ['Root', container.mergedDir],
    [
      'Mounts',
      container.mounts.map(
        ({ source, destination, readWrite }) => `${destination} from ${source}${readWrite ? '' : ' (read-only)'}`,
      ),
    ],
    ['Labels', pairs(container.labels)],
    ['Environment', pairs(container.env)],
    ['Cannot', pairs(container.withheld)],
    ['Why', container.reasons],
  ];
}

function pairs(record: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(record).map(([name, value]) => `${name}=${value}`);
}
