import type { Container, Pod } from '@crikit/core';
import { formatAge } from './format-age.js';
import type { Column, Style } from './render-table.js';
import { startedAt } from './started-at.js';

export interface ContainerRow {
  readonly container: Container;
  readonly pod: Pod | undefined;
}

/** The columns of `ps`. */
export function containerColumns(nowMs: number, hostRoot: string): readonly Column<ContainerRow>[] {
  return [
    { header: 'ID', value: ({ container }) => container.shortId },
    { header: 'NAMESPACE', value: ({ pod }) => pod?.namespace || '-', dropOrder: 2, minWidth: 8 },
    { header: 'POD', value: ({ pod }) => pod?.name ?? '-', minWidth: 8 },
    { header: 'CONTAINER', value: ({ container }) => container.k8sName ?? container.name, minWidth: 8 },
    { header: 'ROLE', value: ({ container }) => container.role ?? '-', dropOrder: 3 },
    {
      header: 'STATUS',
      value: ({ container }) => describeStatus(container),
      style: ({ container }) => statusStyle(container),
    },
    { header: 'AGE', value: ({ container }) => formatAge(startedAt(container, hostRoot), nowMs), dropOrder: 1 },
    { header: 'ENGINE', value: ({ container }) => container.engineType, dropOrder: 4 },
    { header: 'PID', value: ({ container }) => String(container.state.pid || '-'), wide: true, align: 'right' },
    { header: 'RUNTIME', value: ({ container }) => container.runtime ?? '-', wide: true, dropOrder: 5 },
    { header: 'IMAGE', value: ({ container }) => container.image ?? '-', dropOrder: 6, minWidth: 12 },
  ];
}

export function describeStatus({ state }: Pick<Container, 'state'>): string {
  return state.exitCode === undefined ? state.status : `${state.status} (${state.exitCode})`;
}

export function statusStyle({ state: { status, exitCode } }: Pick<Container, 'state'>): Style | undefined {
  if (status === 'running') return 'green';
  if (status === 'dead' || (exitCode ?? 0) !== 0) return 'red';
  return status === 'exited' ? 'gray' : 'yellow';
}
