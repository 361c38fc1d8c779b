import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { quotePrintfFormat, quoteShellArgument } from './quote-shell-argument.js';

const shells = [['dash'], ['bash'], ['bash', '--posix'], ['busybox', 'sh']].filter(
  ([program = '', ...rest]) => spawnSync(program, [...rest, '-c', ':']).status === 0,
);

/** Reads lines and evaluates them, as a session's shell does. */
const reader = 'crikit_newline=\'\n\'\nwhile IFS= read -r line; do eval "$line"; done';

const bytes = fc.string({ unit: fc.integer({ min: 1, max: 255 }).map((byte) => String.fromCharCode(byte)) });
const characters = fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', ''));
const nasty = fc.constantFrom(
  "'",
  "''",
  '\n',
  '\n\n',
  '\\',
  '\\\n',
  '$(id)',
  '`id`',
  '$HOME',
  '"',
  '*',
  '~',
  '!!',
  '#',
  '-n',
  '',
  ' ',
  '\t',
  '\r',
  '\x81',
  '\x88',
  '\xc3',
  "'\n'",
  '";:\'"',
);
const word = fc.oneof(
  bytes,
  fc.array(nasty).map((parts) => parts.join('')),
);

describe.each(shells)('%s %s', (program = '', ...rest) => {
  const run = (line: string, environment: Record<string, string>, encoding: BufferEncoding = 'latin1'): Buffer =>
    spawnSync(program, [...rest.filter((each) => each !== undefined), '-c', reader], {
      input: Buffer.from(`${line}\n`, encoding),
      // Without SHLVL bash takes the socket that Node gives it for a remote login.
      env: { SHLVL: '1', PATH: process.env.PATH, ...environment },
    }).stdout;

  // What is sent to a shell comes of strings. Bytes that are no UTF-8 can't be in one, and bash takes some of them away
  // (\xc2\x01, say) in a locale that has UTF-8.
  test.each([
    { locale: 'C', encoding: 'latin1', words: word },
    { locale: 'C.UTF-8', encoding: 'utf8', words: fc.oneof(word, characters) },
  ] as const)('takes quoted words as they were, in locale $locale', ({ locale, encoding, words: anyWord }) => {
    fc.assert(
      fc.property(fc.array(anyWord, { minLength: 1, maxLength: 20 }), (words) => {
        const quoted = words.map((each) => quoteShellArgument(each, 'crikit_newline')).join(' ');
        expect(quoted).not.toContain('\n');
        const said = run(`printf '%s\\000' ${quoted}`, { LC_ALL: locale }, encoding);
        expect(said.toString(encoding)).toBe(words.map((each) => `${each}\0`).join(''));
      }),
      { numRuns: 60 },
    );
  });

  test('prints quoted formats as the bytes that they were', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
        const said = run(`printf ${quotePrintfFormat(data)}`, { LC_ALL: 'C.UTF-8' });
        expect(said.equals(Buffer.from(data))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

test('a NUL is refused', () => {
  expect(() => quoteShellArgument('a\0b', 'newline')).toThrow(RangeError);
});
