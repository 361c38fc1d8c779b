import type { Readable } from 'node:stream';
import {
  type CrikitError,
  type EngineEvent,
  EngineUnavailableError,
  type EventFeed,
  ProtocolError,
} from '@crikit/core';
import type { Daemon } from './daemon.js';
import { createJsonDocumentSplitter } from './split-json-documents.js';

/**
 * Makes a feed of the body of `GET /events`, from the moment that its headers have come. `convert` gives undefined for
 * what is no change of a container, and throws for what ends the feed.
 */
export function createDaemonEventFeed(
  source: Readable,
  onEvent: (event: EngineEvent) => void,
  convert: (document: unknown) => EngineEvent | undefined,
  { product, engine }: Daemon,
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
      error: new EngineUnavailableError(`${product}'s event stream was lost: ${why}.`, {
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
    const event = finished ? undefined : convert(document);
    if (event !== undefined) onEvent(event);
  });
  source.on('data', (chunk: Buffer) => {
    try {
      push(chunk);
    } catch (error) {
      finish({
        error: new ProtocolError(`${product}'s event stream is not readable: ${(error as Error).message}.`, {
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
