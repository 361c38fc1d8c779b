/** Listens to what core and the store tell of themselves on `crikit:*` tracing channels. */
import { type TracingChannelSubscribers, tracingChannel } from 'node:diagnostics_channel';
import { isCrikitError, type TraceContext } from '@crikit/core';

export const operations = ['copy', 'details', 'dial', 'exec', 'session', 'sync'] as const;

export interface OperationOutcome {
  readonly operation: (typeof operations)[number];
  readonly engine: string;
  readonly durationMs: number;
  /** Code of the error; absent when it worked. */
  readonly failure?: string;
}

/** Calls `onEnd` for each operation that ends. Returns the function that stops it. */
export function followOperations(onEnd: (outcome: OperationOutcome) => void): () => void {
  const stops = operations.map((operation) => {
    const startedAt = new WeakMap<object, number>();
    const channel = tracingChannel<string, TraceContext>(`crikit:${operation}`);
    const subscribers: TracingChannelSubscribers<TraceContext> = {
      start: (context) => {
        startedAt.set(context, performance.now());
      },
      end: () => {},
      asyncStart: () => {},
      error: () => {},
      asyncEnd: (context) => {
        const started = startedAt.get(context);
        if (started === undefined) return;
        onEnd({
          operation,
          engine: context.engine,
          durationMs: performance.now() - started,
          ...('error' in context ? { failure: codeOf(context.error) } : {}),
        });
      },
    };
    channel.subscribe(subscribers);
    return () => channel.unsubscribe(subscribers);
  });
  return () => {
    for (const stop of stops) stop();
  };
}

function codeOf(error: unknown): string {
  return isCrikitError(error) ? error.code : 'OTHER';
}
