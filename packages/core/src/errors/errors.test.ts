import { readdir } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import * as core from '../index.js';

type Core = typeof core;

const interruption = { cmd: ['true'], stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), termination: undefined };
const result = { cmd: ['true'], exitCode: 3, stdout: Buffer.from('out'), stderr: Buffer.from('err'), truncated: false };
const pod = { namespace: 'shop', name: 'web-0' };

/** Every kind of error: its code, which is contract, and how one is made. */
const kinds: Record<string, readonly [code: string, make: (from: Core) => Error]> = {
  AlreadyExistsError: ['ALREADY_EXISTS', (from) => new from.AlreadyExistsError('m')],
  AmbiguousContainerError: ['AMBIGUOUS', (from) => new from.AmbiguousContainerError('4f', ['a', 'b'])],
  ClosedError: ['CLOSED', (from) => new from.ClosedError('m')],
  CommandNotFoundError: ['COMMAND_NOT_FOUND', (from) => new from.CommandNotFoundError('m')],
  ContainerNotRunningError: ['NOT_RUNNING', (from) => new from.ContainerNotRunningError('m')],
  ContainerPausedError: ['PAUSED', (from) => new from.ContainerPausedError('m')],
  CopyFailedError: ['COPY_FAILED', (from) => new from.CopyFailedError('m')],
  EngineClashError: ['ENGINE_CLASH', (from) => new from.EngineClashError('docker', ['a', 'b'])],
  EngineTimeoutError: ['TIMEOUT', (from) => new from.EngineTimeoutError('m')],
  EngineUnavailableError: ['UNAVAILABLE', (from) => new from.EngineUnavailableError('m')],
  ExecAbortedError: ['ABORTED', (from) => new from.ExecAbortedError('m', interruption)],
  ExecFailedError: ['EXEC_FAILED', (from) => new from.ExecFailedError(result)],
  ExecTimeoutError: ['TIMEOUT', (from) => new from.ExecTimeoutError('m', interruption)],
  InvalidArgumentError: ['INVALID_ARGUMENT', (from) => new from.InvalidArgumentError('m')],
  MultiBizError: ['MULTI_BIZ', (from) => new from.MultiBizError(pod, [{ id: '1' }, { id: '2' }])],
  NoBizError: ['NO_BIZ', (from) => new from.NoBizError(pod)],
  NoEngineError: ['NO_ENGINE', (from) => new from.NoEngineError([])],
  NoPodError: ['NO_POD', (from) => new from.NoPodError('shop/web-0')],
  NoSuchContainerError: ['NOT_FOUND', (from) => new from.NoSuchContainerError('m')],
  OperationAbortedError: ['ABORTED', (from) => new from.OperationAbortedError('m')],
  PathNotFoundError: ['PATH_NOT_FOUND', (from) => new from.PathNotFoundError('m')],
  PermissionDeniedError: ['PERMISSION', (from) => new from.PermissionDeniedError('m')],
  ProtocolError: ['PROTOCOL', (from) => new from.ProtocolError('m')],
  TooLargeError: ['TOO_LARGE', (from) => new from.TooLargeError('m')],
  UnsupportedError: ['UNSUPPORTED', (from) => new from.UnsupportedError('m')],
  UserNotFoundError: ['USER_NOT_FOUND', (from) => new from.UserNotFoundError('m')],
  WorkingDirNotFoundError: ['WORKDIR_NOT_FOUND', (from) => new from.WorkingDirNotFoundError('m')],
};
const names = Object.keys(kinds);

function guardOf(from: Core, name: string): (error: unknown) => boolean {
  return (from as unknown as Record<string, (error: unknown) => boolean>)[`is${name}`]!;
}

describe('errors', () => {
  it('has every file of this folder in the list of this test', async () => {
    const files = (await readdir(import.meta.dirname)).filter((file) => /^(?!crikit-).*-error\.ts$/.test(file));
    const expected = names.map((name) => `${name.replace(/(?<!^)[A-Z]/g, '-$&').toLowerCase()}.ts`);
    expect(files.sort()).toEqual(expected.sort());
  });

  it.each(names)('%s has its code, its name, and what every error carries', (name) => {
    const [code, make] = kinds[name]!;
    const error = make(core);
    expect(error).toMatchObject({
      code,
      name,
      applied: expect.stringMatching(/^(no|yes|unknown)$/),
      retryable: expect.any(Boolean),
    });
    expect(error).toBeInstanceOf(Error);
    expect(error.message).not.toBe('');
    expect(core.isCrikitError(error)).toBe(true);
  });

  it.each(names)('is%s accepts its own kind and refuses all others', (name) => {
    const accepted = names.filter((other) => guardOf(core, name)(kinds[other]![1](core)));
    expect(accepted).toEqual([name]);
  });

  it.each(['isCrikitError', ...names.map((name) => `is${name}`)])('%s refuses what is no error of crikit', (guard) => {
    const accepts = (core as unknown as Record<string, (error: unknown) => boolean>)[guard]!;
    for (const other of [undefined, null, 'text', 42, {}, new Error('x'), { code: 'TIMEOUT' }, new TypeError('x')]) {
      expect(accepts(other)).toBe(false);
    }
  });

  it('recognises the errors of another copy of this package, whose classes are others', async () => {
    vi.resetModules();
    const copy: Core = await import('../index.js');
    expect(copy.ProtocolError).not.toBe(core.ProtocolError);
    for (const name of names) {
      const error = kinds[name]![1](copy);
      expect(error).not.toBeInstanceOf((core as unknown as Record<string, new () => Error>)[name]!);
      expect(core.isCrikitError(error)).toBe(true);
      expect(names.filter((other) => guardOf(core, other)(error))).toEqual([name]);
      expect(names.filter((other) => guardOf(copy, other)(kinds[name]![1](core)))).toEqual([name]);
    }
  });

  it('shows engine and remedy in the message and keeps the cause', () => {
    const cause = new Error('why');
    const options = { engine: 'docker:/x', applied: 'no', retryable: true, remedy: 'Do this.', cause } as const;
    const error = new core.EngineUnavailableError('It failed.', options);
    expect(error.message).toBe('It failed. [docker:/x] Do this.');
    expect(error).toMatchObject({ ...options });
    expect(new core.ProtocolError('m')).toMatchObject({ applied: 'unknown', retryable: false, engine: undefined });
    expect(Object.hasOwn(new core.ProtocolError('m'), 'cause')).toBe(false);
  });

  it('makes misuse a TypeError', () => {
    expect(new core.InvalidArgumentError('m')).toBeInstanceOf(TypeError);
  });
});
