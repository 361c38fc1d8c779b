import type { DriverExecRequest } from '@crikit/core';
import type { DaemonExecState, ExecDialect, ExecSigns, ExecVerdict } from '@crikit/dockerode-api';

/** How long an exec whose streams are open and silent may look as if it had not begun. */
const longestBeginningMs = 5_000;
/** Pouch's exit code of a command that could not be started, and of some that could. */
const notStartedCode = 126;

export const pouchExecDialect: ExecDialect = {
  // WorkingDir and DetachKeys would be ignored; the size of a terminal is told after the start.
  options: () => ({}),
  isLikelyMessage: isStartFailure,
  judge: judgePouchExec,
};

/**
 * Pouch's inspection has no pid, and says "not running, exit code 0" of an exec that has not begun yet as well as of one
 * that has ended well. So the end is believed only when something else shows that there was a beginning.
 */
export function judgePouchExec({ running, exitCode }: DaemonExecState, signs: ExecSigns): ExecVerdict {
  if (running) return 'running';
  const { connectionEnded, hasOutput, hasMessage, wasRunning, sinceStartMs } = signs;
  if (exitCode === notStartedCode) {
    if (hasMessage) return 'not-started';
    // The message that would tell which of the two it is comes before the end of the connection.
    return connectionEnded || hasOutput || sinceStartMs >= longestBeginningMs ? 'exited' : 'running';
  }
  const hasBegun = exitCode !== 0 || wasRunning || connectionEnded || hasOutput || sinceStartMs >= longestBeginningMs;
  return hasBegun ? 'exited' : 'running';
}

/**
 * Whether a text is Pouch's own word on why a command could not start. It names the exec's random id, which no command
 * knows, or the very user that was asked for.
 */
export function isStartFailure(text: string, execId: string, { user }: DriverExecRequest): boolean {
  if (text.startsWith(`failed to start exec, exec id ${execId}: `)) return true;
  const [, missing] = /^unable to find (?:user|group) (.*): no matching entries/.exec(text) ?? [];
  return missing !== undefined && (user ?? '').split(':').includes(missing);
}
