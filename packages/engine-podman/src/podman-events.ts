import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import {
  type CrikitError,
  type EngineEvent,
  type EngineEventAction,
  EngineUnavailableError,
  type EventFeed,
} from '@crikit/core';

/** Makes a feed of the body of `GET /events`. */
export function createPodmanEventFeed(
  source: IncomingMessage,
  onEvent: (event: EngineEvent) => void,
  engine: string,
): EventFeed {
  let finish: (outcome: { readonly error?: CrikitError }) => void = () => {};
  let finished = false;
  const ended = new Promise<{ readonly error?: CrikitError }>((resolve) => {
    finish = (outcome) => {
      finished = true;
      resolve(outcome);
      source.destroy();
    };
  });
  const lose = (why: string): void => {
    const options = { engine, applied: 'no', retryable: true } as const;
    finish({ error: new EngineUnavailableError(`Podman's event stream was lost: ${why}.`, options) });
  };
  const lines = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on('error', () => {});
  lines.on('line', (line) => {
    if (finished || line.trim() === '') return;
    try {
      const event = convertPodmanEvent(JSON.parse(line));
      if (event !== undefined) onEvent(event);
    } catch (error) {
      lose((error as Error).message);
    }
  });
  source.on('error', (error) => lose(error.message));
  source.on('close', () => lose('the connection was closed'));
  return {
    ended,
    async [Symbol.asyncDispose]() {
      finish({});
    },
  };
}

const actions: ReadonlyMap<string, EngineEventAction> = new Map([
  ['create', 'created'],
  ['start', 'started'],
  ['died', 'exited'],
  ['pause', 'paused'],
  ['unpause', 'resumed'],
  ['remove', 'removed'],
  ['rename', 'updated'],
  ['update', 'updated'],
]);

/** Undefined for what is no change of a container. */
export function convertPodmanEvent(document: unknown): EngineEvent | undefined {
  const { Type, Action, Actor, timeNano } = (document ?? {}) as {
    Type?: string;
    Action?: string;
    Actor?: { ID?: string; Attributes?: Record<string, string> };
    timeNano?: number;
  };
  const action = actions.get(Action ?? '');
  const id = Actor?.ID ?? '';
  if (Type !== 'container' || action === undefined || id === '') return undefined;
  const exitCode = action === 'exited' ? Number(Actor?.Attributes?.containerExitCode ?? Number.NaN) : Number.NaN;
  return {
    action,
    reference: { scope: '', id },
    // Nanoseconds since 1970 are beyond what a number holds exactly; milliseconds are what is left of them.
    timeMs: Math.floor((timeNano ?? 0) / 1_000_000),
    ...(Number.isInteger(exitCode) ? { exitCode } : {}),
  };
}
