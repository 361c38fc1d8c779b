import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLineSplitter } from './split-lines.js';

test('lines are the same however the bytes are portioned', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme' }).map((line) => `x${line.replace(/[\n\r]/g, '')}x`)),
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      (lines, sizes) => {
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const splitter = createLineSplitter(1_000_000);
        const found: string[] = [];
        let start = 0;
        for (let turn = 0; start < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          found.push(...splitter.push(bytes.subarray(start, start + size)));
          start += size;
        }
        expect(found).toEqual(lines);
      },
    ),
  );
});

test('empty lines and carriage returns are no lines', () => {
  expect(createLineSplitter(100).push(Buffer.from('one\r\n\n  \ntwo\nthr'))).toEqual(['one', 'two']);
});

test('a line that is too long is refused before it is held', () => {
  const splitter = createLineSplitter(10);
  expect(splitter.push(Buffer.from('0123456789\n01234'))).toEqual(['0123456789']);
  expect(() => splitter.push(Buffer.from('567890'))).toThrow(RangeError);
});
