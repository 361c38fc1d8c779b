import type { ContainerStatus } from '@crikit/core';
import type { DaemonInspect } from '@crikit/dockerode-api';

const statuses: ReadonlyMap<string, ContainerStatus> = new Map([
  ['created', 'created'],
  ['running', 'running'],
  ['paused', 'paused'],
  ['restarting', 'restarting'],
  ['exited', 'exited'],
  // Ended by a call to stop it.
  ['stopped', 'exited'],
  ['removing', 'dead'],
  ['dead', 'dead'],
]);

export function convertPouchStatus({ Status: status, Paused: paused }: DaemonInspect['State']): ContainerStatus {
  return paused === true ? 'paused' : (statuses.get(status) ?? 'unknown');
}

/**
 * Pouch's list has no state, only a text for people: `Up 5 seconds`, `Up 0 second(paused)`, `Exited (3) 4 seconds`,
 * `Stopped (137) 1 second`, `created`.
 */
export function parsePouchStatusText(text: string): ContainerStatus {
  if (/^Up\b/.test(text)) return text.endsWith('(paused)') ? 'paused' : 'running';
  const [word = ''] = /^\w+/.exec(text) ?? [];
  return statuses.get(word.toLowerCase()) ?? 'unknown';
}
