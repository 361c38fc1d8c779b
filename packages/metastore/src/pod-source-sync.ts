/** Follows one source of pods on behalf of a store, and keeps account of how far it can be relied on. */
import { ClosedError, type CrikitError, isCrikitError, type Logger } from '@crikit/core';
import type { Clock } from './clock.js';
import { PodSourceError } from './errors/pod-source-error.js';
import type { PodSourceStatus } from './meta-store-status.js';
import type { PodSource, PodSourceSession, PodSourceState, PodUpdate } from './pod-source.js';

/** A source that has neither told of pods nor of trouble by then does not hold up the store any longer. */
const firstPodsTimeoutMs = 5_000;

export interface PodSourceSyncOptions {
  readonly podSource: PodSource;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly hostRoot: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onUpdate: (update: PodUpdate) => void;
  /** Whether it follows its pods. */
  readonly onLive: (isLive: boolean) => void;
}

export interface PodSourceSync {
  /**
   * Opens the source. Resolves when it has told of its pods, to undefined, or to the reason why it cannot for now.
   */
  open(): Promise<CrikitError | undefined>;
  hint(): void;
  status(): PodSourceStatus;
  close(): Promise<void>;
}

export function createPodSourceSync(options: PodSourceSyncOptions): PodSourceSync {
  const { podSource, clock, logger } = options;
  const isFollowed = podSource.open !== undefined;
  let session: PodSourceSession | undefined;
  let last: PodSourceState | undefined;
  let connections = 0;
  let lastUpdateMs: number | undefined;
  let failure: CrikitError | undefined;
  let isClosed = false;
  let settle: (reason: CrikitError | undefined) => void = () => {};

  const takeState = (next: PodSourceState): void => {
    if (isClosed) return;
    if (next.state === 'live' && (last?.state !== 'live' || last.backend !== next.backend)) connections += 1;
    const wasLive = last?.state === 'live';
    last = next;
    if ((next.state === 'live') !== wasLive) options.onLive(next.state === 'live');
    if (next.state === 'stale') settle(next.error ?? new PodSourceError('UNAVAILABLE', 'The pod source is away.'));
  };

  const giveUp = (cause: unknown): void => {
    if (isClosed) return;
    failure = isCrikitError(cause)
      ? cause
      : new PodSourceError('UNSUPPORTED', `The pod source ${podSource.name} failed: ${String(cause)}.`, { cause });
    logger.warn({ err: failure, podSource: podSource.name }, 'the pod source does not work here');
    settle(failure);
  };

  return {
    open: () =>
      new Promise((resolve) => {
        if (podSource.open === undefined) {
          resolve(undefined);
          return;
        }
        const cancelTimer = clock.setTimer(
          () => settle(new PodSourceError('TIMEOUT', `The pod source ${podSource.name} has told of no pods yet.`)),
          firstPodsTimeoutMs,
        );
        settle = (reason) => {
          cancelTimer();
          settle = () => {};
          resolve(reason);
        };
        try {
          session = podSource.open({
            environment: options.environment,
            hostRoot: options.hostRoot,
            logger,
            clock,
            onUpdate: (update) => {
              if (isClosed) return;
              lastUpdateMs = clock.now();
              options.onUpdate(update);
            },
            onState: takeState,
          });
          session.ready.then(() => settle(undefined), giveUp);
        } catch (error) {
          giveUp(error);
        }
      }),
    hint: () => {
      try {
        session?.hint?.();
      } catch (error) {
        logger.error({ err: error, podSource: podSource.name }, 'the pod source threw at a hint');
      }
    },
    status: () => {
      const error = failure ?? last?.error;
      const state = !isFollowed ? 'live' : failure !== undefined ? 'stale' : (last?.state ?? 'starting');
      return {
        name: podSource.name,
        backend: last?.backend ?? (isFollowed ? 'none' : 'containers'),
        state,
        connections,
        ...(last === undefined
          ? {}
          : { sinceMs: last.sinceMs, ageMs: state === 'live' ? 0 : clock.now() - last.sinceMs }),
        ...(lastUpdateMs === undefined ? {} : { lastUpdateMs }),
        ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
      };
    },
    close: async () => {
      isClosed = true;
      settle(new ClosedError('The store was closed.', { applied: 'no' }));
      await session?.[Symbol.asyncDispose]();
    },
  };
}
