import {
  type Applied,
  CommandNotFoundError,
  ContainerNotRunningError,
  ContainerPausedError,
  type CrikitError,
  EngineUnavailableError,
  isCrikitError,
  NoSuchContainerError,
  OperationAbortedError,
  PathNotFoundError,
  PermissionDeniedError,
  ProtocolError,
  TooLargeError,
  UserNotFoundError,
  WorkingDirNotFoundError,
} from '@crikit/core';

export interface FailedCall {
  readonly engine: string;
  readonly what: string;
  /** Whether a lost answer leaves open what happened. */
  readonly changes: boolean;
}

/** What a socket, Node's HTTP or an abort threw, as one of core's errors. */
export function mapPodmanError(cause: unknown, { engine, what, changes }: FailedCall): CrikitError {
  if (isCrikitError(cause)) return cause;
  const { code, message = String(cause) } = (cause ?? {}) as { code?: string; message?: string };
  const lost: Applied = changes ? 'unknown' : 'no';
  const said = `Could not ${what}: ${message}.`;
  if (code === 'ABORT_ERR') return new OperationAbortedError(said, { engine, cause, applied: lost });
  if (code === 'EACCES' || code === 'EPERM') {
    return new PermissionDeniedError(said, {
      engine,
      cause,
      applied: 'no',
      remedy: 'Run as the user whose containers they are, or as root.',
    });
  }
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENOTSOCK' || code === 'ECONNREFUSED') {
    return new EngineUnavailableError(said, {
      engine,
      cause,
      applied: 'no',
      retryable: true,
      remedy: 'Start the service: systemctl start podman.socket, or podman system service.',
    });
  }
  if (code?.startsWith('HPE_') === true) return new ProtocolError(said, { engine, cause, applied: lost });
  return new EngineUnavailableError(said, { engine, cause, applied: lost, retryable: true });
}

/** What Podman answered with a status from 400 on. */
export function mapPodmanReply(status: number, body: string, { engine, what, changes }: FailedCall): CrikitError {
  const text = messageOf(body);
  const said = `Could not ${what}: ${text === '' ? `Podman answered with status ${status}` : text}.`;
  const options = { engine, applied: 'no' as Applied };
  if (/\bis paused\b/.test(text)) return new ContainerPausedError(said, options);
  if (/no such container|no container with (name or )?ID/i.test(text)) return new NoSuchContainerError(said, options);
  if (/on running containers|is not running|container state improper|not in running state/i.test(text)) {
    return new ContainerNotRunningError(said, options);
  }
  if (/unable to find (user|group) |no matching entries in (passwd|group)/i.test(text)) {
    return new UserNotFoundError(said, options);
  }
  if (/no such file or directory|not a directory/i.test(text)) return new PathNotFoundError(said, options);
  if (/permission denied|read-only file system/i.test(text)) return new PermissionDeniedError(said, options);
  if (status === 404) return new NoSuchContainerError(said, options);
  const applied: Applied = status >= 500 && changes ? 'unknown' : 'no';
  return new ProtocolError(said, { engine, applied, retryable: status >= 500 });
}

function messageOf(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown };
    return typeof message === 'string' ? message : '';
  } catch {
    return body.trim();
  }
}

/** What Podman writes instead of a command's output when the command could not be started. */
export function mapStartFailure(
  text: string,
  about: { readonly engine: string; readonly container: string; readonly command: string },
): CrikitError {
  const said = `Could not start ${JSON.stringify(about.command)} in container ${about.container}: ${text.trim()}.`;
  const options = { engine: about.engine, applied: 'no' as const };
  // The command stands quoted after `exec:` or `executable file`; only what precedes it is the runtime's own wording.
  const quoted = text.search(/exec: ["`]|executable file [`'"]/);
  const own = quoted === -1 ? text : text.slice(0, quoted);
  if (/unable to find (user|group) |no matching entries in (passwd|group)/i.test(own)) {
    return new UserNotFoundError(said, options);
  }
  if (/chdir|\bcwd\b|working directory/i.test(own)) return new WorkingDirNotFoundError(said, options);
  if (/argument list too long/i.test(text)) return new TooLargeError(said, options);
  if (/container not running|cannot exec in a stopped|container state improper|is not running/i.test(own)) {
    return new ContainerNotRunningError(said, options);
  }
  if (/\bpaused\b/.test(own)) return new ContainerPausedError(said, options);
  if (/command that was not found|OCI permission denied|executable file|no such file|exec format error/i.test(text)) {
    return new CommandNotFoundError(said, options);
  }
  return new ProtocolError(said, options);
}
