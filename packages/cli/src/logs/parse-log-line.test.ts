import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLogJoiner } from './join-log-parts.js';
import { createLineSplitter } from './line-splitter.js';
import type { LogEntry } from './log-entry.js';
import { parseLogLine } from './parse-log-line.js';

const parse = (text: string) => {
  const part = parseLogLine(Buffer.from(text));
  return part === undefined ? undefined : { ...part, text: part.text.toString() };
};
const join = (lines: readonly string[]): readonly string[] => {
  const joiner = createLogJoiner();
  const entries: LogEntry[] = [];
  for (const line of lines) {
    const part = parseLogLine(Buffer.from(line));
    const entry = part === undefined ? undefined : joiner.add(part);
    if (entry !== undefined) entries.push(entry);
  }
  return [...entries, ...joiner.flush()].map(({ stream, text, endsLine }) => `${stream} ${text}${endsLine ? '$' : ''}`);
};

describe('a line of the format of Kubernetes', () => {
  const time = '2016-10-06T00:17:09.669794202Z';

  test('is read with its time, stream and text', () => {
    expect(parse(`${time} stderr F the  text: with spaces `)).toEqual({
      time,
      stream: 'stderr',
      text: 'the  text: with spaces ',
      isPartial: false,
    });
  });

  test('may be empty, with and without the space before nothing', () => {
    expect(parse(`${time} stdout F `)).toMatchObject({ text: '', isPartial: false });
    expect(parse(`${time} stdout F`)).toMatchObject({ text: '', isPartial: false });
  });

  test('may have further tags', () => {
    expect(parse(`${time} stdout P:x more`)).toMatchObject({ text: 'more', isPartial: true });
  });

  test('keeps bytes that are no UTF-8', () => {
    const bytes = Buffer.from([0xff, 0x00, 0xc3]);
    expect(parseLogLine(Buffer.concat([Buffer.from(`${time} stdout F `), bytes]))?.text).toEqual(bytes);
  });

  test.each(['', 'text', `${time}`, `${time} stdout`, `${time} stdin F x`, `${time} stdout X x`, 'now stdout F x'])(
    'is not made of %j',
    (text) => {
      expect(parse(text)).toBeUndefined();
    },
  );
});

describe("a line of Docker's json-file", () => {
  test('is read with its time, stream and text', () => {
    expect(parse('{"log":"a \\"b\\" ü\\n","stream":"stderr","time":"2026-01-31T08:00:00.5Z"}')).toEqual({
      time: '2026-01-31T08:00:00.5Z',
      stream: 'stderr',
      text: 'a "b" ü',
      isPartial: false,
    });
  });

  test('is a part of one when it has no line end', () => {
    expect(parse('{"log":"a","stream":"stdout","time":"2026-01-31T08:00:00Z"}')).toMatchObject({ isPartial: true });
  });

  test.each([
    '{',
    '{"log":1,"time":"x"}',
    '{"log":"x\\n"}',
    '{"log":"x","stream":"other","time":"t"}',
    '{"log":"cut o',
  ])('is not made of %s', (text) => {
    expect(parse(text)).toBeUndefined();
  });
});

describe('parts', () => {
  const line = (stream: string, tag: string, text: string) => `2026-01-31T08:00:00Z ${stream} ${tag} ${text}`;

  test('make whole lines, also where the two streams are mixed', () => {
    expect(
      join([
        line('stdout', 'P', 'one '),
        line('stderr', 'P', 'two '),
        line('stdout', 'P', 'and '),
        line('stderr', 'F', 'done'),
        line('stdout', 'F', 'done'),
      ]),
    ).toEqual(['stderr two done$', 'stdout one and done$']);
  });

  test('that have no end are given without one', () => {
    expect(join([line('stdout', 'P', 'begun')])).toEqual(['stdout begun']);
  });

  test('of a line without bounds are given in pieces', () => {
    const piece = 'x'.repeat(16 * 1024);
    const joined = join([...Array.from({ length: 65 }, () => line('stdout', 'P', piece)), line('stdout', 'F', 'end')]);
    expect(joined.map((text) => [text.length > 1024 * 1024, text.endsWith('$')])).toEqual([
      [true, false],
      [false, true],
    ]);
  });
});

test('lines are the same however the bytes are cut into chunks', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ maxLength: 8 }).map((text) => text.replaceAll('\n', ''))),
      fc.array(fc.nat(40)),
      (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        const bounds = [
          0,
          ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((one, other) => one - other),
          bytes.length,
        ];
        const splitter = createLineSplitter();
        const found = bounds.slice(1).flatMap((end, index) => splitter.push(bytes.subarray(bounds[index], end)));
        expect(found.map(String)).toEqual(lines);
        expect(splitter.takeRest()).toHaveLength(0);
      },
    ),
  );
});
