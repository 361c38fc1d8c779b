import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Container } from '@crikit/core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createContainerFiles } from './container-files.js';
import { emptySnapshot, nextSnapshot } from './snapshot.js';

const outer = 'a'.repeat(64);
const inner = 'b'.repeat(64);
let hostRoot: string;

beforeEach(() => {
  hostRoot = mkdtempSync(join(tmpdir(), 'crikit-container-files-'));
});

afterEach(() => rmSync(hostRoot, { recursive: true }));

function makeContainer(id: string, more: Partial<Container> = {}): Container {
  return {
    ...{ engineId: 'memory', engineType: 'memory', scope: '', id, shortId: id.slice(0, 12), name: id, runtime: 'runc' },
    ...{ state: { status: 'running', pid: 42 }, labels: {}, env: {}, mounts: [], withheld: {} },
    ...more,
  };
}

function makeFiles(...containers: Container[]) {
  const change = { pods: new Map(), containers: new Map(containers.map((container) => [container.id, container])) };
  const snapshot = nextSnapshot(emptySnapshot, change, 0);
  return createContainerFiles({
    hostRoot,
    snapshot: () => snapshot,
    findTarget: (target) => containers.find(({ id }) => id === target) as Container,
  });
}

function recordProcess(pid: number, cgroup: string): void {
  mkdirSync(join(hostRoot, `proc/${pid}`), { recursive: true });
  writeFileSync(join(hostRoot, `proc/${pid}/cgroup`), cgroup);
}

test('a process is found in the outermost container that the store knows', () => {
  recordProcess(42, `0::/docker/${outer}/docker/${inner}\n`);
  recordProcess(43, '0::/init.scope\n');
  expect(makeFiles(makeContainer(inner), makeContainer(outer)).getContainerByPid(42)?.id).toBe(outer);
  expect(makeFiles(makeContainer(inner)).getContainerByPid(42)?.id).toBe(inner);
  expect(makeFiles().getContainerByPid(42)).toBeUndefined();
  expect(makeFiles(makeContainer(outer)).getContainerByPid(43)).toBeUndefined();
  expect(makeFiles(makeContainer(outer)).getContainerByPid(44)).toBeUndefined();
});

test('files of containers that are no processes of this kernel, or have ended, are refused', async () => {
  const files = makeFiles(
    makeContainer(outer, { runtime: 'kata' }),
    makeContainer(inner, { state: { status: 'exited', pid: 0 }, mergedDir: hostRoot }),
  );
  await expect(files.readFile(outer, '/etc/hosts')).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  await expect(files.openRoot(inner)).rejects.toMatchObject({ code: 'NOT_RUNNING' });
});
