import { expect, test } from 'vitest';
import { summarize } from './summary.mjs';

const nothing = { passed: 0, failures: [], skips: [] };

test('adds up all reports and ends with the result alone', () => {
  const { lines, exitCode } = summarize([
    { ...nothing, passed: 3 },
    { ...nothing, passed: 4 },
  ]);
  expect(lines.at(-1)).toBe('7 passed, 0 failed');
  expect(exitCode).toBe(0);
});

test('lists every failure with its message, and fails', () => {
  const { lines, exitCode } = summarize([
    { ...nothing, passed: 1, failures: [{ name: 'a > b', message: 'expected 1\nto be 2' }] },
  ]);
  expect(lines).toContain('  - a > b: expected 1\n      to be 2');
  expect(lines.at(-1)).toBe('1 passed, 1 failed');
  expect(exitCode).toBe(1);
});

test('groups skips by their reason and does not fail for them', () => {
  const skips = [
    { name: 'a', reason: 'no engine' },
    { name: 'b', reason: 'no engine' },
  ];
  const { lines, exitCode } = summarize([{ passed: 1, failures: [], skips }]);
  expect(lines).toEqual(expect.arrayContaining(['  2 because no engine:', '  - a', '  - b']));
  expect(lines.at(-1)).toBe('1 passed, 0 failed, 2 skipped');
  expect(exitCode).toBe(0);
});

test('counts skips by file when they are many', () => {
  const skips = Array.from({ length: 100 }, (_, index) => ({
    name: `${index < 60 ? 'a' : 'b'}.test.ts > ${index}`,
    reason: 'no engine',
  }));
  const { lines } = summarize([{ passed: 1, failures: [], skips }]);
  expect(lines.slice(1, -2)).toEqual([
    'Skipped:',
    '  100 because no engine:',
    '  - a.test.ts (60)',
    '  - b.test.ts (40)',
  ]);
});

test('says last what failed, because the end is what is kept of a long output', () => {
  const { lines } = summarize([
    { passed: 1, failures: [{ name: 'a', message: 'wrong' }], skips: [{ name: 'b', reason: 'no engine' }] },
  ]);
  expect(lines.slice(-4)).toEqual(['Failed:', '  - a: wrong', '', '1 passed, 1 failed, 1 skipped']);
});

test('fails when nothing at all was checked', () => {
  expect(summarize([]).exitCode).toBe(1);
});
