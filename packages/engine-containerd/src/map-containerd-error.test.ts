import { describe, expect, test } from 'vitest';
import { grpcStatus, mapContainerdError, mapStartFailure } from './map-containerd-error.js';

const rpcError = (code: number, details: string): Error =>
  Object.assign(new Error(`${code} X: ${details}`), { code, details });
const runc = (said: string): string =>
  `OCI runtime exec failed: exec failed: unable to start container process: ${said}: unknown`;

describe('a failed call', () => {
  const call = { engine: 'containerd:/s', what: 'inspect container c', changes: false };
  test.each([
    [grpcStatus.notFound, 'container "c" in namespace "k8s.io": not found', 'NOT_FOUND', 'no', false],
    [
      grpcStatus.invalidArgument,
      'container.ID: identifier "a b" must match …: invalid argument',
      'NOT_FOUND',
      'no',
      false,
    ],
    [grpcStatus.unavailable, 'No connection established', 'UNAVAILABLE', 'no', true],
    [grpcStatus.deadlineExceeded, 'Deadline exceeded', 'TIMEOUT', 'no', true],
    [grpcStatus.unknown, 'cannot exec in a paused state: unknown', 'PAUSED', 'no', true],
    [grpcStatus.unknown, 'cannot exec in a stopped state: unknown', 'NOT_RUNNING', 'no', false],
    [grpcStatus.failedPrecondition, 'cannot exec in a deleted state: failed precondition', 'NOT_RUNNING', 'no', false],
    [grpcStatus.permissionDenied, 'no', 'PERMISSION', 'no', false],
    [grpcStatus.unimplemented, 'unknown service', 'UNSUPPORTED', 'no', false],
    [grpcStatus.resourceExhausted, 'received message larger than max', 'TOO_LARGE', 'no', false],
    [grpcStatus.cancelled, 'Cancelled on client', 'ABORTED', 'no', false],
    [grpcStatus.unknown, 'something else', 'PROTOCOL', 'no', false],
  ])('with code %d, "%s", is %s', (code, details, expected, applied, retryable) => {
    expect(mapContainerdError(rpcError(code, details), call)).toMatchObject({
      code: expected,
      applied,
      retryable,
      engine: 'containerd:/s',
      message: expect.stringContaining('inspect container c'),
    });
  });

  test('that would have changed something leaves open whether it did', () => {
    const changing = { ...call, changes: true };
    expect(mapContainerdError(rpcError(grpcStatus.unavailable, 'x'), changing).applied).toBe('unknown');
    expect(mapContainerdError(rpcError(grpcStatus.notFound, 'x'), changing).applied).toBe('no');
  });

  test('keeps an error that is typed already', () => {
    const typed = mapContainerdError(rpcError(grpcStatus.notFound, 'x'), call);
    expect(mapContainerdError(typed, call)).toBe(typed);
  });
});

describe('a command that could not be started', () => {
  const about = { engine: 'containerd:/s', container: 'c', command: 'x' };
  test.each([
    [runc('exec: "x": executable file not found in $PATH'), 'COMMAND_NOT_FOUND'],
    [runc('exec: "/nope/x": stat /nope/x: no such file or directory'), 'COMMAND_NOT_FOUND'],
    [runc('exec: "/etc/passwd": permission denied'), 'COMMAND_NOT_FOUND'],
    [runc('exec: "cannot exec in a paused state": executable file not found in $PATH'), 'COMMAND_NOT_FOUND'],
    [runc('exec: "/etc": is a directory'), 'COMMAND_NOT_FOUND'],
    [runc('chdir to cwd ("/nope") set in config.json failed: no such file or directory'), 'WORKDIR_NOT_FOUND'],
    [runc('chdir to cwd ("/etc/passwd") set in config.json failed: not a directory'), 'WORKDIR_NOT_FOUND'],
    [runc('current working directory is outside of container mount namespace root'), 'WORKDIR_NOT_FOUND'],
    [runc('argument list too long'), 'TOO_LARGE'],
    ['cannot exec in a stopped state: unknown', 'NOT_RUNNING'],
    [
      'failed to start io pipe copy: unable to copy pipes: containerd-shim: opening w/o fifo "/run/x" failed: open /run/x: no such file or directory: unknown',
      'UNSUPPORTED',
    ],
    ['something else: unknown', 'PROTOCOL'],
  ])('%s is %s', (said, code) => {
    expect(mapStartFailure(rpcError(grpcStatus.unknown, said), about)).toMatchObject({ code, applied: 'no' });
  });

  test('because the daemon was lost may have started all the same', () => {
    expect(mapStartFailure(rpcError(grpcStatus.unavailable, 'gone'), about)).toMatchObject({
      code: 'UNAVAILABLE',
      applied: 'unknown',
    });
  });
});
