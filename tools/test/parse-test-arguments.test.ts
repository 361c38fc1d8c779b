import { expect, test } from 'vitest';
import { parseTestArguments, parts } from './parse-test-arguments.mjs';

test('runs every part but the long ones when nothing is named', () => {
  const usual = new Set(parts.filter((part) => part !== 'long' && part !== 'matrix'));
  expect(parseTestArguments([])).toEqual({ selected: usual, filters: [] });
  expect(parseTestArguments(['long'])).toEqual({ selected: new Set(['long']), filters: [] });
});

test('takes leading part names as parts and the rest as path filters', () => {
  expect(parseTestArguments(['unit', 'integration', 'packages/core', 'exec'])).toEqual({
    selected: new Set(['unit', 'integration']),
    filters: ['packages/core', 'exec'],
  });
});

test('runs the parts that take filters when only filters are given', () => {
  expect(parseTestArguments(['packages/core']).selected).toEqual(new Set(['unit', 'integration', 'packaging']));
});

test('refuses options, which would reach the runners as something else', () => {
  expect(() => parseTestArguments(['unit', '--watch'])).toThrow(/unknown option --watch/);
});
