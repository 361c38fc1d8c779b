import type { ContainerDetail, ContainerSummary } from '@crikit/core';
import {
  convertInspect,
  convertListItem,
  type DaemonInspect,
  type DaemonListItem,
  shortRuntimeName,
} from '@crikit/dockerode-api';
import { readPouchMarks } from './pouch-kubernetes-marks.js';
import { convertPouchStatus, parsePouchStatusText } from './pouch-status.js';
import { isVirtualMachineRuntime } from './virtual-machine-runtime.js';

export interface PouchReading {
  readonly trustLabels: boolean;
  readonly allowArchive: boolean;
}

export function convertPouchSummary(item: DaemonListItem, { trustLabels }: PouchReading): ContainerSummary {
  return convertListItem(item, (name) => ({
    status: parsePouchStatusText(item.Status),
    kubernetes: readPouchMarks(name, item.Labels, trustLabels),
  }));
}

export function convertPouchDetail(inspect: DaemonInspect, reading: PouchReading): ContainerDetail {
  const { Config: config = {}, State: state } = inspect;
  return convertInspect(inspect, (name) => ({
    status: convertPouchStatus(state),
    kubernetes: readPouchMarks(name, config.Labels ?? {}, reading.trustLabels, config.SpecAnnotation ?? {}),
    withheld: withheld(inspect, reading),
  }));
}

function withheld(inspect: DaemonInspect, { allowArchive }: PouchReading): ContainerDetail['withheld'] {
  const archive = archiveObjection(inspect, allowArchive);
  return archive === undefined ? {} : { archive };
}

/** Why the archive routes may not serve a container; undefined when they may. */
export function archiveObjection({ HostConfig }: DaemonInspect, allowArchive: boolean): string | undefined {
  const runtime = shortRuntimeName(HostConfig?.Runtime);
  if (!allowArchive) {
    return 'Pouch’s archive routes can be led out of a container onto the node; pouch({ allowArchive: true }) allows them.';
  }
  if (isVirtualMachineRuntime(runtime)) {
    return `Under ${runtime} the container is a virtual machine, and Pouch’s archive routes do not see its files.`;
  }
  return undefined;
}
