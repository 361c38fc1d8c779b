import { createEngineSelector, type EngineReport, type ProbeAttempt } from '@crikit/core';
import type { CommandContext } from '../command-context.js';
import { exitCodes } from '../exit-codes.js';
import { loadEngines } from '../load-engines.js';
import { known } from '../output/describe-container.js';
import type { Column, Style } from '../output/render-table.js';
import { writeList } from '../output/write-list.js';

/** An engine in the JSON of `engines`. */
export interface EngineDocument {
  readonly type: string;
  readonly package: string;
  readonly packageVersion: string;
  /** `connected`: in use. `failed`: it is here and cannot be used. `not-applicable`: it is not on this node. */
  readonly status: 'connected' | 'failed' | 'not-applicable';
  /** In words. */
  readonly reason: string;
  /** Type and endpoint; absent unless connected. */
  readonly id?: string;
  /** The engine's own version. */
  readonly version?: string;
  /** What the engine offers beyond lists, details and exec; absent unless connected. */
  readonly features?: readonly string[];
  readonly attempts: readonly ProbeAttempt[];
}

/** Which engines are installed, which answer, and why the others do not. Exit code 5 when none can be used. */
export async function runEngines(context: CommandContext): Promise<number> {
  const { options, environment } = context;
  const features = new Map<string, readonly string[]>();
  const selector = createEngineSelector({
    engines: await loadEngines(options, process.cwd()),
    environment,
    hostRoot: options.hostRoot,
    onEngine: (engine) => {
      features.set(
        engine.id,
        (['events', 'archive'] as const).filter((feature) => engine.supports(feature)),
      );
    },
  });
  try {
    await selector.start();
    const rows = selector
      .reports()
      .map((report) => describeEngine(report, features))
      .sort((one, other) => (one.type < other.type ? -1 : 1));
    await writeList<EngineDocument>(context, {
      kind: 'engines',
      rows,
      columns,
      toJson: (row) => row,
      toName: ({ type }) => type,
      whenEmpty: 'No engine is installed.',
    });
    return rows.some(({ status }) => status === 'connected') ? exitCodes.ok : exitCodes.noEngine;
  } finally {
    await selector.close();
  }
}

function describeEngine(report: EngineReport, features: ReadonlyMap<string, readonly string[]>): EngineDocument {
  const { type, packageName, packageVersion, status, reason, engineId, version, attempts } = report;
  return {
    type,
    package: packageName,
    packageVersion,
    ...{ status, reason },
    ...known({ id: engineId, version, features: engineId === undefined ? undefined : features.get(engineId) }),
    attempts,
  };
}

const styles: Readonly<Record<EngineDocument['status'], Style>> = {
  connected: 'green',
  failed: 'red',
  'not-applicable': 'gray',
};

const columns: readonly Column<EngineDocument>[] = [
  { header: 'ENGINE', value: ({ type }) => type },
  { header: 'STATUS', value: ({ status }) => status, style: ({ status }) => styles[status] },
  { header: 'VERSION', value: ({ version }) => version ?? '-', dropOrder: 1 },
  { header: 'ENDPOINT', value: endpointOf, minWidth: 12 },
  {
    header: 'PACKAGE',
    value: (row) => `${row.package} ${row.packageVersion}`,
    wide: true,
    dropOrder: 3,
  },
  { header: 'FEATURES', value: ({ features = [] }) => features.join(',') || '-', wide: true, dropOrder: 2 },
  { header: 'WHY', value: explain, minWidth: 20 },
];

function endpointOf({ type, id, attempts }: EngineDocument): string {
  if (id !== undefined) return id.startsWith(`${type}:`) ? id.slice(type.length + 1) : id;
  return attempts.find(({ outcome }) => outcome === 'failed')?.endpoint ?? '-';
}

function explain({ status, reason, attempts }: EngineDocument): string {
  if (status === 'connected') {
    const { origin } = attempts.find(({ outcome }) => outcome === 'ok') ?? {};
    return origin === 'environment'
      ? 'named by the environment'
      : origin === 'well-known'
        ? 'found at a usual place'
        : reason;
  }
  const failed = attempts.find(({ outcome }) => outcome === 'failed');
  if (failed !== undefined) return [failed.message, failed.remedy ?? ''].join(' ').trim();
  const looked = attempts.map(({ endpoint }) => endpoint);
  return looked.length === 0 ? reason : `nothing at ${looked.join(', ')}`;
}
