/** The store's events as server-sent events, for any number of readers, none of whom can make memory grow. */
import type { MetaStore, MetaStoreEvent } from '@crikit/metastore';
import { type EventView, viewEvent } from './view-event.js';
import { type StatusView, viewStatus } from './view-status.js';

/** What a feed needs of a response; that of node:http fits. */
export interface EventResponse {
  /** False when the reader lags: `drain` tells when it has caught up. */
  write(text: string): boolean;
  end(): unknown;
  destroy(): unknown;
  on(event: 'drain' | 'close', listener: () => void): unknown;
}

export interface EventFeedOptions {
  readonly store: MetaStore;
  /** Default: 32. */
  readonly maxReaders?: number;
  /** Events that may wait for one reader before one `resync` replaces them. Default: 1,000. */
  readonly maxWaiting?: number;
  /** Between two looks at the state of engines and of the source of pods. Default: 1 s. */
  readonly statusIntervalMs?: number;
  /** Between two comments, without which proxies take a quiet connection for dead. Default: 15 s. */
  readonly keepAliveMs?: number;
  /** How long a reader may take nothing before it is dropped. Default: 60 s. */
  readonly stalledMs?: number;
}

export interface EventFeed {
  /**
   * Writes to `response`: first `resync` with the present state and `status`, then each change, and `status` whenever it
   * is another. False, and nothing written, when there are too many readers.
   */
  open(response: EventResponse): boolean;
  readerCount(): number;
  /** Ends all streams. */
  close(): void;
}

interface Reader {
  /** Writes the status now, or when the reader has caught up. */
  tellStatus(status: StatusView): void;
  /** Drops a reader that takes nothing, keeps the connection of another alive. */
  look(nowMs: number): void;
  end(): void;
}

export function createEventFeed(options: EventFeedOptions): EventFeed {
  const {
    store,
    maxReaders = 32,
    maxWaiting = 1_000,
    statusIntervalMs = 1_000,
    keepAliveMs = 15_000,
    stalledMs = 60_000,
  } = options;
  const readers = new Set<Reader>();
  let timer: NodeJS.Timeout | undefined;
  let lastStatus = '';
  let closed = false;

  const tick = (): void => {
    const now = Date.now();
    const status = viewStatus(store, now);
    const comparable = withoutAges(status);
    for (const reader of readers) reader.look(now);
    if (comparable === lastStatus) return;
    lastStatus = comparable;
    for (const reader of readers) reader.tellStatus(status);
  };

  const openReader = (response: EventResponse): void => {
    const ending = new AbortController();
    let blockedSinceMs: number | undefined;
    let lastWriteMs = Date.now();
    let dueStatus: StatusView | undefined;
    let onDrain: (() => void) | undefined;

    const write = (text: string): void => {
      lastWriteMs = Date.now();
      if (!response.write(text)) blockedSinceMs ??= lastWriteMs;
    };
    const caughtUp = async (): Promise<void> => {
      while (blockedSinceMs !== undefined && !ending.signal.aborted) {
        await new Promise<void>((resolve) => {
          onDrain = resolve;
        });
      }
    };
    const reader: Reader = {
      tellStatus: (status) => {
        if (blockedSinceMs === undefined) write(format('status', status));
        else dueStatus = status;
      },
      look: (now) => {
        if (blockedSinceMs !== undefined) {
          if (now - blockedSinceMs >= stalledMs) response.destroy();
        } else if (now - lastWriteMs >= keepAliveMs) {
          write(': still here\n\n');
        }
      },
      end: () => {
        ending.abort();
        response.end();
      },
    };
    response.on('drain', () => {
      blockedSinceMs = undefined;
      if (dueStatus !== undefined) {
        const status = dueStatus;
        dueStatus = undefined;
        write(format('status', status));
      }
      onDrain?.();
    });
    response.on('close', () => {
      ending.abort();
      onDrain?.();
      readers.delete(reader);
      if (readers.size === 0) stopTimer();
    });
    readers.add(reader);
    timer ??= setInterval(tick, statusIntervalMs).unref();

    void (async () => {
      // In one turn, so that both show the same snapshot and nothing falls between.
      const present = presentState(store);
      const events = store.events({ signal: ending.signal, maxWaiting });
      write('retry: 2000\n\n');
      write(format('resync', viewEvent(present, Date.now())));
      const status = viewStatus(store, Date.now());
      write(format('status', status));
      await caughtUp();
      for await (const event of events) {
        if (event.sequence <= present.sequence && event.type !== 'resync') continue;
        write(format(event.type, viewEvent(event, Date.now())));
        await caughtUp();
      }
      reader.end();
    })();
  };

  const stopTimer = (): void => {
    clearInterval(timer);
    timer = undefined;
  };

  return {
    open: (response) => {
      if (closed || readers.size >= maxReaders) return false;
      openReader(response);
      return true;
    },
    readerCount: () => readers.size,
    close: () => {
      closed = true;
      stopTimer();
      for (const reader of readers) reader.end();
    },
  };
}

function presentState(store: MetaStore): MetaStoreEvent & { type: 'resync' } {
  const { sequence, snapshotMs } = store.status();
  return {
    type: 'resync',
    sequence,
    timeMs: snapshotMs ?? Date.now(),
    pods: store.getAllPods(),
    containers: store.getAllContainers({ withoutPod: true }),
  };
}

/** What the clock alone changes says nothing new. */
function withoutAges({ nowMs, ...status }: StatusView): string {
  return JSON.stringify(status, (key, value: unknown) => (key === 'ageMs' ? undefined : value));
}

/** JSON has no line ends, so one `data` line holds it. */
function format(name: string, data: EventView | StatusView): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
