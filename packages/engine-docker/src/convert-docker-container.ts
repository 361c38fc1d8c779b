import type { ContainerDetail, ContainerStatus, ContainerSummary } from '@crikit/core';
import { convertInspect, convertListItem, type DaemonInspect, type DaemonListItem } from '@crikit/dockerode-api';
import { readDockerMarks } from './docker-kubernetes-marks.js';

/** Without a `revision`: who remembers what was inspected before adds it. */
export function convertDockerSummary(item: DaemonListItem, trustLabels: boolean): ContainerSummary {
  return convertListItem(item, (name) => ({
    status: convertDockerStatus(item.State),
    kubernetes: readDockerMarks(name, item.Labels, trustLabels),
  }));
}

export function convertDockerDetail(inspect: DaemonInspect, trustLabels: boolean, revision: string): ContainerDetail {
  return convertInspect(
    inspect,
    (name) => ({
      status: convertDockerStatus(inspect.State.Status),
      kubernetes: readDockerMarks(name, inspect.Config?.Labels ?? {}, trustLabels),
      withheld: {},
    }),
    revision,
  );
}

const statuses: ReadonlyMap<string, ContainerStatus> = new Map([
  ['created', 'created'],
  ['running', 'running'],
  ['paused', 'paused'],
  ['restarting', 'restarting'],
  ['removing', 'dead'],
  ['exited', 'exited'],
  ['dead', 'dead'],
]);

export function convertDockerStatus(state: string | undefined): ContainerStatus {
  return statuses.get(state ?? '') ?? 'unknown';
}
