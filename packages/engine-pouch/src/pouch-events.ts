import type { EngineEvent } from '@crikit/core';
import { convertDaemonEvent, isRecord } from '@crikit/dockerode-api';

/** What `GET /events` is asked for. Here Pouch wants maps where Docker has lists. */
export const POUCH_EVENT_FILTERS = { type: { container: true } };

/**
 * Undefined for what is no change of a container. Throws with Pouch's words for the line that stands alone in a reply
 * of status 200 when Pouch could not read the request.
 */
export function convertPouchEvent(document: unknown): EngineEvent | undefined {
  if (!isRecord(document)) return undefined;
  const { type, action, actor, time, timeNano, message } = document;
  if (action === undefined && typeof message === 'string') throw new Error(message);
  return convertDaemonEvent({ type, action, actor, time, timeNano });
}
