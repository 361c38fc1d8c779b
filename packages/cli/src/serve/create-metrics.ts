/** What Prometheus reads. States are looked up when it asks, so that nothing is kept twice. */
import type { MetaStore, MetaStoreEvent } from '@crikit/metastore';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { followOperations } from './count-operations.js';

export interface Metrics {
  readonly contentType: string;
  read(): Promise<string>;
  close(): void;
}

export interface MetricsOptions {
  readonly store: MetaStore;
  readonly eventReaders: () => number;
}

const eventTypes: readonly MetaStoreEvent['type'][] = [
  'container-added',
  'container-changed',
  'container-enriched',
  'container-removed',
  'pod-added',
  'pod-changed',
  'pod-removed',
  'resync',
];

export function createMetrics({ store, eventReaders }: MetricsOptions): Metrics {
  // One of its own: the default one is shared by the whole process.
  const registry = new Registry();
  const registers = [registry];
  const closing = new AbortController();

  const operationSeconds = new Histogram({
    name: 'crikit_operation_duration_seconds',
    help: 'Duration of operations on engines.',
    labelNames: ['operation', 'engine'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers,
  });
  const operationErrors = new Counter({
    name: 'crikit_operation_errors_total',
    help: 'Operations on engines that failed, by the code of the error.',
    labelNames: ['operation', 'engine', 'code'],
    registers,
  });
  const stopFollowing = followOperations(({ operation, engine, durationMs, failure }) => {
    operationSeconds.observe({ operation, engine }, durationMs / 1_000);
    if (failure !== undefined) operationErrors.inc({ operation, engine, code: failure });
  });

  const events = new Counter({
    name: 'crikit_events_total',
    help: 'Changes of pods and containers since the start of this server.',
    labelNames: ['type'],
    registers,
  });
  for (const type of eventTypes) events.inc({ type }, 0);
  void countEvents(store, closing.signal, (type) => events.inc({ type }));

  const gauge = <Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    collect: (set: (labels: Record<Label, string>, value: number | undefined) => void) => void,
  ): void => {
    new Gauge<Label>({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        collect((labels, value) => {
          if (value !== undefined) this.set(labels, value);
        });
      },
    });
  };
  const perEngine = (
    name: string,
    help: string,
    value: (engine: ReturnType<MetaStore['status']>['engines'][number]) => number | undefined,
  ): void =>
    gauge(`crikit_engine_${name}`, help, ['engine', 'type'], (set) => {
      for (const engine of store.status().engines) set({ engine: engine.id, type: engine.type }, value(engine));
    });
  const ofPodSource = (
    name: string,
    help: string,
    value: (source: ReturnType<MetaStore['status']>['podSource']) => number | undefined,
  ): void =>
    gauge(`crikit_pod_source_${name}`, help, ['source', 'backend'], (set) => {
      const { podSource } = store.status();
      set({ source: podSource.name, backend: podSource.backend }, value(podSource));
    });

  gauge('crikit_ready', '1 when every engine and the source of pods are live.', [], (set) =>
    set({}, Number(store.status().ready)),
  );
  gauge('crikit_snapshot_sequence', 'Counts the changes that readers could see.', [], (set) =>
    set({}, store.status().sequence),
  );
  gauge('crikit_pods', 'Pods that are shown, by phase.', ['phase'], (set) => {
    for (const [phase, count] of countBy(store.getAllPods(), (pod) => pod.phase)) set({ phase }, count);
  });
  gauge('crikit_containers', 'Containers, by engine, status and role.', ['engine', 'status', 'role'], (set) => {
    const containers = store.getAllContainers({ withoutPod: true });
    const counts = countBy(containers, ({ engineId, state, role }) =>
      JSON.stringify([engineId, state.status, role ?? '']),
    );
    for (const [key, count] of counts) {
      const [engine, status, role] = JSON.parse(key) as [string, string, string];
      set({ engine, status, role }, count);
    }
  });

  perEngine('up', '1 while the changes of the engine are followed.', ({ state }) => Number(state === 'live'));
  perEngine('age_seconds', 'How old what is shown of the engine may be; 0 while it is live.', ({ ageMs }) =>
    toSeconds(ageMs),
  );
  perEngine('lag_seconds', 'From the last event that changed something to its being shown.', ({ lagMs }) =>
    toSeconds(lagMs),
  );
  perEngine('last_sync_timestamp_seconds', 'When its containers were last compared in full.', ({ lastSyncMs }) =>
    toSeconds(lastSyncMs),
  );
  perEngine('connections', 'How often it was connected.', ({ connections }) => connections);
  perEngine('containers', 'Containers that the engine has.', ({ containers }) => containers);
  perEngine('failing_containers', 'Containers whose details cannot be read.', (engine) => engine.failingContainers);

  ofPodSource('up', '1 while pods are followed.', ({ state }) => Number(state === 'live'));
  ofPodSource('age_seconds', 'How old what the source told may be; 0 while it is live.', ({ ageMs }) =>
    toSeconds(ageMs),
  );
  ofPodSource('last_update_timestamp_seconds', 'When it last told of a change.', ({ lastUpdateMs }) =>
    toSeconds(lastUpdateMs),
  );
  ofPodSource('connections', 'How often it became live or changed its backend.', ({ connections }) => connections);

  gauge('crikit_event_readers', 'Open streams of events.', [], (set) => set({}, eventReaders()));
  gauge('process_resident_memory_bytes', 'Memory of this process.', [], (set) => set({}, process.memoryUsage.rss()));
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of this process.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1_000_000);
    },
  });

  return {
    contentType: registry.contentType,
    read: () => registry.metrics(),
    close: () => {
      closing.abort();
      stopFollowing();
    },
  };
}

async function countEvents(
  store: MetaStore,
  signal: AbortSignal,
  onEvent: (type: MetaStoreEvent['type']) => void,
): Promise<void> {
  const { sequence } = store.status();
  for await (const event of store.events({ signal })) {
    if (event.sequence > sequence) onEvent(event.type);
  }
}

function countBy<Value>(values: readonly Value[], keyOf: (value: Value) => string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) {
    const key = keyOf(value);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function toSeconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1_000;
}
