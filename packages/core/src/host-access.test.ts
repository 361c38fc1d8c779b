import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Container } from './container.js';
import { getHostAccess } from './host-access.js';

const id = 'a'.repeat(64);
let hostRoot: string;

beforeEach(() => {
  hostRoot = mkdtempSync(join(tmpdir(), 'crikit-host-access-'));
});

afterEach(() => rmSync(hostRoot, { recursive: true }));

function makeContainer(more: Partial<Container>): Parameters<typeof getHostAccess>[0] {
  return { id, runtime: 'runc', state: { status: 'running', pid: process.pid }, mounts: [], ...more };
}

test.each([
  ['a virtual machine', { runtime: 'kata' }, /runtime kata/],
  ['a runtime that nobody knows', { runtime: undefined as never }, /runtime unknown/],
  ['a container without a process', { state: { status: 'exited' as const, pid: 0 } }, /no process/],
])('there is none to %s', async (_, more, reason) => {
  expect(await getHostAccess(makeContainer(more))).toEqual({ access: 'none', reason: expect.stringMatching(reason) });
});

test("there is none where the node's processes are not to be seen", async () => {
  const { access, reason } = await getHostAccess(makeContainer({}), { hostRoot });
  expect(access).toBe('none');
  expect(reason).toMatch(/HOSTFS/);
});

test("there is none when the pid is another's than the container's, whatever directory is told", async () => {
  mkdirSync(join(hostRoot, 'merged'));
  const { access, reason } = await getHostAccess(makeContainer({ mergedDir: join(hostRoot, 'merged') }));
  expect(access).toBe('none');
  expect(reason).toMatch(/not in a control group/);
});
