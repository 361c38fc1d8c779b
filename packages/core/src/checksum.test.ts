import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createChecksum } from './checksum.js';

const checksumOf = (...parts: Uint8Array[]): string => {
  const checksum = createChecksum();
  for (const part of parts) checksum.add(part);
  return checksum.end();
};

// From the description of POSIX: the sum of nothing, and those that every `cksum` gives.
test.each([
  ['', '4294967295'],
  ['\n', '3515105045'],
  ['123456789', '930766865'],
])('of %j is that of the standard', (text, expected) => {
  expect(checksumOf(Buffer.from(text))).toBe(expected);
});

test('is what cksum says, of any bytes', () => {
  const samples = fc.sample(fc.uint8Array({ maxLength: 2000 }), { numRuns: 8, seed: 8 });
  for (const bytes of [...samples, new Uint8Array(70_000).fill(7)]) {
    const [said] = execFileSync('cksum', { input: bytes }).toString().split(' ');
    expect(checksumOf(bytes)).toBe(said);
  }
});

test('is the same however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(), (bytes, at) => {
      const cut = bytes.length === 0 ? 0 : at % bytes.length;
      expect(checksumOf(bytes.subarray(0, cut), bytes.subarray(cut))).toBe(checksumOf(bytes));
    }),
  );
});
