import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startedAt } from './started-at.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'crikit-root-'));
  mkdirSync(join(root, 'proc', '42'), { recursive: true });
  writeFileSync(join(root, 'proc', 'stat'), 'cpu  1 2 3\nbtime 1700000000\nprocesses 9\n');
  writeFileSync(
    join(root, 'proc', '42', 'stat'),
    `42 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 0 0\n`,
  );
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("the engine's word goes first", () => {
  const state = { status: 'running', pid: 42, startedAt: '2026-01-31T08:00:00Z' } as const;
  expect(startedAt({ state }, root)).toBe('2026-01-31T08:00:00Z');
});

test('else it is the start of the first process', () => {
  expect(startedAt({ state: { status: 'running', pid: 42 } }, root)).toBe(new Date(1_700_000_123_450).toISOString());
});

test('it is unknown for what does not run or is not to be seen', () => {
  expect(startedAt({ state: { status: 'exited', pid: 0 } }, root)).toBeUndefined();
  expect(startedAt({ state: { status: 'running', pid: 43 } }, root)).toBeUndefined();
});
