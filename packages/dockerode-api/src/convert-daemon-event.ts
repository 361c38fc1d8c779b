import type { EngineEvent, EngineEventAction } from '@crikit/core';
import { isRecord } from './daemon-replies.js';

/** An event's members, under one spelling for daemons that differ in it. */
export interface DaemonEvent {
  readonly type: unknown;
  readonly action: unknown;
  readonly actor: unknown;
  readonly time: unknown;
  readonly timeNano: unknown;
}

// There are more (exec_start, attach, top, …); what cannot change a container's state or detail is left out.
const actions: ReadonlyMap<string, EngineEventAction> = new Map([
  ['create', 'created'],
  ['start', 'started'],
  ['die', 'exited'],
  ['pause', 'paused'],
  ['unpause', 'resumed'],
  ['destroy', 'removed'],
  ['oom', 'out-of-memory'],
  ['rename', 'updated'],
  ['update', 'updated'],
]);

/** Undefined for what is no change of a container. */
export function convertDaemonEvent({
  type,
  action: name,
  actor,
  time,
  timeNano,
}: DaemonEvent): EngineEvent | undefined {
  if (!isRecord(actor)) return undefined;
  const { ID: id, Attributes: attributes } = actor;
  const action = typeof name === 'string' ? actions.get(name) : undefined;
  if (action === undefined || (type !== undefined && type !== 'container')) return undefined;
  if (typeof id !== 'string' || id === '') return undefined;
  const exitCode = action === 'exited' && isRecord(attributes) ? Number(attributes.exitCode) : Number.NaN;
  return {
    action,
    reference: { scope: '', id },
    timeMs: eventTimeMs(time, timeNano),
    ...(Number.isInteger(exitCode) ? { exitCode } : {}),
  };
}

function eventTimeMs(time: unknown, timeNano: unknown): number {
  // Nanoseconds since 1970 are beyond what a number holds exactly; milliseconds are what is left of them.
  if (typeof timeNano === 'number' && timeNano > 0) return Math.floor(timeNano / 1_000_000);
  return typeof time === 'number' ? time * 1_000 : 0;
}
