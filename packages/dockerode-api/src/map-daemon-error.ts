import {
  type Applied,
  CommandNotFoundError,
  ContainerNotRunningError,
  ContainerPausedError,
  type CrikitError,
  type CrikitErrorOptions,
  EngineTimeoutError,
  EngineUnavailableError,
  isCrikitError,
  NoSuchContainerError,
  OperationAbortedError,
  PathNotFoundError,
  PermissionDeniedError,
  ProtocolError,
  TooLargeError,
  UnsupportedError,
  UserNotFoundError,
  WorkingDirNotFoundError,
} from '@crikit/core';
import type { Daemon } from './daemon.js';

export interface FailedCall {
  readonly daemon: Daemon;
  /** For messages: `inspect container 4f5e`. */
  readonly what: string;
  /** Whether the request would have changed something, so that a lost answer leaves the outcome open. */
  readonly changes: boolean;
}

/** What dockerode, Node's sockets or an abort threw, as one of core's errors. */
export function mapDaemonError(error: unknown, call: FailedCall): CrikitError {
  if (isCrikitError(error)) return error;
  const { statusCode, code, name } = (error ?? {}) as { statusCode?: unknown; code?: unknown; name?: unknown };
  if (typeof statusCode === 'number') return mapReply(statusCode, daemonMessage(error), error, call);
  const lost: Applied = call.changes ? 'unknown' : 'no';
  const message = `Could not ${call.what}: ${error instanceof Error ? error.message : String(error)}.`;
  const options = { engine: call.daemon.engine, cause: error };
  if (code === 'TIMEOUT') return new EngineTimeoutError(message, { ...options, applied: lost, retryable: true });
  if (code === 'ABORT_ERR' || name === 'AbortError') {
    return new OperationAbortedError(message, { ...options, applied: lost });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new PermissionDeniedError(message, {
      ...options,
      applied: 'no',
      remedy: 'Run the agent as root, or as a member of the group that owns the socket.',
    });
  }
  if (typeof code === 'string' && neverConnected.has(code)) {
    return new EngineUnavailableError(message, {
      ...options,
      applied: 'no',
      retryable: true,
      remedy: `Look whether the ${call.daemon.product} daemon runs.`,
    });
  }
  if (typeof code === 'string' && /^(E[A-Z0-9]+|ERR_STREAM_PREMATURE_CLOSE|HPE_.*)$/.test(code)) {
    if (code.startsWith('HPE_')) return new ProtocolError(message, { ...options, applied: lost });
    return new EngineUnavailableError(message, { ...options, applied: lost, retryable: true });
  }
  return new ProtocolError(message, { ...options, applied: lost });
}

const neverConnected: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTDIR',
  'ENOTSOCK',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** True when the daemon answered with this status: `hasStatus(error, 404)`. */
export function hasStatus(error: unknown, status: number): boolean {
  return (error as { statusCode?: unknown } | null)?.statusCode === status;
}

function daemonMessage(error: unknown): string {
  const { json, message } = error as { json?: unknown; message?: string };
  const said = (json as { message?: unknown } | null)?.message;
  return (typeof said === 'string' ? said : (message ?? '')).trim();
}

function mapReply(status: number, said: string, cause: unknown, call: FailedCall): CrikitError {
  const message = `Could not ${call.what}: ${said === '' ? `${call.daemon.product} answered with status ${status}` : said}.`;
  const options: CrikitErrorOptions = { engine: call.daemon.engine, applied: 'no', cause };
  // The text comes before the status: stopped is 409 on some routes and 500 on others, a missing path 404 or 400.
  if (/\bis paused\b/i.test(said)) {
    return new ContainerPausedError(message, { ...options, retryable: true, remedy: 'Resume it first.' });
  }
  if (/\bis not running\b|\bis restarting\b|container (is )?stopped/i.test(said)) {
    return new ContainerNotRunningError(message, { ...options, retryable: /restarting/i.test(said) });
  }
  if (
    /could not find the file|no such file or directory|not a directory|no such directory|not dir position/i.test(said)
  ) {
    return new PathNotFoundError(message, options);
  }
  if (status === 404) return new NoSuchContainerError(message, options);
  if (status === 409) return new ContainerNotRunningError(message, options);
  if (status === 401 || status === 403 || /permission denied|read[- ]only/i.test(said)) {
    return new PermissionDeniedError(message, options);
  }
  if (status === 400 && /client version .* is too (new|old)/i.test(said)) {
    return new UnsupportedError(message, { ...options, retryable: true });
  }
  if (status === 502 || status === 503 || status === 504) {
    return new EngineUnavailableError(message, {
      ...options,
      retryable: true,
      applied: call.changes ? 'unknown' : 'no',
    });
  }
  if (status >= 500) {
    return new ProtocolError(message, { ...options, applied: call.changes ? 'unknown' : 'no', retryable: true });
  }
  return new ProtocolError(message, options);
}

/** What a daemon writes to stdout instead of the command's output when the command cannot be started. */
export function mapStartFailure(
  said: string,
  exitCode: number | undefined,
  about: { readonly daemon: Daemon; readonly container: string; readonly command: string },
): CrikitError {
  const text = said.trim();
  const message = `Could not start ${JSON.stringify(about.command)} in container ${about.container}: ${
    text === '' ? `${about.daemon.product} gives exit code ${exitCode} and no process` : text
  }.`;
  const options: CrikitErrorOptions = { engine: about.daemon.engine, applied: 'no' };
  // The command itself stands quoted after `exec:`; only what precedes it is the runtime's own wording.
  const quoted = text.search(/exec: ["`]|executable file `/);
  const own = quoted === -1 ? text : text.slice(0, quoted);
  if (/unable to find (user|group) |no matching entries in (passwd|group) file/i.test(own)) {
    return new UserNotFoundError(message, options);
  }
  if (/chdir to |\bcwd\b|working directory/i.test(own)) return new WorkingDirNotFoundError(message, options);
  if (/argument list too long/i.test(text)) {
    return new TooLargeError(message, { ...options, remedy: 'Pass the data by `input`.' });
  }
  if (/\bis paused\b|cannot exec in a paused/i.test(own)) return new ContainerPausedError(message, options);
  if (/is not running|cannot exec in a (stopped|deleted)|container not running/i.test(own)) {
    return new ContainerNotRunningError(message, options);
  }
  if (
    text === '' ||
    /executable file|no such file or directory|permission denied|exec format error|not found|is a directory/i.test(text)
  ) {
    return new CommandNotFoundError(message, options);
  }
  return new ProtocolError(message, options);
}
