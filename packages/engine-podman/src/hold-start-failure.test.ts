import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { holdStartFailure } from './hold-start-failure.js';

// As Podman 4.3.1 wrote them.
const notFound =
  'Error: /usr/sbin/runc: exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH: OCI runtime attempted to invoke a command that was not found\n';
const broken = 'Error: write unixpacket @->/proc/self/fd/15/attach: write: connection reset by peer\n';
const lost = 'Error: read unixpacket @->/proc/self/fd/14/attach: read: connection reset by peer\n';

test('holds Podman’s message back until it is known whether the command has started', async () => {
  const source = new PassThrough();
  const gate = holdStartFailure(source);
  source.write(notFound);
  source.end(lost);
  await gate.held;
  expect(gate.startFailure()).toBe(notFound);
  gate.drop();
  expect(await text(gate.output)).toBe('');
});

test('passes the same text on when the command has started', async () => {
  const source = new PassThrough();
  const gate = holdStartFailure(source);
  source.end(notFound);
  await gate.held;
  gate.release();
  expect(await text(gate.output)).toBe(notFound);
});

test.each(['Error: the disk is full\n', 'Error', 'E', 'Error: 1\nError: 2\n'])(
  'takes %j of a command for no start failure',
  async (said) => {
    const source = new PassThrough();
    const gate = holdStartFailure(source);
    for (const character of said) source.write(character);
    source.end();
    expect(gate.startFailure()).toBeUndefined();
    gate.release();
    expect(await text(gate.output)).toBe(said);
  },
);

test('passes other output on at once', async () => {
  const source = new PassThrough();
  const { output } = holdStartFailure(source);
  source.write('warning');
  expect(String(await new Promise((resolve) => output.once('data', resolve)))).toBe('warning');
});

test('leaves out what Podman says about its own connection, at the end and nowhere else', async () => {
  const source = new PassThrough();
  const gate = holdStartFailure(source);
  source.write('one\n');
  source.write(broken);
  source.write('two\n');
  source.write(broken.slice(0, 40));
  source.end(broken.slice(40));
  expect(await text(gate.output)).toBe(`one\n${broken}two\n`);
});

test('does not pass output for complete when Podman says that it could not read the last of it', async () => {
  const source = new PassThrough();
  const gate = holdStartFailure(source);
  source.end(`one\n${lost}`);
  await expect(text(gate.output)).rejects.toMatchObject({ code: 'PROTOCOL', applied: 'yes' });
});
