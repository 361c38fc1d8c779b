/** Hands a store's events to any number of readers, each at its own pace and none able to make memory grow. */
import { listPresentState } from './list-events.js';
import type { MetaStoreEvent } from './meta-store-event.js';
import type { Snapshot } from './snapshot.js';

/** Events that may wait for one reader before it gets a resync instead. */
export const defaultMaxWaitingEvents = 1_000;

export interface EventStreams {
  publish(events: readonly MetaStoreEvent[]): void;
  /** A reader that begins with the present state. */
  open(options: {
    readonly signal?: AbortSignal | undefined;
    readonly maxWaiting?: number | undefined;
  }): AsyncIterableIterator<MetaStoreEvent>;
  /** Ends all readers, after what already waits for them. */
  close(): void;
}

interface Reader {
  publish(events: readonly MetaStoreEvent[]): void;
  /** After what waits for it. */
  close(): void;
  /** At once. */
  end(): void;
}

export function createEventStreams(currentSnapshot: () => Snapshot): EventStreams {
  const readers = new Set<Reader>();
  let closed = false;
  return {
    publish: (events) => {
      for (const reader of readers) reader.publish(events);
    },
    open: ({ signal, maxWaiting = defaultMaxWaitingEvents }) => {
      const { reader, iterator } = createReader(currentSnapshot, maxWaiting, signal, () => readers.delete(reader));
      if (signal?.aborted === true) reader.end();
      else if (closed) reader.close();
      else readers.add(reader);
      return iterator;
    },
    close: () => {
      closed = true;
      for (const reader of readers) reader.close();
    },
  };
}

function createReader(
  currentSnapshot: () => Snapshot,
  maxWaiting: number,
  signal: AbortSignal | undefined,
  onEnd: () => void,
): { reader: Reader; iterator: AsyncIterableIterator<MetaStoreEvent> } {
  let present: Iterator<MetaStoreEvent> | undefined = listPresentState(currentSnapshot());
  let waiting: MetaStoreEvent[] = [];
  let read = 0;
  let overrun = false;
  let closing = false;
  let ended = false;
  const asking: ((result: IteratorResult<MetaStoreEvent>) => void)[] = [];

  const end = (): void => {
    if (ended) return;
    ended = true;
    present = undefined;
    waiting = [];
    signal?.removeEventListener('abort', end);
    onEnd();
    for (const answer of asking.splice(0)) answer({ done: true, value: undefined });
  };

  const take = (): MetaStoreEvent | undefined => {
    if (overrun) {
      overrun = false;
      const { sequence, timeMs, pods, containers } = currentSnapshot();
      return { type: 'resync', sequence, timeMs, pods, containers };
    }
    const first = present?.next();
    if (first !== undefined && first.done !== true) return first.value;
    present = undefined;
    if (read === waiting.length) return undefined;
    const event = waiting[read];
    read += 1;
    // What was read is dropped in large pieces: shifting each would copy the queue for each event.
    if (read === waiting.length || read > maxWaiting) {
      waiting = waiting.slice(read);
      read = 0;
    }
    return event;
  };

  const serve = (): void => {
    while (asking.length > 0) {
      const event = take();
      if (event === undefined) {
        if (closing) end();
        return;
      }
      asking.shift()?.({ done: false, value: event });
    }
  };

  signal?.addEventListener('abort', end, { once: true });

  return {
    reader: {
      end,
      publish: (events) => {
        if (ended || closing || overrun) return;
        // Looked at before the new ones are added: one large change must not overrun a reader that keeps up.
        if (waiting.length - read > maxWaiting) {
          overrun = true;
          present = undefined;
          waiting = [];
          read = 0;
          return;
        }
        for (const event of events) waiting.push(event);
        serve();
      },
      close: () => {
        closing = true;
        serve();
        if (!ended && !overrun && present === undefined && read === waiting.length) end();
      },
    },
    iterator: {
      next: () =>
        new Promise((resolve) => {
          if (ended) {
            resolve({ done: true, value: undefined });
            return;
          }
          asking.push(resolve);
          serve();
        }),
      return: async () => {
        end();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    },
  };
}
