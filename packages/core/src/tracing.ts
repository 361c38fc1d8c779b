import { channel, tracingChannel } from 'node:diagnostics_channel';

/** What subscribers of `crikit:*` tracing channels get: who, where and what; `error` is set when it failed. */
export interface TraceContext {
  readonly engine: string;
  /** Full container id; absent where a call is about no single one. */
  readonly container?: string;
  readonly command?: readonly string[];
  readonly [detail: string]: unknown;
}

const stages = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/**
 * Runs `operation` on the tracing channel `crikit:<name>`. Without a subscriber it costs a few look-ups.
 * https://nodejs.org/api/diagnostics_channel.html#class-tracingchannel
 */
export function trace<Value>(name: string, context: TraceContext, operation: () => Promise<Value>): Promise<Value> {
  const heard = stages.some((stage) => channel(`tracing:crikit:${name}:${stage}`).hasSubscribers);
  if (!heard) return operation();
  return tracingChannel(`crikit:${name}`).tracePromise(operation, context) as Promise<Value>;
}
