import type { LogEntry, LogPart, LogStream } from './log-entry.js';

/** A line longer than this is given in pieces. */
const maxEntryBytes = 1024 * 1024;

interface Begun {
  readonly time: string;
  readonly texts: Buffer[];
  bytes: number;
}

export interface LogJoiner {
  /** The entry that the part ends, if it ends one. */
  add(part: LogPart): LogEntry | undefined;
  /** What is begun and has not ended. */
  flush(): readonly LogEntry[];
}

/** Makes whole lines of parts; the parts of the two streams may be mixed. */
export function createLogJoiner(): LogJoiner {
  const begun = new Map<LogStream, Begun>();
  const take = (stream: LogStream, { time, texts }: Begun, endsLine: boolean): LogEntry => {
    begun.delete(stream);
    return { time, stream, text: Buffer.concat(texts), endsLine };
  };
  return {
    add({ time, stream, text, isPartial }) {
      const current = begun.get(stream) ?? { time, texts: [], bytes: 0 };
      // What was read into a larger buffer must not keep all of it.
      current.texts.push(isPartial ? Buffer.from(text) : text);
      current.bytes += text.length;
      if (!isPartial) return take(stream, current, true);
      if (current.bytes >= maxEntryBytes) return take(stream, current, false);
      begun.set(stream, current);
      return undefined;
    },
    flush: () => [...begun].map(([stream, current]) => take(stream, current, false)),
  };
}
