import { PassThrough, type Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { holdStartFailure } from './hold-start-failure.js';

const message = 'OCI runtime exec failed: exec: "nope": executable file not found in $PATH: unknown\r\n';

function frame(stream: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

function collect(stream: Readable): { bytes(): Buffer; ended: Promise<void> } {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return {
    bytes: () => Buffer.concat(chunks),
    ended: new Promise((resolve) => stream.once('end', () => resolve())),
  };
}

async function settle(): Promise<void> {
  for (let count = 0; count < 5; count += 1) await turn();
}

describe.each([
  ['with frames', true],
  ['with a tty', false],
] as const)('%s', (_, framed) => {
  const bytes = framed ? frame(1, message) : Buffer.from(message);

  test('a message is held and can be taken, and the output ends without it', async () => {
    const connection = new PassThrough();
    const gate = holdStartFailure(connection, framed);
    const output = collect(gate.output);
    connection.end(bytes);
    await gate.held;
    await settle();
    expect(output.bytes()).toHaveLength(0);
    expect(gate.takeMessage()).toBe(message);
    await output.ended;
    expect(output.bytes()).toHaveLength(0);
  });

  test('output that looks like a message comes when the command is known to run', async () => {
    const connection = new PassThrough();
    const gate = holdStartFailure(connection, framed);
    const output = collect(gate.output);
    connection.write(bytes);
    await gate.held;
    gate.release();
    await settle();
    expect(output.bytes()).toEqual(bytes);
    connection.end();
    await output.ended;
  });

  test('output that looks like a message comes when more follows', async () => {
    const connection = new PassThrough();
    const gate = holdStartFailure(connection, framed);
    const output = collect(gate.output);
    connection.write(bytes);
    await gate.held;
    connection.end(bytes);
    await output.ended;
    expect(output.bytes()).toEqual(Buffer.concat([bytes, bytes]));
    expect(gate.takeMessage()).toBe('');
  });

  test('whatever the command writes comes through unchanged, in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 50 }), { maxLength: 8 }), async (pieces) => {
        const connection = new PassThrough();
        const gate = holdStartFailure(connection, framed);
        const output = collect(gate.output);
        for (const piece of pieces) {
          connection.write(piece);
          await turn();
        }
        connection.end();
        await settle();
        gate.release();
        await output.ended;
        expect(output.bytes()).toEqual(Buffer.concat(pieces));
      }),
      { numRuns: 50 },
    );
  });

  test('other output comes at once', async () => {
    const connection = new PassThrough();
    const gate = holdStartFailure(connection, framed);
    const output = collect(gate.output);
    const plain = framed ? frame(1, 'hello\n') : Buffer.from('hello');
    connection.write(plain);
    await settle();
    expect(output.bytes()).toEqual(plain);
    connection.destroy();
    await output.ended;
  });
});

test('stderr is never a message', async () => {
  const connection = new PassThrough();
  const gate = holdStartFailure(connection, true);
  const output = collect(gate.output);
  connection.write(frame(2, message));
  await settle();
  expect(output.bytes()).toEqual(frame(2, message));
});

test('a message in pieces is held whole', async () => {
  const connection = new PassThrough();
  const gate = holdStartFailure(connection, true);
  const output = collect(gate.output);
  for (const byte of frame(1, message)) {
    connection.write(Uint8Array.of(byte));
    await turn();
  }
  connection.end();
  await gate.held;
  expect(output.bytes()).toHaveLength(0);
  expect(gate.takeMessage()).toBe(message);
});

test('a reader that does not read stops the connection', async () => {
  const connection = new PassThrough({ highWaterMark: 1024 });
  const gate = holdStartFailure(connection, true);
  const piece = frame(1, 'x'.repeat(4096));
  let written = 0;
  while (connection.write(piece) && written < 1000) {
    written += 1;
    await turn();
  }
  for (let count = 0; count < 200 && !connection.writableNeedDrain; count += 1) {
    connection.write(piece);
    await turn();
  }
  expect(connection.isPaused()).toBe(true);
  expect(gate.output.readableLength).toBeLessThan(200_000);
});
