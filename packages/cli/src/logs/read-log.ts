/** The log of one container from its file on the node, rotated files included, and what is written to it from now on. */
import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import { findTail } from './find-tail.js';
import { createLogJoiner } from './join-log-parts.js';
import { createLineSplitter } from './line-splitter.js';
import type { LogEntry, LogStream } from './log-entry.js';
import { type LogFile, openLogFile, openRotatedLogs } from './log-files.js';
import { parseLogLine } from './parse-log-line.js';

export interface ReadLogOptions {
  readonly signal: AbortSignal;
  /** Only these. Default: both. */
  readonly streams?: ReadonlySet<LogStream>;
  /** Only the last so many lines. Default: all. */
  readonly tail?: number;
  /** Only lines from this time on, in milliseconds since 1970. Default: all. */
  readonly sinceMs?: number;
  /** Whether to wait for more. Default: false. */
  readonly follow?: boolean;
  /** Asked while following: whether nothing can come any more. Default: never. */
  isOver?(): boolean;
  /** Told of lines in no known format. Default: nobody is told. */
  onUnreadable?(path: string): void;
}

const pollMs = 100;
const chunkBytes = 64 * 1024;

/**
 * Yields a container's lines in the order of the files. Following goes on across rotation (a new file takes the path) and
 * truncation, and ends when `isOver`, or rejects with the signal's reason. Rejects as `openLogFile`.
 */
export async function* readLog(path: string, options: ReadLogOptions): AsyncGenerator<LogEntry> {
  const { signal } = options;
  const read = createReader(options);
  let current = await openLogFile(path);
  try {
    const rotated = (await openRotatedLogs(path)).filter(({ inode }) => inode !== current.inode);
    let position = 0;
    try {
      const begin = await findBegin(current, rotated, options);
      for (const [index, file] of rotated.entries()) {
        if (index >= begin.firstRotated) yield* read.file(file, index === begin.firstRotated ? begin.rotatedOffset : 0);
      }
      position = yield* read.from(current, begin.currentOffset);
    } finally {
      await Promise.all(rotated.map(({ handle }) => handle.close()));
    }
    while (options.follow === true) {
      signal.throwIfAborted();
      const isOver = options.isOver?.() === true;
      const before = position;
      position = yield* read.from(current, position);
      const now = await stat(path, { bigint: true }).catch(() => undefined);
      if (now !== undefined && now.ino !== current.inode) {
        // The writer has another file now: what it left in this one is final.
        yield* read.from(current, position);
        read.restart();
        const missed = await openRotatedLogs(path);
        const old = missed.findIndex(({ inode }) => inode === current.inode);
        try {
          const next = await openLogFile(path).catch(() => undefined);
          if (next !== undefined) {
            for (const file of old === -1 ? [] : missed.slice(old + 1)) {
              if (file.inode !== next.inode) yield* read.file(file, 0);
            }
            await current.handle.close();
            current = next;
            position = 0;
            continue;
          }
        } finally {
          await Promise.all(missed.map(({ handle }) => handle.close()));
        }
      } else if (now !== undefined && Number(now.size) < position) {
        read.restart();
        position = 0;
        continue;
      }
      if (isOver && position === before) break;
      if (position === before) await delay(pollMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
    yield* read.rest();
  } finally {
    await current.handle.close();
  }
}

interface Begin {
  /** Index of the first rotated file to read; their number for none. */
  readonly firstRotated: number;
  readonly rotatedOffset: number;
  readonly currentOffset: number;
}

async function findBegin(current: LogFile, rotated: readonly LogFile[], options: ReadLogOptions): Promise<Begin> {
  const { tail, sinceMs, streams } = options;
  if (tail === undefined) {
    const first = sinceMs === undefined ? 0 : rotated.findIndex(({ modifiedMs }) => modifiedMs >= sinceMs);
    return { firstRotated: first === -1 ? rotated.length : first, rotatedOffset: 0, currentOffset: 0 };
  }
  const counts = (line: Buffer): boolean => {
    const part = parseLogLine(line);
    return part !== undefined && !part.isPartial && (streams === undefined || streams.has(part.stream));
  };
  const { size } = await current.handle.stat();
  const { offset, found } = await findTail(current.handle, size, tail, counts);
  let missing = tail - found;
  if (missing === 0) return { firstRotated: rotated.length, rotatedOffset: 0, currentOffset: offset };
  for (let index = rotated.length - 1; index >= 0; index -= 1) {
    const file = rotated[index] as LogFile;
    const older = file.isCompressed
      ? await findTailOfCompressed(file, missing, counts)
      : await findTail(file.handle, (await file.handle.stat()).size, missing, counts);
    missing -= older.found;
    if (missing === 0) return { firstRotated: index, rotatedOffset: older.offset, currentOffset: 0 };
  }
  return { firstRotated: 0, rotatedOffset: 0, currentOffset: 0 };
}

/** As `findTail`, by reading all of it; the offset is one in what is unpacked. */
async function findTailOfCompressed(
  file: LogFile,
  count: number,
  counts: (line: Buffer) => boolean,
): Promise<{ offset: number; found: number }> {
  /** The ends of the last lines that count, one more than are wanted. */
  const ends: number[] = [];
  let offset = 0;
  const splitter = createLineSplitter();
  for await (const chunk of chunksOf(file, 0)) {
    for (const line of splitter.push(chunk)) {
      offset += line.length + 1;
      if (counts(line)) ends.push(offset);
      if (ends.length > count + 1) ends.shift();
    }
  }
  return ends.length > count ? { offset: ends[0] ?? 0, found: count } : { offset: 0, found: ends.length };
}

/** The bytes of a file from an offset to its present end, unpacked. */
async function* chunksOf({ handle, isCompressed }: LogFile, offset: number): AsyncGenerator<Buffer> {
  if (!isCompressed) {
    for (let position = offset; ; ) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }
  let skip = offset;
  const packed = handle.createReadStream({ autoClose: false, start: 0 });
  for await (const chunk of packed.pipe(createGunzip()) as AsyncIterable<Buffer>) {
    if (skip >= chunk.length) skip -= chunk.length;
    else {
      yield chunk.subarray(skip);
      skip = 0;
    }
  }
}

interface Reader {
  file(file: LogFile, offset: number): AsyncGenerator<LogEntry>;
  /** Returns the offset that it came to. */
  from(file: LogFile, offset: number): AsyncGenerator<LogEntry, number>;
  /** Forgets the line that is begun. */
  restart(): void;
  /** What was begun and has no end. */
  rest(): Generator<LogEntry>;
}

function createReader({ streams, sinceMs, signal, onUnreadable }: ReadLogOptions): Reader {
  const joiner = createLogJoiner();
  let splitter = createLineSplitter();
  const isWanted = ({ stream, time }: LogEntry): boolean =>
    (streams === undefined || streams.has(stream)) && (sinceMs === undefined || Date.parse(time) >= sinceMs);
  const self: Reader = {
    async *file(file, offset) {
      yield* self.from(file, offset);
      // A file that is not written any more has no more to come.
      splitter = createLineSplitter();
    },
    async *from(file, offset) {
      let position = offset;
      for await (const chunk of chunksOf(file, offset)) {
        signal.throwIfAborted();
        position += chunk.length;
        for (const line of splitter.push(chunk)) {
          const part = parseLogLine(line);
          if (part === undefined) {
            if (line.length > 0) onUnreadable?.(file.path);
            continue;
          }
          const entry = joiner.add(part);
          if (entry !== undefined && isWanted(entry)) yield entry;
        }
      }
      return position;
    },
    restart() {
      splitter = createLineSplitter();
    },
    *rest() {
      yield* joiner.flush().filter(isWanted);
    },
  };
  return self;
}
