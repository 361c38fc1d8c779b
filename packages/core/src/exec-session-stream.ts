/** One output stream of a session's shell, cut at marks that the shell writes. */
import type { Readable } from 'node:stream';

export interface MarkedStream {
  /**
   * Resolves to what follows `mark` in its line when the stream has come to it; what comes before goes to `onData`.
   * Several wait in order. Rejects with a `MarkError` when the line is longer than any that the shell writes.
   */
  until(mark: string, onData: (data: Buffer) => void): Promise<string>;
  /** Forgets the marks waited for; what comes from now on is nobody's. */
  drop(): void;
}

/** A stream said what no shell of ours says. */
export class MarkError extends Error {
  constructor() {
    super('the shell broke off from what it was asked to write');
    this.name = 'MarkError';
  }
}

const maxLineLength = 32;
const newline = 0x0a;

interface Awaited {
  readonly mark: Buffer;
  readonly onData: (data: Buffer) => void;
  readonly resolve: (rest: string) => void;
  readonly reject: (error: MarkError) => void;
}

/** Reads `stream` from now on. `onStray` hears of what comes while no mark is waited for. */
export function createMarkedStream(stream: Readable, onStray: (data: Buffer) => void): MarkedStream {
  const waiting: Awaited[] = [];
  let held: Buffer = Buffer.alloc(0);

  const take = (data: Buffer): void => {
    held = held.length === 0 ? data : Buffer.concat([held, data]);
    for (;;) {
      const [awaited] = waiting;
      if (awaited === undefined) {
        if (held.length > 0) onStray(held);
        held = Buffer.alloc(0);
        return;
      }
      const { mark, onData } = awaited;
      const at = held.indexOf(mark);
      const before = at === -1 ? held.length - beginningOf(mark, held) : at;
      if (before > 0) {
        onData(held.subarray(0, before));
        held = held.subarray(before);
      }
      if (at === -1 || waiting[0] !== awaited) return;
      const end = held.indexOf(newline, mark.length);
      if (end === -1 && held.length - mark.length <= maxLineLength) return;
      waiting.shift();
      if (end === -1 || end - mark.length > maxLineLength) {
        awaited.reject(new MarkError());
        continue;
      }
      const rest = held.toString('latin1', mark.length, end);
      held = held.subarray(end + 1);
      awaited.resolve(rest);
    }
  };
  stream.on('data', (chunk: Buffer | string) => take(typeof chunk === 'string' ? Buffer.from(chunk) : chunk));
  stream.on('error', () => {});

  return {
    until: (mark, onData) =>
      new Promise((resolve, reject) => {
        waiting.push({ mark: Buffer.from(mark, 'latin1'), onData, resolve, reject });
      }),
    drop() {
      waiting.length = 0;
      held = Buffer.alloc(0);
    },
  };
}

/** How many bytes at the end of `data` may be the beginning of `mark`. */
function beginningOf(mark: Buffer, data: Buffer): number {
  for (let length = Math.min(mark.length - 1, data.length); length > 0; length -= 1) {
    if (data.compare(mark, 0, length, data.length - length) === 0) return length;
  }
  return 0;
}
