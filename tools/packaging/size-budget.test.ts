import { expect, test } from 'vitest';
import { compareWithBudget } from './size-budget.js';

test('a size must be within its budget, the budget near the size, and there must be one', () => {
  const compare = (size: number, budget?: number) => compareWithBudget('acme', 'packedKilobytes', size, budget);
  expect(compare(99.9, 100)).toBe('within its budget');
  expect(compare(100.1, 100)).toMatch(/packedKilobytes of acme is 100\.1, more than its budget of 100: .*raise/);
  expect(compare(60, 100)).toMatch(/far below its budget of 100: lower it/);
  expect(compare(2, 5)).toBe('within its budget');
  expect(compare(60)).toMatch(/has no budget: set one in .*size-budget\.json/);
});
