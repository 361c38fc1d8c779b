import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, dirname, join, posix } from 'node:path';
import type { CheckContext, CheckResult } from './check-task.js';

/**
 * Whether the pipes of execs can be made where containerd's shims find them: in `fifo` beside the socket. Nothing is
 * made here.
 */
export function checkFifoDirectory(socketPath: string, { environment }: CheckContext): CheckResult {
  const directory = posix.join(dirname(socketPath), 'fifo');
  const about = { subject: directory };
  const refusal = findRefusal(directory);
  if (refusal !== undefined) {
    return {
      findings: [
        {
          ...about,
          id: 'fifo-directory-unusable',
          severity: 'warning',
          message: `The pipes of execs cannot be made in ${directory}: ${refusal}. Containers are seen, but no command can be run in them.`,
          remedy: `Run as root; in a container, mount ${dirname(socketPath)} writable, at the path that it has on the node or below the host root.`,
        },
      ],
    };
  }
  if (!isInPath('mkfifo', environment.PATH)) {
    return {
      findings: [
        {
          ...about,
          id: 'mkfifo-missing',
          severity: 'warning',
          message: 'There is no mkfifo in PATH: commands in containers of containerd write to files and have no stdin.',
          remedy: 'Install mkfifo (coreutils or busybox) beside this program.',
        },
      ],
    };
  }
  const message = `The pipes of execs can be made in ${directory}.`;
  return { findings: [{ ...about, id: 'fifo-directory-usable', severity: 'ok', message }] };
}

/** The folder, or the nearest above it that there is, must take new files. */
function findRefusal(directory: string): string | undefined {
  try {
    if (!statSync(directory).isDirectory()) return 'it is not a directory';
    accessSync(directory, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && directory !== '/') return findRefusal(dirname(directory));
    return code === 'EROFS' ? `${directory} is mounted read-only` : `${directory} may not be written (${code})`;
  }
}

function isInPath(program: string, path = ''): boolean {
  return path.split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return directory !== '';
    } catch {
      return false;
    }
  });
}
