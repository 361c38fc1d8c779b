import { posix } from 'node:path';
import type { DriverExecRequest, ExecField } from './engine-contract.js';
import { InvalidArgumentError } from './errors/invalid-argument-error.js';
import { TooLargeError } from './errors/too-large-error.js';
import { UnsupportedError } from './errors/unsupported-error.js';
import { randomHex } from './random-hex.js';

/** Larger requests hang some low-level runtimes. */
export const MAX_EXEC_REQUEST_BYTES = 1024 * 1024;

/** The kernel's limit for one argument or one `NAME=value` (MAX_ARG_STRLEN), its closing NUL included. */
const maxStringBytes = 128 * 1024;

// By number: a root file system without /etc/passwd knows no name.
const rootUser = '0';

export interface ExecPreparation {
  readonly engine: string;
  readonly execFields: ReadonlySet<ExecField>;
  /** For `_FROM`; undefined: neither `_FROM` nor `_TS` is set. */
  readonly agentName: string | undefined;
}

export interface WantedExec {
  readonly cmd: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workingDir?: string | undefined;
  readonly user?: string | undefined;
  readonly tty?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

export interface PreparedExec {
  readonly request: DriverExecRequest;
  /** `NAME=value` in the environment of the command and of everything it starts. */
  readonly marker: string;
  /** Set when a shell of the container stands in for fields that the engine does not honour. */
  readonly emulated: boolean;
}

/** Checks a request, tags it and fits it to what the engine honours. Throws before anything is sent. */
export function prepareExec(wanted: WantedExec, stdin: boolean, preparation: ExecPreparation): PreparedExec {
  checkCommand(wanted.cmd);
  if (wanted.workingDir !== undefined) checkWorkingDir(wanted.workingDir);
  if (wanted.user !== undefined) checkString('user', wanted.user);
  if (wanted.timeoutMs !== undefined && !(wanted.timeoutMs > 0 && wanted.timeoutMs <= 0x7fffffff)) {
    throw new InvalidArgumentError(`timeoutMs must be more than 0 and at most 2147483647, not ${wanted.timeoutMs}.`);
  }
  const { execFields, engine } = preparation;
  const marker = `CRIKIT_EXEC_MARKER=${randomHex(16)}`;
  const env = [...environmentLines(wanted.env ?? {}), ...tags(preparation.agentName), marker];
  refuseFields(wanted, stdin, preparation);

  const emulateEnv = !execFields.has('env');
  const emulateWorkingDir = wanted.workingDir !== undefined && !execFields.has('workingDir');
  const emulated = emulateEnv || emulateWorkingDir;
  const cmd = emulated
    ? emulatedCommand(wanted.cmd, marker, emulateEnv ? env : [], emulateWorkingDir ? wanted.workingDir : '')
    : wanted.cmd;
  const request: DriverExecRequest = {
    cmd,
    env: emulateEnv ? [] : env,
    tty: wanted.tty ?? false,
    stdin,
    ...(wanted.workingDir === undefined || emulateWorkingDir ? {} : { workingDir: wanted.workingDir }),
    ...(execFields.has('user') ? { user: wanted.user ?? rootUser } : {}),
    ...(wanted.columns === undefined ? {} : { columns: wanted.columns }),
    ...(wanted.rows === undefined ? {} : { rows: wanted.rows }),
  };
  checkSize(request, engine);
  return { request, marker, emulated };
}

function refuseFields(wanted: WantedExec, stdin: boolean, { execFields, engine }: ExecPreparation): void {
  const refused: ExecField[] = [];
  if (wanted.user !== undefined && !execFields.has('user')) refused.push('user');
  if (wanted.tty === true && !execFields.has('tty')) refused.push('tty');
  if (stdin && !execFields.has('stdin')) refused.push('stdin');
  if (refused.length > 0) {
    throw new UnsupportedError(`Could not run ${wanted.cmd[0]}: this engine's exec has no ${refused.join(', ')}.`, {
      engine,
      applied: 'no',
      remedy: 'Leave the field out, or use an engine that has it.',
    });
  }
}

/** What the shell writes before it gives up: the marker's value, then one of these words. */
export type EmulationFailure = 'workdir' | 'command';

// Positional arguments only: nothing that a caller gave is ever read as shell.
const emulationScript = [
  'crikit_marker=$1 crikit_directory=$2 crikit_count=$3',
  'shift 3',
  'while [ "$crikit_count" -gt 0 ]; do export "$1"; shift; crikit_count=$((crikit_count - 1)); done',
  'if [ -n "$crikit_directory" ]; then cd -- "$crikit_directory" 2>/dev/null || { printf "%s:workdir" "$crikit_marker" >&2; exit 126; }; fi',
  // busybox takes any file for a command when it is named by its path.
  'crikit_found=1',
  'command -v -- "$1" >/dev/null 2>&1 || crikit_found=0',
  'case "$1" in */*) [ -f "$1" ] && [ -x "$1" ] || crikit_found=0 ;; esac',
  '[ "$crikit_found" -eq 1 ] || { printf "%s:command" "$crikit_marker" >&2; exit 127; }',
  'exec "$@"',
].join('\n');

function emulatedCommand(cmd: readonly string[], marker: string, env: readonly string[], directory = ''): string[] {
  return ['sh', '-c', emulationScript, 'sh', markerValue(marker), directory, String(env.length), ...env, ...cmd];
}

/** How the diagnostics of an emulated command begin that was not started. */
export function emulationPrefix(marker: string): string {
  return `${markerValue(marker)}:`;
}

/** What the beginning of an emulated command's diagnostics says; undefined when the command itself wrote it. */
export function emulationFailure(marker: string, diagnostics: string): EmulationFailure | undefined {
  const prefix = emulationPrefix(marker);
  if (!diagnostics.startsWith(prefix)) return undefined;
  return diagnostics.startsWith('workdir', prefix.length) ? 'workdir' : 'command';
}

function markerValue(marker: string): string {
  return marker.slice(marker.indexOf('=') + 1);
}

function checkCommand(cmd: readonly string[]): void {
  if (!Array.isArray(cmd) || cmd.length === 0 || cmd[0] === '') {
    throw new InvalidArgumentError('cmd must be an array with a program and its arguments, such as ["id", "-u"].');
  }
  for (const argument of cmd) checkString('cmd', argument);
}

function checkString(what: string, value: unknown): void {
  if (typeof value !== 'string' || value.includes('\0')) {
    throw new InvalidArgumentError(`${what} must be text without NUL characters.`);
  }
}

// A working directory under /proc/<pid>/fd can lead out of the container: CVE-2024-21626.
const leavesContainer = /^\/proc\/[^/]+\/(task\/[^/]+\/)?(fd|cwd|root)(\/|$)/;

function checkWorkingDir(workingDir: string): void {
  checkString('workingDir', workingDir);
  if (!workingDir.startsWith('/')) {
    throw new InvalidArgumentError(`workingDir must be an absolute path in the container, not '${workingDir}'.`);
  }
  if (leavesContainer.test(posix.normalize(workingDir))) {
    throw new InvalidArgumentError(`workingDir '${workingDir}' could lead out of the container and is refused.`);
  }
}

function environmentLines(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => {
    checkString(`env ${name}`, value);
    if (name === '' || name.includes('=') || name.includes('\0')) {
      throw new InvalidArgumentError(`'${name}' is no name of an environment variable.`);
    }
    return `${name}=${value}`;
  });
}

function tags(agentName: string | undefined): string[] {
  return agentName === undefined ? [] : [`_FROM=${agentName}`, `_TS=${Date.now()}`];
}

function checkSize(request: DriverExecRequest, engine: string): void {
  let total = 0;
  for (const text of [...request.cmd, ...request.env]) {
    const bytes = Buffer.byteLength(text) + 1;
    total += bytes;
    if (bytes > maxStringBytes) {
      throw new TooLargeError(`An argument or variable of ${bytes} bytes exceeds the kernel's ${maxStringBytes}.`, {
        engine,
        applied: 'no',
        remedy: 'Pass it by `input`.',
      });
    }
  }
  if (total > MAX_EXEC_REQUEST_BYTES) {
    throw new TooLargeError(`Command and environment have ${total} bytes; ${MAX_EXEC_REQUEST_BYTES} are allowed.`, {
      engine,
      applied: 'no',
      remedy: 'Pass the data by `input`.',
    });
  }
}
