import { expect, test } from 'vitest';
import { formatAge } from './format-age.js';
import { formatBytes } from './format-bytes.js';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

test.each([
  [0, '0s'],
  [999, '0s'],
  [59 * second, '59s'],
  [3 * minute + 20 * second, '3m20s'],
  [12 * minute + 20 * second, '12m'],
  [2 * hour, '2h'],
  [4 * day + 3 * hour, '4d3h'],
  [40 * day, '40d'],
  [-5 * second, '0s'],
])('an age of %i ms reads %s', (ageMs, text) => {
  const since = new Date(1_700_000_000_000 - ageMs).toISOString();
  expect(formatAge(since, 1_700_000_000_000)).toBe(text);
});

test('what has no beginning, or none that can be read, has no age', () => {
  expect(formatAge(undefined, 0)).toBe('-');
  expect(formatAge('soon', 0)).toBe('-');
});

test.each([
  [0, '0 B'],
  [812, '812 B'],
  [1024, '1.0 KiB'],
  [1_500_000, '1.4 MiB'],
  [200 * 1024 ** 2, '200 MiB'],
  [5 * 1024 ** 4, '5.0 TiB'],
])('%i bytes read %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
