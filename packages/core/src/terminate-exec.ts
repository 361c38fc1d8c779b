import { setTimeout as delay } from 'node:timers/promises';
import type { ContainerReference } from './container.js';
import { disposeQuietly } from './dispose-quietly.js';
import type { DriverExecRequest, EngineDriver, ExecHandle } from './engine-contract.js';
import type { ExecTermination, ExecTerminationMethod } from './errors/exec-interrupted.js';
import { canSignalHostPids, findMarkedProcesses, killProvenProcess, proveMarkedProcess } from './host-process.js';

export interface ExecToTerminate {
  readonly driver: EngineDriver;
  readonly hostRoot: string;
  readonly reference: ContainerReference;
  readonly request: DriverExecRequest;
  readonly marker: string;
  /** Absent when the start was given up before the engine had answered. */
  readonly handle: ExecHandle | undefined;
  /** Default: `group`. */
  readonly extent?: TerminationExtent | undefined;
}

/** `marked` spares what shares the command's process group without carrying its marker or coming from one that does. */
export type TerminationExtent = 'group' | 'marked';

const stepTimeoutMs = 3_000;
const hostRounds = 20;
const roundPauseMs = 10;

/**
 * Ends an exec and everything it started: by the engine's own kill and the proven process group, then every host
 * process that carries its marker, then, where the host shows nothing, by a second exec. Never rejects.
 */
export async function terminateExec(exec: ExecToTerminate): Promise<ExecTermination> {
  const methods: ExecTerminationMethod[] = [];
  const notes: string[] = [];
  const { driver, handle } = exec;

  const onThisKernel = driver.locality === 'this-kernel' && (await canSignalHostPids(exec.hostRoot));
  if (driver.locality === 'elsewhere') notes.push('the engine is elsewhere, so no pid was signalled from here');
  else if (!onThisKernel) notes.push('this process does not see the host’s pids, so none was signalled');

  if (onThisKernel && handle !== undefined && exec.extent !== 'marked' && (await killGroup(exec, handle)))
    methods.push('host-process-group');
  if (handle?.kill !== undefined) {
    const killed = await within(
      handle.kill('SIGKILL').then(() => true),
      stepTimeoutMs,
    ).catch(() => undefined);
    if (killed === true) methods.push('engine');
  }

  let gone = false;
  if (onThisKernel) {
    const host = await killMarkedOnHost(exec);
    if (host.signalled > 0) methods.push('host-marker');
    gone = host.covered && host.remaining === 0;
    if (!host.covered) notes.push('the container’s processes are not visible in /proc');
    else if (host.remaining > 0) notes.push(`${host.remaining} processes survived SIGKILL`);
  }
  if (!gone) {
    const inside = await killMarkedInside(exec);
    if (inside.ran) methods.push('container-marker');
    gone = inside.gone;
    notes.push(inside.note);
  }

  // What is spared may hold the streams, and some engines tell no end before these have ended.
  const provenHere = exec.extent === 'marked' && gone;
  const ended = handle === undefined || provenHere || (await within(handle.exit, stepTimeoutMs))?.kind === 'exited';
  if (!ended) notes.push('the engine has not reported the end of the process');
  if (methods.length === 0) methods.push(gone && ended ? 'not-needed' : 'none');
  return { methods, confirmed: gone && ended, detail: notes.join('; ') };
}

async function killGroup(exec: ExecToTerminate, handle: ExecHandle): Promise<boolean> {
  const pid = await within(handle.hostPid(), stepTimeoutMs).catch(() => undefined);
  if (pid === undefined || pid <= 1) return false;
  const proven = await proveMarkedProcess(exec.hostRoot, pid, exec.reference.id, exec.marker);
  return proven !== undefined && killProvenProcess(exec.hostRoot, proven, true);
}

async function killMarkedOnHost(
  exec: ExecToTerminate,
): Promise<{ covered: boolean; signalled: number; remaining: number }> {
  let signalled = 0;
  let covered = false;
  let remaining = 0;
  let endTold = exec.handle === undefined || exec.extent === 'marked';
  const end = exec.handle?.exit.then(() => {
    endTold = true;
  });
  // A process may fork between the look and the signal: look again until nothing is left. And an engine may answer a
  // start before there is a process: as long as it tells no end, what was never seen may still come.
  for (let round = 0; round < hostRounds; round += 1) {
    const found = await findMarkedProcesses(exec.hostRoot, exec.reference.id, exec.marker);
    covered = found.covered || covered;
    remaining = found.processes.length;
    if (remaining === 0 && (signalled > 0 || endTold || !covered)) break;
    for (const marked of found.processes) {
      if (await killProvenProcess(exec.hostRoot, marked)) signalled += 1;
    }
    const pause = delay(roundPauseMs * (round + 1));
    await (remaining === 0 ? Promise.race([pause, end]) : pause);
  }
  return { covered, signalled, remaining };
}

// Exit code 0: nothing carries the marker any more. 1: something survived. 2: this container cannot tell.
// An environment is one line with NULs in it, of which busybox's grep sees the first variable only: hence tr.
const insideScript = [
  'in_environment() { tr "\\000" "\\n" | grep -qF -- "$1" 2>/dev/null; }',
  'CRIKIT_LOOK=1 cat /proc/self/environ 2>/dev/null | in_environment CRIKIT_LOOK=1 || exit 2',
  'round=0',
  'while [ "$round" -lt 20 ]; do',
  '  found=0',
  '  for directory in /proc/[0-9]*; do',
  '    if cat "$directory/environ" 2>/dev/null | in_environment "$1"; then found=1; kill -9 "$' +
    '{directory#/proc/}" 2>/dev/null; fi',
  '  done',
  '  [ "$found" -eq 0 ] && exit 0',
  '  round=$((round + 1))',
  'done',
  'exit 1',
].join('\n');

async function killMarkedInside(exec: ExecToTerminate): Promise<{ ran: boolean; gone: boolean; note: string }> {
  // Without CAP_SYS_PTRACE not even root may read another user's environment, so the command's own user looks first.
  const users = exec.request.user === undefined ? [undefined] : [...new Set([exec.request.user, '0'])];
  let ran = false;
  let gone = true;
  for (const user of users) {
    const code = await within(runInside(exec, user), stepTimeoutMs).catch(() => undefined);
    if (code === 0 || code === 1) ran = true;
    if (code !== 0) gone = false;
  }
  return { ran, gone: ran && gone, note: insideNote(ran, gone) };
}

function insideNote(ran: boolean, gone: boolean): string {
  if (!ran) return 'no second exec could look for its processes (sh, grep and a running container are needed)';
  return gone ? 'a second exec found none of its processes left' : 'a second exec could not confirm that none is left';
}

async function runInside(exec: ExecToTerminate, user: string | undefined): Promise<number | undefined> {
  const { driver, reference, marker } = exec;
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), stepTimeoutMs);
  let handle: ExecHandle | undefined;
  try {
    handle = await driver.startExec(
      reference,
      {
        cmd: ['sh', '-c', insideScript, 'sh', marker],
        env: [],
        tty: false,
        stdin: false,
        ...(user === undefined ? {} : { user }),
      },
      { signal: controller.signal },
    );
    handle.stdout.on('error', () => {}).resume();
    handle.stderr?.on('error', () => {}).resume();
    const exit = await handle.exit;
    return exit.kind === 'exited' ? exit.exitCode : undefined;
  } finally {
    clearTimeout(timer);
    await disposeQuietly(handle);
  }
}

async function within<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value | undefined> {
  const controller = new AbortController();
  const timeout = delay(timeoutMs, undefined, { signal: controller.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    controller.abort();
  }
}
