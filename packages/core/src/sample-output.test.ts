import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_SAMPLE_OUTPUT_LENGTH, sampleOutput } from './sample-output.js';

const sample = (text: string | Uint8Array, length?: number): string =>
  sampleOutput({ stdout: Buffer.from(text as string), stderr: Buffer.alloc(0) }, length).stdout;

describe('sampleOutput', () => {
  it('gives the first characters of both streams', () => {
    const result = { stdout: Buffer.from('abcdef'), stderr: Buffer.from('uvwxyz') };
    expect(sampleOutput(result, 3)).toEqual({ stdout: 'abc', stderr: 'uvw' });
    expect(sampleOutput(result, 100)).toEqual({ stdout: 'abcdef', stderr: 'uvwxyz' });
  });

  it('gives 1024 characters when it is not told otherwise', () => {
    expect(DEFAULT_SAMPLE_OUTPUT_LENGTH).toBe(1024);
    expect(sample('☃'.repeat(2000))).toBe('☃'.repeat(1024));
  });

  it('cuts between characters of one to four bytes, never inside one', () => {
    const text = 'aé☃𝄞'.repeat(10);
    for (let length = 0; length <= 41; length += 1)
      expect(sample(text, length)).toBe([...text].slice(0, length).join(''));
  });

  it('shows what is not UTF-8 as U+FFFD', () => {
    expect(sample(Uint8Array.of(0x61, 0xff, 0x62), 3)).toBe('a\uFFFDb');
    expect(sample(Uint8Array.of(0x61, 0xe2, 0x98), 5)).toBe('a\uFFFD');
  });

  it('gives nothing for no length', () => {
    expect(sample('abc', 0)).toBe('');
    expect(sample('abc', -1)).toBe('');
  });

  it('equals the first code points of any text, whatever the length', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(20), (text, length) => {
        // A byte order mark at the start is no character of the text.
        fc.pre(!text.startsWith('\uFEFF'));
        expect(sample(text, length)).toBe([...text].slice(0, length).join(''));
      }),
    );
  });

  it('gives at most the wanted characters of any bytes, and no half one', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(40), (bytes, length) => {
        const text = sample(bytes, length);
        expect([...text].length).toBeLessThanOrEqual(length);
        expect(new TextDecoder().decode(bytes).startsWith(text)).toBe(true);
      }),
    );
  });
});
