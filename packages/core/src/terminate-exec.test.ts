import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ExecExit } from './engine-contract.js';
import { fakeDriver, fakeExec } from './engine-test-double.js';
import { terminateExec } from './terminate-exec.js';

const containerId = 'c'.repeat(64);
const marker = 'CRIKIT_EXEC_MARKER=0123456789abcdef';

let hostRoot: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  hostRoot = mkdtempSync(join(tmpdir(), 'crikit-terminate-'));
  mkdirSync(join(hostRoot, 'proc', 'self'), { recursive: true });
  writeFileSync(join(hostRoot, 'proc', 'self', 'status'), `Name:\tnode\nNSpid:\t${process.pid}\n`);
});
afterEach(() => {
  child?.kill('SIGKILL');
  rmSync(hostRoot, { recursive: true });
});

/** Shows a real process as one of the container's. */
function show(pid: number, environ: string): void {
  const directory = join(hostRoot, 'proc', String(pid));
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'stat'), readFileSync(`/proc/${pid}/stat`));
  writeFileSync(join(directory, 'environ'), environ);
  // Last: with it the process counts as the container's.
  writeFileSync(join(directory, 'cgroup'), `0::/pouch/${containerId}\n`);
}

test('a process that comes only after the first look is killed all the same', async () => {
  child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  // The container itself can be seen, so that finding nothing would mean that there is nothing.
  show(process.pid, 'PATH=/bin\0');
  const exited = once(child, 'exit').then((): ExecExit => {
    rmSync(join(hostRoot, 'proc', String(pid)), { recursive: true });
    return { kind: 'exited', exitCode: 137 };
  });
  const request = { cmd: ['sleep', '60'], env: [marker], tty: false, stdin: false };
  let asked = 0;
  const { handle } = fakeExec(request, {
    exit: exited,
    // Asked before the first look: an engine that tells no pid, and whose process has yet to begin.
    async hostPid() {
      asked += 1;
      setTimeout(() => show(pid, `${marker}\0`), 100);
      return undefined;
    },
  });
  const termination = await terminateExec({
    driver: fakeDriver({ locality: 'this-kernel' }),
    hostRoot,
    reference: { scope: '', id: containerId },
    request,
    marker,
    handle,
  });
  expect(asked).toBe(1);
  expect(termination).toMatchObject({ methods: ['host-marker'], confirmed: true });
  expect(child.signalCode).toBe('SIGKILL');
  expect(readdirSync(join(hostRoot, 'proc')).sort()).toEqual([String(process.pid), 'self'].sort());
});
