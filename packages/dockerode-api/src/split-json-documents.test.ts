import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createJsonDocumentSplitter } from './split-json-documents.js';

function split(pieces: readonly Uint8Array[]): unknown[] {
  const documents: unknown[] = [];
  const push = createJsonDocumentSplitter((document) => documents.push(document));
  for (const piece of pieces) push(piece);
  return documents;
}

test('finds every document whatever the pieces are', () => {
  const document = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue());
  const separator = fc.constantFrom('', '\n', '\r\n', ' \t');
  fc.assert(
    fc.property(fc.array(fc.tuple(document, separator)), fc.array(fc.nat(40)), (documents, cuts) => {
      const bytes = Buffer.from(documents.map(([value, end]) => JSON.stringify(value) + end).join(''));
      const pieces: Buffer[] = [];
      let offset = 0;
      for (const cut of cuts) {
        pieces.push(bytes.subarray(offset, offset + cut));
        offset += cut;
      }
      pieces.push(bytes.subarray(offset));
      const expected = documents.map(([value]) => JSON.parse(JSON.stringify(value)));
      expect(split(pieces)).toEqual(expected);
      expect(split([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(expected);
    }),
  );
}, 60_000);

test('does not give a document that has not ended', () => {
  expect(split([Buffer.from('{"a":1}\n{"b":')])).toEqual([{ a: 1 }]);
});

test('braces and quotes inside of strings mean nothing', () => {
  expect(split([Buffer.from('{"a":"}{\\"\\\\"}{"b":2}')])).toEqual([{ a: '}{"\\' }, { b: 2 }]);
});

test.each(['[1]', 'null', 'page not found', '}{'])('%s is refused', (text) => {
  expect(() => split([Buffer.from(text)])).toThrow(SyntaxError);
});

test('an object that is no JSON is refused', () => {
  expect(() => split([Buffer.from('{a}')])).toThrow(SyntaxError);
});

test('an object without an end is refused before it fills the memory', () => {
  const push = createJsonDocumentSplitter(() => {});
  push(Buffer.from('{"a":"'));
  const piece = Buffer.alloc(1024 * 1024, 'x');
  expect(() => {
    for (let count = 0; count < 10; count += 1) push(piece);
  }).toThrow('does not end');
});
