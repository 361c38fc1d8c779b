import type { EngineEvent } from '@crikit/core';
import { convertDaemonEvent, isRecord } from '@crikit/dockerode-api';

/** Undefined for what is no change of a container. */
export function convertDockerEvent(document: unknown): EngineEvent | undefined {
  if (!isRecord(document)) return undefined;
  const { Type: type, Action: action, Actor: actor, time, timeNano } = document;
  return convertDaemonEvent({ type, action, actor, time, timeNano });
}
