import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { isPathNotFoundError, isUnsupportedError } from '@crikit/core';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type ReadLogOptions, readLog } from './read-log.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'crikit-log-'));
  path = join(folder, '0.log');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const start = Date.parse('2026-01-31T08:00:00Z');
/** A line for each number, a second apart; odd ones are of stderr. */
const lines = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => {
    const number = from + index;
    const time = new Date(start + number * 1_000).toISOString();
    return `${time} ${number % 2 === 0 ? 'stdout' : 'stderr'} F ${number}\n`;
  }).join('');
const never = new AbortController().signal;

async function read(options: Partial<ReadLogOptions> = {}): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of readLog(path, { signal: never, ...options })) texts.push(text.toString());
  return texts;
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));

describe('a log', () => {
  test('is read whole, rotated files of Docker first, the oldest before', async () => {
    writeFileSync(`${path}.2.gz`, gzipSync(lines(1, 3)));
    writeFileSync(`${path}.1`, lines(4, 6));
    writeFileSync(path, lines(7, 9));
    writeFileSync(`${path}.swp`, 'something else');
    expect(await read()).toEqual(numbers(1, 9));
  });

  test('is read whole, with files that a kubelet rotated', async () => {
    writeFileSync(`${path}.20260131-070000.gz`, gzipSync(lines(1, 2)));
    writeFileSync(`${path}.20260131-080000`, lines(3, 4));
    writeFileSync(path, lines(5, 6));
    expect(await read()).toEqual(numbers(1, 6));
  });

  test('gives only the stream that is asked for', async () => {
    writeFileSync(path, lines(1, 6));
    expect(await read({ streams: new Set(['stderr']) })).toEqual(['1', '3', '5']);
    expect(await read({ streams: new Set(['stderr']), tail: 2 })).toEqual(['3', '5']);
  });

  test('gives only what was written since a time', async () => {
    writeFileSync(`${path}.1`, lines(1, 3));
    writeFileSync(path, lines(4, 6));
    expect(await read({ sinceMs: start + 3_000 })).toEqual(numbers(3, 6));
  });

  test('ends before a line that is still being written', async () => {
    writeFileSync(path, `${lines(1, 2)}2026-01-31T08:00:03Z stdout F 3`);
    expect(await read()).toEqual(numbers(1, 2));
    expect(await read({ tail: 1 })).toEqual(['2']);
  });

  test('tells of lines that are in no known format, and goes on', async () => {
    writeFileSync(path, `${lines(1, 1)}garbage\n${lines(2, 2)}`);
    const onUnreadable = vi.fn();
    expect(await read({ onUnreadable })).toEqual(numbers(1, 2));
    expect(onUnreadable).toHaveBeenCalledExactlyOnceWith(path);
  });

  test('that is not there, a link, or a directory is refused', async () => {
    expect(await read().catch((error: unknown) => isPathNotFoundError(error))).toBe(true);
    symlinkSync('/etc/passwd', path);
    expect(await read().catch((error: unknown) => isUnsupportedError(error))).toBe(true);
    rmSync(path);
    mkdirSync(path);
    expect(await read().catch((error: unknown) => isUnsupportedError(error))).toBe(true);
  });
});

describe('the tail', () => {
  test('reaches into rotated files, compressed ones included', async () => {
    writeFileSync(`${path}.2.gz`, gzipSync(lines(1, 10)));
    writeFileSync(`${path}.1`, lines(11, 12));
    writeFileSync(path, lines(13, 14));
    for (const tail of [0, 1, 2, 3, 4, 5, 9, 14, 20]) {
      expect(await read({ tail }), String(tail)).toEqual(numbers(15 - Math.min(tail, 14), 14));
    }
  });

  test('counts a line of several parts as one, and gives all of it', async () => {
    const part = (tag: string, text: string) => `2026-01-31T08:00:00Z stdout ${tag} ${text}\n`;
    writeFileSync(path, lines(1, 2) + part('P', 'a') + part('P', 'b') + part('F', 'c'));
    expect(await read({ tail: 1 })).toEqual(['abc']);
    expect(await read({ tail: 2 })).toEqual(['2', 'abc']);
  });

  test('is the end of the whole, wherever lines end', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(70_000), { maxLength: 6 }), fc.nat(8), async (sizes, tail) => {
        const texts = sizes.map((size, index) => `${index}${'x'.repeat(size)}`);
        writeFileSync(path, texts.map((text) => `2026-01-31T08:00:00Z stdout F ${text}\n`).join(''));
        expect(await read({ tail })).toEqual(tail === 0 ? [] : texts.slice(-tail));
      }),
      { numRuns: 40 },
    );
  });
});

describe('following', () => {
  /** Follows until the log is over, and lets a test wait for what has come. */
  function follow(options: Partial<ReadLogOptions> = {}) {
    const texts: string[] = [];
    let isOver = false;
    const done = (async () => {
      for await (const { text } of readLog(path, { signal: never, follow: true, isOver: () => isOver, ...options })) {
        texts.push(text.toString());
      }
    })();
    return {
      texts,
      until: (expected: readonly string[]) =>
        vi.waitFor(() => expect(texts).toEqual(expected), { timeout: 5_000, interval: 10 }),
      end: async () => {
        isOver = true;
        await done;
      },
    };
  }

  test('gives what is appended, a line in two halves too, and ends when nothing more can come', async () => {
    writeFileSync(path, lines(1, 2));
    const { until, end } = follow({ tail: 1 });
    await until(['2']);
    appendFileSync(path, lines(3, 3).slice(0, 20));
    appendFileSync(path, lines(3, 3).slice(20) + lines(4, 4));
    await until(numbers(2, 4));
    appendFileSync(path, lines(5, 5));
    await end();
    await until(numbers(2, 5));
  });

  test('goes on in the new file when the log is rotated, and loses nothing that was written to the old one', async () => {
    writeFileSync(path, lines(1, 2));
    const { until, end } = follow();
    await until(numbers(1, 2));
    renameSync(path, `${path}.20260131-080000`);
    // A kubelet renames first; until the runtime opens the new file it writes to the old one.
    appendFileSync(`${path}.20260131-080000`, lines(3, 3));
    await until(numbers(1, 3));
    appendFileSync(`${path}.20260131-080000`, lines(4, 4));
    writeFileSync(path, lines(5, 6));
    await until(numbers(1, 6));
    await end();
  });

  test('gives also what was rotated away between two looks', async () => {
    writeFileSync(path, lines(1, 1));
    const { until, end } = follow();
    await until(numbers(1, 1));
    appendFileSync(path, lines(2, 2));
    renameSync(path, `${path}.3`);
    writeFileSync(`${path}.2`, lines(3, 4));
    writeFileSync(`${path}.1`, lines(5, 6));
    writeFileSync(path, lines(7, 7));
    await until(numbers(1, 7));
    await end();
  });

  test('begins anew in a file that was emptied', async () => {
    writeFileSync(path, lines(1, 5));
    const { until, end } = follow({ tail: 1 });
    await until(['5']);
    truncateSync(path, 0);
    appendFileSync(path, lines(6, 6));
    await until(['5', '6']);
    await end();
  });

  test('rejects with the reason of the signal', async () => {
    writeFileSync(path, lines(1, 1));
    const controller = new AbortController();
    const reading = read({ follow: true, signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(reading).rejects.toThrow('enough');
  });
});
