import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ExecField } from './engine-contract.js';
import { emulationFailure, type PreparedExec, prepareExec, type WantedExec } from './prepare-exec.js';

const everyField: readonly ExecField[] = ['user', 'workingDir', 'env', 'tty', 'stdin'];

function prepare(wanted: WantedExec, fields: readonly ExecField[] = everyField, stdin = false): PreparedExec {
  return prepareExec(wanted, stdin, { engine: 'fake:/sock', execFields: new Set(fields), agentName: 'tests' });
}

describe('prepareExec', () => {
  test('adds the tags and an unpredictable marker to the environment', () => {
    const first = prepare({ cmd: ['id'], env: { A: '1' } });
    const second = prepare({ cmd: ['id'] });
    expect(first.request.env.slice(0, 2)).toEqual(['A=1', '_FROM=tests']);
    expect(first.request.env[2]).toMatch(/^_TS=\d{13}$/);
    expect(first.request.env[3]).toBe(first.marker);
    expect(first.marker).toMatch(/^CRIKIT_EXEC_MARKER=[0-9a-f]{32}$/);
    expect(first.marker).not.toBe(second.marker);
  });

  test('sets the marker even when the tags are switched off', () => {
    const options = { engine: 'fake', execFields: new Set(everyField), agentName: undefined };
    const { request, marker } = prepareExec({ cmd: ['id'] }, false, options);
    expect(request.env).toEqual([marker]);
  });

  test('runs as root, by number, unless told otherwise', () => {
    expect(prepare({ cmd: ['id'] }).request.user).toBe('0');
    expect(prepare({ cmd: ['id'], user: 'app' }).request.user).toBe('app');
    expect(prepare({ cmd: ['id'] }, ['env']).request.user).toBeUndefined();
  });

  test.each<[string, WantedExec]>([
    ['an empty command', { cmd: [] }],
    ['an empty program', { cmd: [''] }],
    ['a shell string', { cmd: 'ls -l' as never }],
    ['NUL in an argument', { cmd: ['a\0b'] }],
    ['an argument that is no text', { cmd: ['sleep', 1 as never] }],
    ['a relative working directory', { cmd: ['a'], workingDir: 'tmp' }],
    ['= in the name of a variable', { cmd: ['a'], env: { 'A=B': '1' } }],
    ['an empty name of a variable', { cmd: ['a'], env: { '': '1' } }],
    ['NUL in a variable', { cmd: ['a'], env: { A: '\0' } }],
    ['a negative time-out', { cmd: ['a'], timeoutMs: -1 }],
    ['a time-out that timers cannot hold', { cmd: ['a'], timeoutMs: 2 ** 31 }],
    ['no number as time-out', { cmd: ['a'], timeoutMs: Number.NaN }],
  ])('refuses %s', (_, wanted) => {
    expect(() => prepare(wanted)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  test.each(['/proc/self/fd/7', '/proc/1/cwd', '/proc/self/task/1/root/etc', '//proc//self/./fd/3', '/a/../proc/9/fd'])(
    'refuses the working directory %s, which can lead out of the container',
    (workingDir) => {
      expect(() => prepare({ cmd: ['a'], workingDir })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    },
  );

  test('refuses requests of more than 1 MiB and strings that the kernel would refuse, before they are sent', () => {
    const tooLarge = expect.objectContaining({ code: 'TOO_LARGE', applied: 'no' });
    expect(() => prepare({ cmd: ['echo', 'x'.repeat(128 * 1024)] })).toThrow(tooLarge);
    expect(() => prepare({ cmd: ['echo', 'x'.repeat(128 * 1024 - 1)] })).not.toThrow();
    expect(() => prepare({ cmd: ['echo', ...Array(11).fill('x'.repeat(100_000))] })).toThrow(tooLarge);
    expect(() => prepare({ cmd: ['echo'], env: { A: 'ü'.repeat(70_000) } })).toThrow(tooLarge);
  });

  test.each<[ExecField, WantedExec, boolean]>([
    ['user', { cmd: ['a'], user: 'app' }, false],
    ['tty', { cmd: ['a'], tty: true }, false],
    ['stdin', { cmd: ['a'] }, true],
  ])('refuses %s where the engine does not have it', (field, wanted, stdin) => {
    const others = everyField.filter((name) => name !== field);
    expect(() => prepare(wanted, others, stdin)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringContaining(field) }),
    );
  });
});

describe('working directory and environment by a shell of the container', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'crikit-emulation-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  async function run(wanted: WantedExec, fields: readonly ExecField[] = []) {
    const prepared = prepare(wanted, fields);
    const [program = '', ...others] = prepared.request.cmd;
    const ended = await promisify(execFile)(program, others, {
      env: { PATH: process.env.PATH },
      encoding: 'buffer',
    }).catch((error: { code: number; stdout: Buffer; stderr: Buffer }) => error);
    return { prepared, ...ended, code: 'code' in ended ? ended.code : 0 };
  }

  test('are what the command sees, marker included', async () => {
    const { prepared, stdout } = await run({ cmd: ['sh', '-c', 'pwd; env'], workingDir: directory, env: { A: 'b c' } });
    const lines = stdout.toString().split('\n');
    expect(lines[0]).toBe(directory);
    expect(lines).toContain('A=b c');
    expect(lines).toContain(prepared.marker);
    expect(lines.filter((line) => line.startsWith('crikit_'))).toEqual([]);
  });

  test('leave the environment to an engine that has it', async () => {
    const { prepared } = await run({ cmd: ['pwd'], workingDir: directory, env: { A: '1' } }, ['env']);
    expect(prepared.request.env).toContain('A=1');
  });

  test('tell a missing directory and a missing command from what the command says itself', async () => {
    const missing = await run({ cmd: ['true'], workingDir: `${directory}/none` });
    expect(emulationFailure(missing.prepared.marker, missing.stderr.toString())).toBe('workdir');
    const unknown = await run({ cmd: ['no-such-command'], workingDir: directory });
    expect(emulationFailure(unknown.prepared.marker, unknown.stderr.toString())).toBe('command');
    for (const cmd of [['/etc/passwd'], ['/etc'], ['/no/such/command']]) {
      const refused = await run({ cmd, workingDir: directory });
      expect(emulationFailure(refused.prepared.marker, refused.stderr.toString())).toBe('command');
    }
    const itself = await run({ cmd: ['sh', '-c', 'echo workdir >&2; exit 126'], workingDir: directory });
    expect(itself.code).toBe(126);
    expect(emulationFailure(itself.prepared.marker, itself.stderr.toString())).toBeUndefined();
  });

  test('never read an argument or a value as shell', async () => {
    const text = fc
      .string({ unit: 'binary', maxLength: 40 })
      .filter((value) => !value.includes('\0') && Buffer.from(value).toString() === value);
    await fc.assert(
      fc.asyncProperty(text, text, async (argument, value) => {
        const { stdout } = await run({ cmd: ['printf', '%s|%s', argument, 'end'], env: { VALUE: value } });
        expect(stdout.toString()).toBe(`${argument}|end`);
      }),
      { numRuns: 30 },
    );
  });
});
