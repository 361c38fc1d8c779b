import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { demultiplexStream } from './demultiplex-stream.js';

interface Frame {
  readonly stream: number;
  readonly data: Uint8Array;
}

function frame({ stream, data }: Frame): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}

async function demultiplex(chunks: readonly Uint8Array[]) {
  const { stdout, stderr, ended } = demultiplexStream(Readable.from(chunks, { objectMode: false }));
  const [out, err, end] = await Promise.all([buffer(stdout), buffer(stderr), ended]);
  return { out, err, end };
}

function cut(bytes: Buffer, points: readonly number[]): Buffer[] {
  const sorted = [...new Set(points.map((point) => point % (bytes.length + 1)))].sort((a, b) => a - b);
  const pieces = [0, ...sorted].map((from, index) => bytes.subarray(from, sorted[index] ?? bytes.length));
  return pieces.filter((piece) => piece.length > 0);
}

const frames = fc.array(fc.record({ stream: fc.constantFrom(0, 1, 2, 3), data: fc.uint8Array({ maxLength: 200 }) }), {
  minLength: 1,
  maxLength: 20,
});

describe('demultiplexStream', () => {
  test('gives the same output however the bytes were cut', async () => {
    await fc.assert(
      fc.asyncProperty(frames, fc.array(fc.nat(10_000), { maxLength: 30 }), async (sent, points) => {
        const { out, err, end } = await demultiplex(cut(Buffer.concat(sent.map(frame)), points));
        expect(out).toEqual(Buffer.concat(sent.filter(({ stream }) => stream < 2).map(({ data }) => data)));
        expect(err).toEqual(Buffer.concat(sent.filter(({ stream }) => stream >= 2).map(({ data }) => data)));
        expect(end).toEqual({ framed: true });
      }),
    );
  });

  test('takes one byte at a time', async () => {
    const sent = Buffer.concat([
      frame({ stream: 1, data: Buffer.from('out') }),
      frame({ stream: 2, data: Buffer.from('err') }),
    ]);
    const { out, err } = await demultiplex(Array.from(sent, (byte) => Buffer.from([byte])));
    expect(out.toString()).toBe('out');
    expect(err.toString()).toBe('err');
  });

  test('takes many thousands of tiny frames in one chunk', async () => {
    const count = 40_000;
    const chunk = Buffer.concat(
      Array.from({ length: count }, (_, index) => frame({ stream: 1 + (index % 2), data: Buffer.from('x') })),
    );
    const { out, err } = await demultiplex([chunk]);
    expect(out.length).toBe(count / 2);
    expect(err.length).toBe(count / 2);
  });

  test('hands a 64 MiB frame on without holding it', async () => {
    const size = 64 * 1024 * 1024;
    const piece = Buffer.alloc(64 * 1024, 7);
    const expected = createHash('sha256');
    function* source() {
      const header = Buffer.alloc(8);
      header[0] = 1;
      header.writeUInt32BE(size, 4);
      yield header;
      for (let sent = 0; sent < size; sent += piece.length) {
        expected.update(piece);
        yield piece;
      }
    }
    const { stdout, stderr, ended } = demultiplexStream(Readable.from(source(), { objectMode: false }));
    stderr.resume();
    const actual = createHash('sha256');
    let largest = 0;
    for await (const chunk of stdout) {
      largest = Math.max(largest, chunk.length);
      actual.update(chunk);
    }
    expect(await ended).toEqual({ framed: true });
    expect(actual.digest('hex')).toBe(expected.digest('hex'));
    expect(largest).toBeLessThanOrEqual(1024 * 1024);
  });

  test.each([
    ['inside a header', Buffer.concat([frame({ stream: 1, data: Buffer.from('whole') }), Buffer.from([1, 0, 0])])],
    ['inside a frame', frame({ stream: 1, data: Buffer.from('whole half') }).subarray(0, 8 + 5)],
  ])('delivers what came and reports the loss when the stream ends %s', async (_, bytes) => {
    const { out, end } = await demultiplex([bytes]);
    expect(out.toString()).toBe('whole');
    expect(end.error?.code).toBe('PROTOCOL');
  });

  test('reports the loss when the source breaks off between frames', async () => {
    const source = new PassThrough();
    const { stdout, stderr, ended } = demultiplexStream(source);
    stderr.resume();
    source.write(frame({ stream: 1, data: Buffer.from('before') }));
    const [first] = await Promise.all([stdout.take(1).toArray()]);
    source.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
    expect(String(first?.[0])).toBe('before');
    expect((await ended).error?.cause).toMatchObject({ code: 'ECONNRESET' });
  });

  test('passes unframed output through, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 500 }).filter((bytes) => bytes.length > 0 && (bytes[0] ?? 0) > 3),
        fc.array(fc.nat(500), { maxLength: 10 }),
        async (bytes, points) => {
          const { out, err, end } = await demultiplex(cut(Buffer.from(bytes), points));
          expect(out).toEqual(Buffer.from(bytes));
          expect(err.length).toBe(0);
          expect(end).toEqual({ framed: false });
        },
      ),
    );
  });

  test('passes through an output that is shorter than a header and looks like one', async () => {
    const { out, end } = await demultiplex([Buffer.from([1, 0])]);
    expect(out).toEqual(Buffer.from([1, 0]));
    expect(end).toEqual({ framed: false });
  });

  test('says that framing was lost and still shows what came', async () => {
    const { out, end } = await demultiplex([
      Buffer.concat([frame({ stream: 1, data: Buffer.from('framed,') }), Buffer.from('then not')]),
    ]);
    expect(out.toString()).toBe('framed,then not');
    expect(end.error?.code).toBe('PROTOCOL');
  });

  test('gives empty streams for an empty source', async () => {
    const { out, err, end } = await demultiplex([]);
    expect([out.length, err.length, end]).toEqual([0, 0, { framed: false }]);
  });

  test('understands what Pouch really sent, framed and unframed', async () => {
    const body = (name: string): Buffer => {
      const raw = readFileSync(new URL(`./__fixtures__/${name}.bin`, import.meta.url));
      return raw.subarray(raw.indexOf('\r\n\r\n') + 4);
    };
    const framed = await demultiplex([body('pouch-exec-framed')]);
    expect([framed.out.toString(), framed.err.toString()]).toEqual(['o\n', 'e\n']);
    const unframed = await demultiplex([body('pouch-exec-unframed')]);
    expect(unframed.out).toEqual(body('pouch-exec-unframed'));
    expect(unframed.end).toEqual({ framed: false });
  });

  test('stops reading the source while an output is not read', async () => {
    let produced = 0;
    const source = new Readable({
      read() {
        produced += 64 * 1024;
        this.push(frame({ stream: 1, data: Buffer.alloc(64 * 1024) }));
      },
    });
    const { stdout, stderr } = demultiplexStream(source);
    await new Promise((resolve) => stdout.once('readable', resolve));
    await new Promise((resolve) => setImmediate(resolve));
    const before = produced;
    await new Promise((resolve) => setImmediate(resolve));
    expect(produced).toBe(before);
    expect(produced).toBeLessThan(1024 * 1024);
    source.destroy();
    stdout.destroy();
    stderr.destroy();
  });

  test('goes on for one output when the other was destroyed', async () => {
    const source = new PassThrough();
    const { stdout, stderr } = demultiplexStream(source);
    stderr.destroy();
    source.write(frame({ stream: 2, data: Buffer.alloc(1024 * 1024) }));
    source.end(frame({ stream: 1, data: Buffer.from('still here') }));
    expect((await buffer(stdout)).toString()).toBe('still here');
  });
});
