import {
  ClosedError,
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
  PermissionDeniedError,
  ProtocolError,
  TooLargeError,
  UnsupportedError,
  WorkingDirNotFoundError,
} from '@crikit/core';

export interface FailedCall {
  readonly engine: string;
  /** For messages: `inspect container 4f5e`. */
  readonly what: string;
  /** Whether the request would have changed something, so that a lost answer leaves the outcome open. */
  readonly changes: boolean;
}

/** The codes of gRPC that matter here. */
export const grpcStatus = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const;

/** gRPC's code of an error; undefined for what is no answer of a daemon. */
export function codeOf(error: unknown): number | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'number' ? code : undefined;
}

/** True when the connection was lost, or was not there. */
export function isConnectionLost(error: unknown): boolean {
  return codeOf(error) === grpcStatus.unavailable;
}

/** What gRPC, an abort or a deadline threw, as one of core's errors. */
export function mapContainerdError(error: unknown, call: FailedCall): CrikitError {
  if (isCrikitError(error)) return error;
  const code = codeOf(error);
  const said = detailsOf(error);
  const message = `Could not ${call.what}: ${said}.`;
  const lost: CrikitErrorOptions = { engine: call.engine, cause: error, applied: call.changes ? 'unknown' : 'no' };
  const refused: CrikitErrorOptions = { engine: call.engine, cause: error, applied: 'no' };
  const { code: systemCode } = (error ?? {}) as { code?: unknown };
  if (systemCode === 'TIMEOUT' || code === grpcStatus.deadlineExceeded) {
    return new EngineTimeoutError(message, { ...lost, retryable: true });
  }
  if (code === undefined) {
    return error instanceof Error && error.name === 'AbortError'
      ? new OperationAbortedError(message, lost)
      : new ProtocolError(message, lost);
  }
  // The text comes before the code: the same refusal has other codes in other releases.
  const state = mapContainerState(said, message, refused);
  if (state !== undefined) return state;
  switch (code) {
    case grpcStatus.cancelled:
      return new OperationAbortedError(message, lost);
    case grpcStatus.unavailable:
      return new EngineUnavailableError(message, {
        ...lost,
        retryable: true,
        remedy: 'Look whether containerd runs.',
      });
    case grpcStatus.notFound:
      return new NoSuchContainerError(message, refused);
    case grpcStatus.invalidArgument:
      // An id of a form that containerd does not allow names nothing.
      return /identifier/.test(said) ? new NoSuchContainerError(message, refused) : new ProtocolError(message, refused);
    case grpcStatus.permissionDenied:
    case grpcStatus.unauthenticated:
      return new PermissionDeniedError(message, refused);
    case grpcStatus.resourceExhausted:
      return new TooLargeError(message, lost);
    case grpcStatus.unimplemented:
      return new UnsupportedError(message, { ...refused, remedy: 'Use a newer containerd.' });
    default:
      return new ProtocolError(message, lost);
  }
}

function mapContainerState(said: string, message: string, options: CrikitErrorOptions): CrikitError | undefined {
  if (/\bpaused\b/i.test(said) && /\bcannot|in paused state|in a paused/i.test(said)) {
    return new ContainerPausedError(message, { ...options, retryable: true, remedy: 'Resume it first.' });
  }
  if (
    /in a (stopped|deleted|created) state|in (stopped|deleted|created) state|container not running|no running task/i.test(
      said,
    )
  ) {
    return new ContainerNotRunningError(message, options);
  }
  return undefined;
}

/** What containerd says when it could not start the process of an exec. */
export function mapStartFailure(
  error: unknown,
  about: { readonly engine: string; readonly container: string; readonly command: string },
): CrikitError {
  if (isCrikitError(error)) return error;
  const what = `start ${JSON.stringify(about.command)} in container ${about.container}`;
  const code = codeOf(error);
  if (code === undefined || code === grpcStatus.unavailable || code === grpcStatus.deadlineExceeded) {
    return mapContainerdError(error, { engine: about.engine, what, changes: true });
  }
  const text = detailsOf(error);
  const message = `Could not ${what}: ${text}.`;
  const options: CrikitErrorOptions = { engine: about.engine, applied: 'no', cause: error };
  // The command itself stands quoted after `exec:`; only what precedes it is the runtime's own wording.
  const quoted = text.search(/exec: ["`]|executable file `/);
  const own = quoted === -1 ? text : text.slice(0, quoted);
  const state = mapContainerState(own, message, options);
  if (state !== undefined) return state;
  if (/chdir to |\bcwd\b|working directory/i.test(own)) return new WorkingDirNotFoundError(message, options);
  if (/argument list too long/i.test(text)) {
    return new TooLargeError(message, { ...options, remedy: 'Pass the data by `input`.' });
  }
  if (/\bfifo\b|containerd-shim: opening|creat(e|ing) .*\bIO\b|io pipe/i.test(own)) {
    return new UnsupportedError(message, {
      ...options,
      remedy:
        'The folder for the pipes of execs must be on a path that means the same to the daemon: give `fifoDirectory`.',
    });
  }
  if (quoted !== -1 || /executable file|no such file or directory|permission denied|exec format error/i.test(text)) {
    return new CommandNotFoundError(message, options);
  }
  if (code === grpcStatus.notFound) return new ContainerNotRunningError(message, options);
  return new ProtocolError(message, options);
}

export function closedError(engine: string): ClosedError {
  return new ClosedError('This engine was closed.', { engine, applied: 'unknown', remedy: 'Connect a new one.' });
}

function detailsOf(error: unknown): string {
  const { details, message } = (error ?? {}) as { details?: unknown; message?: unknown };
  const text = typeof details === 'string' && details !== '' ? details : typeof message === 'string' ? message : '';
  return text.trim().replace(/\.$/, '') || String(error);
}
