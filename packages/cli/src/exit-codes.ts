import { type ErrorCode, isCrikitError, isExecTimeoutError } from '@crikit/core';
import { InterruptedError } from './errors/interrupted-error.js';

/** What the exit code of a command says; of `exec` see `execExitCodeOf`. Part of the contract. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  ambiguous: 4,
  noEngine: 5,
  notPermitted: 6,
  notRunning: 7,
  unsupported: 8,
  timeout: 124,
} as const;

const byErrorCode: Partial<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: exitCodes.usage,
  NOT_FOUND: exitCodes.notFound,
  NO_POD: exitCodes.notFound,
  NO_BIZ: exitCodes.notFound,
  PATH_NOT_FOUND: exitCodes.notFound,
  AMBIGUOUS: exitCodes.ambiguous,
  MULTI_BIZ: exitCodes.ambiguous,
  NO_ENGINE: exitCodes.noEngine,
  ENGINE_CLASH: exitCodes.noEngine,
  UNAVAILABLE: exitCodes.noEngine,
  PERMISSION: exitCodes.notPermitted,
  NOT_RUNNING: exitCodes.notRunning,
  PAUSED: exitCodes.notRunning,
  UNSUPPORTED: exitCodes.unsupported,
  TIMEOUT: exitCodes.timeout,
};

export function exitCodeOf(error: unknown): number {
  if (error instanceof InterruptedError) return error.exitCode;
  return isCrikitError(error) ? (byErrorCode[error.code] ?? exitCodes.failed) : exitCodes.failed;
}

/** `exec` gives the exit code of the command in the container; what went wrong outside of it is told as shells do. */
export const execExitCodes = { timeout: 124, failed: 125, cannotRun: 126, commandNotFound: 127 } as const;

export function execExitCodeOf(error: unknown): number {
  if (error instanceof InterruptedError) return error.exitCode;
  if (isExecTimeoutError(error)) return execExitCodes.timeout;
  if (!isCrikitError(error)) return execExitCodes.failed;
  if (error.code === 'COMMAND_NOT_FOUND') return execExitCodes.commandNotFound;
  return error.code === 'USER_NOT_FOUND' || error.code === 'WORKDIR_NOT_FOUND'
    ? execExitCodes.cannotRun
    : execExitCodes.failed;
}
