import { expect, test } from 'vitest';
import { type Steps, settle, until } from './steps.js';

function* add(...values: (number | Promise<number>)[]): Steps<number> {
  let sum = 0;
  for (const value of values) sum += yield* until(value);
  return sum;
}

test('steps that need not wait give their value at once', () => {
  expect(settle(add(1, 2))).toBe(3);
});

test('steps that have to wait give a promise', async () => {
  const settled = settle(add(1, Promise.resolve(2), 3));
  expect(settled).toBeInstanceOf(Promise);
  expect(await settled).toBe(6);
});

test('what is thrown comes out where it happens, at once or later', async () => {
  const failing = function* (first: number | Promise<number>): Steps<number> {
    yield* until(first);
    throw new Error('here');
  };
  expect(() => settle(failing(1))).toThrow('here');
  await expect(settle(failing(Promise.resolve(1)))).rejects.toThrow('here');
});

test('a promise that rejects is an error inside the steps, which may catch it and clean up', async () => {
  const ended: string[] = [];
  const careful = function* (): Steps<string> {
    try {
      yield* until(Promise.reject(new Error('lost')));
      return 'reached';
    } catch (error) {
      return (error as Error).message;
    } finally {
      ended.push('cleaned up');
    }
  };
  expect(await settle(careful())).toBe('lost');
  expect(ended).toEqual(['cleaned up']);
});
