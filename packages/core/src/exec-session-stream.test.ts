import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMarkedStream, MarkError } from './exec-session-stream.js';

const mark = 'aabaab';

test('what comes before a mark is cut off at it, however the stream is split', async () => {
  const part = fc.oneof(fc.constantFrom('a', 'aab', 'aabaa', 'aaba\n', '\0', 'b'), fc.string());
  await fc.assert(
    fc.asyncProperty(
      fc.array(part).map((parts) => Buffer.from(parts.join('').replaceAll(mark, ''))),
      fc.string(),
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }),
      async (before, after, sizes) => {
        fc.pre(!before.includes(mark) && !`${before.toString('latin1')}${mark}`.slice(0, -1).includes(mark));
        const source = new PassThrough();
        const said: Buffer[] = [];
        const stray: Buffer[] = [];
        const marked = createMarkedStream(source, (data) => stray.push(Buffer.from(data)));
        const rest = marked.until(mark, (data) => said.push(Buffer.from(data)));
        const all = Buffer.concat([before, Buffer.from(`${mark}:7\n`), Buffer.from(after)]);
        for (let at = 0, turn = 0; at < all.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          source.write(all.subarray(at, at + size));
          at += size;
        }
        expect(await rest).toBe(':7');
        source.end();
        await new Promise((resolve) => source.once('end', resolve));
        expect(Buffer.concat(said).equals(before)).toBe(true);
        expect(Buffer.concat(stray).toString()).toBe(Buffer.from(after).toString());
      },
    ),
  );
});

test('marks are waited for in order, also in one piece', async () => {
  const source = new PassThrough();
  const marked = createMarkedStream(source, () => {});
  const said: string[] = [];
  const both = Promise.all([
    marked.until('one', (data) => said.push(`1${data}`)),
    marked.until('two', (data) => said.push(`2${data}`)),
  ]);
  source.write('a-one\nb-two:x\n');
  expect(await both).toEqual(['', ':x']);
  expect(said).toEqual(['1a-', '2b-']);
});

test('a line that does not end is refused', async () => {
  const source = new PassThrough();
  const waiting = createMarkedStream(source, () => {}).until('one', () => {});
  source.write(`one${'x'.repeat(100)}`);
  await expect(waiting).rejects.toBeInstanceOf(MarkError);
});
