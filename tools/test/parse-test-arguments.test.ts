import { expect, test } from 'vitest';
import { parseTestArguments, parts } from './parse-test-arguments.mjs';

test('runs every part when nothing is named', () => {
  expect(parseTestArguments([])).toEqual({ selected: new Set(parts), filters: [] });
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
