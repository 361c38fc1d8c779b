import type { DriverExecRequest } from '@crikit/core';
import { compareApiVersions, type DaemonExecOptions, type DockerodeApi, type ExecDialect } from '@crikit/dockerode-api';

export function dockerExecDialect(api: DockerodeApi): ExecDialect {
  return {
    options: (request) => execOptions(request, api.apiVersion),
    judge({ running, exitCode, pid }) {
      if (running || exitCode === undefined) return 'running';
      // A command that was started has a pid, after its end too.
      return pid === undefined || pid === 0 ? 'not-started' : 'exited';
    },
  };
}

function execOptions(request: DriverExecRequest, apiVersion: string): Partial<DaemonExecOptions> {
  const { columns, rows } = request;
  const size: readonly [number, number] | undefined =
    request.tty && columns !== undefined && rows !== undefined && compareApiVersions(apiVersion, '1.42') >= 0
      ? [rows, columns]
      : undefined;
  return {
    ...(request.workingDir === undefined ? {} : { WorkingDir: request.workingDir }),
    // Docker takes ctrl-p ctrl-q out of a terminal's input, and detaches. It cannot be switched off, only be made rare.
    ...(request.tty && request.stdin ? { DetachKeys: 'ctrl-@,ctrl-_,ctrl-@,ctrl-_,ctrl-@,ctrl-_' } : {}),
    ...(size === undefined ? {} : { ConsoleSize: size }),
  };
}
