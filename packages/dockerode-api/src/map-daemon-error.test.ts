import { UnsupportedError } from '@crikit/core';
import { describe, expect, test } from 'vitest';
import { mapDaemonError, mapStartFailure } from './map-daemon-error.js';

const daemon = { product: 'Docker', engine: 'docker:test' };
const reading = { daemon, what: 'inspect container aa', changes: false };
const changing = { daemon, what: 'start exec ee', changes: true };

/** As docker-modem rejects when Docker answers with an error. */
function reply(statusCode: number, message: string): Error {
  return Object.assign(new Error(`(HTTP code ${statusCode}) unexpected - ${message} `), {
    statusCode,
    json: { message },
  });
}

const system = (code: string) => Object.assign(new Error(`connect ${code}`), { code });

describe('a reply', () => {
  test.each([
    [404, 'No such container: aa', 'NOT_FOUND'],
    [404, 'Could not find the file /nope in container aa', 'PATH_NOT_FOUND'],
    [400, 'extraction point is not a directory', 'PATH_NOT_FOUND'],
    [409, 'Container aa is paused, unpause the container before exec', 'PAUSED'],
    [409, 'Container aa is not running', 'NOT_RUNNING'],
    [409, 'Container aa is restarting, wait until the container is running', 'NOT_RUNNING'],
    [500, 'Container aa is not running: exited', 'NOT_RUNNING'],
    [403, 'container rootfs is marked read-only', 'PERMISSION'],
    [400, 'client version 1.45 is too new. Maximum supported API version is 1.41', 'UNSUPPORTED'],
    [400, 'No exec command specified', 'PROTOCOL'],
    [500, 'something broke', 'PROTOCOL'],
    [503, 'no backend', 'UNAVAILABLE'],
  ])('%d "%s" is %s', (status, message, code) => {
    const error = mapDaemonError(reply(status, message), reading);
    expect(error).toMatchObject({ code, applied: 'no', engine: 'docker:test' });
    expect(error.message).toContain('Could not inspect container aa');
    expect(error.message).toContain(message);
  });

  test('of a server error leaves open whether a change was made', () => {
    expect(mapDaemonError(reply(500, 'something broke'), changing).applied).toBe('unknown');
  });

  test('without a message shows the status', () => {
    const error = Object.assign(new Error(''), { statusCode: 418, json: Buffer.alloc(0) });
    expect(mapDaemonError(error, reading).message).toContain('418');
  });
});

describe('a system error', () => {
  test.each(['ENOENT', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENOTFOUND'])('%s means that nothing was sent', (code) => {
    expect(mapDaemonError(system(code), changing)).toMatchObject({
      code: 'UNAVAILABLE',
      applied: 'no',
      retryable: true,
    });
  });

  test.each(['ECONNRESET', 'EPIPE', 'ETIMEDOUT'])('%s leaves open whether a change was made', (code) => {
    expect(mapDaemonError(system(code), changing)).toMatchObject({ code: 'UNAVAILABLE', applied: 'unknown' });
    expect(mapDaemonError(system(code), reading)).toMatchObject({ code: 'UNAVAILABLE', applied: 'no' });
  });

  test('that denies says whom to be', () => {
    expect(mapDaemonError(system('EACCES'), reading)).toMatchObject({ code: 'PERMISSION', applied: 'no' });
    expect(mapDaemonError(system('EACCES'), reading).remedy).toContain('root');
  });
});

test('aborts, deadlines and strange things have their own codes', () => {
  const aborted = new AbortController();
  aborted.abort();
  expect(mapDaemonError(aborted.signal.reason, reading).code).toBe('ABORTED');
  expect(mapDaemonError(system('TIMEOUT'), reading)).toMatchObject({ code: 'TIMEOUT', retryable: true });
  expect(mapDaemonError(system('HPE_INVALID_CONSTANT'), reading).code).toBe('PROTOCOL');
  expect(mapDaemonError('what', reading).code).toBe('PROTOCOL');
});

test('an error of core is left as it is', () => {
  const error = new UnsupportedError('no');
  expect(mapDaemonError(error, reading)).toBe(error);
});

describe('a command that could not be started', () => {
  const about = { daemon, container: 'aa', command: 'x' };
  const runc = 'OCI runtime exec failed: exec failed: unable to start container process: ';

  test.each([
    [`${runc}exec: "x": executable file not found in $PATH: unknown`, 'COMMAND_NOT_FOUND'],
    [`${runc}exec: "/x": stat /x: no such file or directory: unknown`, 'COMMAND_NOT_FOUND'],
    [`${runc}exec: "/etc": permission denied: unknown`, 'COMMAND_NOT_FOUND'],
    [`${runc}exec /x: no such file or directory: unknown`, 'COMMAND_NOT_FOUND'],
    [`${runc}exec /x: exec format error: unknown`, 'COMMAND_NOT_FOUND'],
    ['OCI runtime exec failed: executable file `x` not found in $PATH: No such file or directory', 'COMMAND_NOT_FOUND'],
    ['unable to find user x: no matching entries in passwd file', 'USER_NOT_FOUND'],
    ['unable to find group x: no matching entries in group file', 'USER_NOT_FOUND'],
    [`${runc}chdir to cwd ("/x") set in config.json failed: no such file or directory: unknown`, 'WORKDIR_NOT_FOUND'],
    [`${runc}chdir to cwd ("/x") set in config.json failed: not a directory: unknown`, 'WORKDIR_NOT_FOUND'],
    [`${runc}exec /x: argument list too long: unknown`, 'TOO_LARGE'],
    ['cannot exec in a paused container', 'PAUSED'],
    ['cannot exec in a stopped state: unknown', 'NOT_RUNNING'],
    ['a word that nobody knows', 'PROTOCOL'],
    ['', 'COMMAND_NOT_FOUND'],
  ])('"%s" is %s', (said, code) => {
    expect(mapStartFailure(`${said}\r\n`, 126, about)).toMatchObject({ code, applied: 'no' });
  });

  test.each(['chdir to /cwd', 'unable to find user root', 'is paused'])(
    'by a name like Docker’s own words, "%s", is not mistaken',
    (name) => {
      const said = `${runc}exec: "${name}": executable file not found in $PATH: unknown`;
      expect(mapStartFailure(said, 127, about).code).toBe('COMMAND_NOT_FOUND');
    },
  );
});
