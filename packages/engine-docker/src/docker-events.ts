import type { Readable } from 'node:stream';
import {
  type CrikitError,
  type EngineEvent,
  type EngineEventAction,
  EngineUnavailableError,
  type EventFeed,
  ProtocolError,
} from '@crikit/core';
import { isRecord } from './docker-replies.js';
import { createJsonDocumentSplitter } from './split-json-documents.js';

/** Makes a feed of the body of `GET /events`, from the moment that its headers have come. */
export function createDockerEventFeed(
  source: Readable,
  onEvent: (event: EngineEvent) => void,
  engine: string,
): EventFeed {
  let finished = false;
  let settle = (_outcome: { readonly error?: CrikitError }): void => {};
  const ended = new Promise<{ readonly error?: CrikitError }>((resolve) => {
    settle = resolve;
  });
  const finish = (outcome: { readonly error?: CrikitError }): void => {
    finished = true;
    settle(outcome);
  };
  const lose = (why: string, cause?: unknown): void => {
    finish({
      error: new EngineUnavailableError(`Docker's event stream was lost: ${why}.`, {
        engine,
        applied: 'no',
        retryable: true,
        cause,
      }),
    });
    source.destroy();
  };
  const push = createJsonDocumentSplitter((document) => {
    // What is already in the buffers of a stream still comes after its end.
    const event = finished ? undefined : convertDockerEvent(document);
    if (event !== undefined) onEvent(event);
  });
  source.on('data', (chunk: Buffer) => {
    try {
      push(chunk);
    } catch (error) {
      finish({
        error: new ProtocolError(`Docker's event stream is not readable: ${(error as Error).message}.`, {
          engine,
          applied: 'no',
          retryable: true,
          cause: error,
        }),
      });
      source.destroy();
    }
  });
  // A daemon that is killed shows as `aborted`, `error` and `close`, never as `end`; the first of them counts.
  source.on('error', (error) => lose(error.message, error));
  source.on('aborted', () => lose('the connection was cut'));
  source.on('end', () => lose('the daemon ended it'));
  source.on('close', () => lose('the connection was closed'));
  return {
    ended,
    async [Symbol.asyncDispose]() {
      finish({});
      source.destroy();
    },
  };
}

// Docker has more (exec_start, attach, top, …); what cannot change a container's state or detail is left out.
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
export function convertDockerEvent(document: unknown): EngineEvent | undefined {
  if (!isRecord(document) || !isRecord(document.Actor)) return undefined;
  const { Type: type, Action: name, Actor: actor } = document;
  const { ID: id, Attributes: attributes } = actor;
  const action = typeof name === 'string' ? actions.get(name) : undefined;
  if (action === undefined || (type !== undefined && type !== 'container')) return undefined;
  if (typeof id !== 'string' || id === '') return undefined;
  const exitCode = action === 'exited' && isRecord(attributes) ? Number(attributes.exitCode) : Number.NaN;
  return {
    action,
    reference: { scope: '', id },
    timeMs: eventTimeMs(document),
    ...(Number.isInteger(exitCode) ? { exitCode } : {}),
  };
}

function eventTimeMs({ timeNano, time }: Record<string, unknown>): number {
  // Nanoseconds since 1970 are beyond what a number holds exactly; milliseconds are what is left of them.
  if (typeof timeNano === 'number' && timeNano > 0) return Math.floor(timeNano / 1_000_000);
  return typeof time === 'number' ? time * 1_000 : 0;
}
