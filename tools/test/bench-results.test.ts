import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readResults, resultsFolder, resultsPage, verdictsOf } from '../../bench/save-results.mjs';

const page = readFileSync(join(resultsFolder, 'README.md'), 'utf8');

test('the page of results says what the kept records say', () => {
  const names = [...page.matchAll(/^## (.+)$/gm)].map(([, name]) => name ?? '');
  const kept = readdirSync(resultsFolder).filter((file) => file.endsWith('.json'));
  expect(kept.map((file) => file.replace('.json', '')).sort()).toEqual([...names].sort());
  expect(resultsPage(readResults(names))).toBe(page);
});

test('a bound that was missed is shown as missed', () => {
  const rows = [
    ['what', 'median', 'ours / theirs', 'wanted', 'met'],
    ['ours', 12, '', '', ''],
    ['theirs', 10, 1.2, '<= 1.1', 'NO'],
  ];
  expect(verdictsOf({ title: 'a race', rows })).toEqual([
    { title: 'a race', what: 'theirs', value: 1.2, bound: '<= 1.1', met: false },
  ]);
  const machine = { cpu: 'a', cores: 2, memoryGiB: 4, kernel: '6', node: 'v20' };
  const record = {
    name: 'race',
    measuredAt: 'now',
    commit: 'c',
    loadBefore: 0,
    machine,
    tables: [{ title: 'a race', rows }],
  };
  expect(resultsPage([record])).toContain('| a race | theirs | 1.2 | <= 1.1 | **no** |');
});
