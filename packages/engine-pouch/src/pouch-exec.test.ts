import type { DriverExecRequest } from '@crikit/core';
import type { ExecSigns } from '@crikit/dockerode-api';
import { describe, expect, test } from 'vitest';
import { isStartFailure, judgePouchExec } from './pouch-exec.js';

const nothing: ExecSigns = {
  wasRunning: false,
  connectionEnded: false,
  hasOutput: false,
  hasMessage: false,
  sinceStartMs: 250,
};
const judge = (exitCode: number, signs: Partial<ExecSigns> = {}, running = false) =>
  judgePouchExec({ running, exitCode, pid: undefined }, { ...nothing, ...signs });

describe('an exec', () => {
  test('that is running has not ended, though its exit code is 0', () => {
    expect(judge(0, { connectionEnded: true }, true)).toBe('running');
  });

  test('that looks ended with 0 may not have begun', () => {
    expect(judge(0)).toBe('running');
  });

  test.each<[string, Partial<ExecSigns>]>([
    ['it was seen running', { wasRunning: true }],
    ['its connection has ended', { connectionEnded: true }],
    ['it has written something', { hasOutput: true }],
    ['it would have begun long ago', { sinceStartMs: 5_000 }],
  ])('that looks ended with 0 has ended when %s', (_, signs) => {
    expect(judge(0, signs)).toBe('exited');
  });

  test('with another exit code has ended', () => {
    expect(judge(7)).toBe('exited');
    expect(judge(137)).toBe('exited');
  });

  test('with 126 was not started when Pouch says why, which may come later than the code', () => {
    expect(judge(126)).toBe('running');
    expect(judge(126, { hasMessage: true })).toBe('not-started');
    expect(judge(126, { hasMessage: true, connectionEnded: true })).toBe('not-started');
  });

  test('with 126 of its own has ended', () => {
    expect(judge(126, { connectionEnded: true })).toBe('exited');
    expect(judge(126, { hasOutput: true })).toBe('exited');
    expect(judge(126, { sinceStartMs: 5_000 })).toBe('exited');
  });
});

describe('a text', () => {
  const request = (user: string): DriverExecRequest => ({ cmd: ['id'], env: [], tty: false, stdin: false, user });

  test('that names the exec is Pouch’s own', () => {
    const text = 'failed to start exec, exec id abc: OCI runtime exec failed: no such file\r\n';
    expect(isStartFailure(text, 'abc', request('0'))).toBe(true);
    expect(isStartFailure(text, 'other', request('0'))).toBe(false);
  });

  test('that names the missing user is Pouch’s own', () => {
    const text = 'unable to find user nosuch: no matching entries in passwd file\r\n';
    expect(isStartFailure(text, 'abc', request('nosuch'))).toBe(true);
    expect(isStartFailure(text, 'abc', request('app'))).toBe(false);
    expect(isStartFailure(text.replace('user nosuch', 'group staff'), 'abc', request('root:staff'))).toBe(true);
  });

  test.each(['OCI runtime exec failed: no such file\r\n', 'cannot\r\n', ''])('such as %j is a command’s', (text) => {
    expect(isStartFailure(text, 'abc', request('0'))).toBe(false);
  });
});
