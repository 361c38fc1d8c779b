import type { PassThrough, Readable } from 'node:stream';
import { ProtocolError } from './errors/protocol-error.js';

export interface DemultiplexedStreams {
  readonly stdout: Readable;
  readonly stderr: Readable;
  /**
   * Resolves when the source has ended and everything was handed on; never rejects. `framed` is false when the source
   * did not use frames and was passed through to stdout as it came. `error` says that data is missing.
   */
  readonly ended: Promise<{ readonly framed: boolean; readonly error?: ProtocolError }>;
}

const headerLength = 8;
const stderrStream = 2;
const systemErrorStream = 3;

/**
 * Takes apart the stream of an exec or attach that carries stdout and stderr in frames: one byte for the stream
 * (0 to 3), three zero bytes, four bytes of length in network order, then the data.
 * https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
 *
 * Works on the pieces as they arrive and holds no frame, however large. When either output is not read, the source is
 * paused. A source whose first bytes are no frame header is passed through to stdout (some engines do that).
 */
export function demultiplexStream(source: Readable): DemultiplexedStreams {
  // Not imported above: loading it costs every program some time.
  const { PassThrough } = process.getBuiltinModule('node:stream');
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const header = Buffer.alloc(headerLength);
  let headerFilled = 0;
  let frameRemaining = 0;
  let frameTarget = stdout;
  let mode: 'undecided' | 'framed' | 'raw' = 'undecided';
  let failure: ProtocolError | undefined;

  const waiting = new Set<PassThrough>();
  const write = (target: PassThrough, data: Buffer): void => {
    if (data.length === 0 || target.destroyed || target.writableEnded) return;
    if (!target.write(data)) waiting.add(target);
  };

  const consume = (chunk: Buffer): void => {
    let offset = 0;
    while (offset < chunk.length) {
      if (mode === 'raw') {
        write(stdout, offset === 0 ? chunk : chunk.subarray(offset));
        return;
      }
      if (frameRemaining > 0) {
        const end = Math.min(chunk.length, offset + frameRemaining);
        write(frameTarget, chunk.subarray(offset, end));
        frameRemaining -= end - offset;
        offset = end;
        continue;
      }
      const taken = Math.min(headerLength - headerFilled, chunk.length - offset);
      chunk.copy(header, headerFilled, offset, offset + taken);
      headerFilled += taken;
      offset += taken;
      if (!couldBeHeader(header, headerFilled)) {
        const seen = Buffer.from(header.subarray(0, headerFilled));
        headerFilled = 0;
        if (mode === 'framed') {
          failure ??= new ProtocolError(
            `The output stream lost its framing: ${seen.toString('hex')} is no frame header; the rest is passed through as it came.`,
          );
        }
        mode = 'raw';
        write(stdout, seen);
        continue;
      }
      if (headerFilled === headerLength) {
        mode = 'framed';
        headerFilled = 0;
        const stream = header[0];
        frameTarget = stream === stderrStream || stream === systemErrorStream ? stderr : stdout;
        frameRemaining = header.readUInt32BE(4);
      }
    }
  };

  const ended = new Promise<{ framed: boolean; error?: ProtocolError }>((resolve) => {
    let finished = false;
    const finish = (lost?: unknown): void => {
      if (finished) return;
      finished = true;
      if (mode === 'undecided' && headerFilled > 0) write(stdout, Buffer.from(header.subarray(0, headerFilled)));
      else if (frameRemaining > 0 || headerFilled > 0) {
        failure ??= new ProtocolError(
          frameRemaining > 0
            ? `The output stream ended ${frameRemaining} bytes before the end of a frame; output is missing.`
            : 'The output stream ended inside a frame header; output is missing.',
          { cause: lost },
        );
      } else if (lost !== undefined) {
        failure ??= new ProtocolError('The output stream broke off; output may be missing.', { cause: lost });
      }
      stdout.end();
      stderr.end();
      resolve({ framed: mode === 'framed', ...(failure === undefined ? {} : { error: failure }) });
    };
    const resumeWhenDrained = (target: PassThrough): void => {
      const release = (): void => {
        target.off('drain', release);
        target.off('close', release);
        waiting.delete(target);
        if (waiting.size === 0) source.resume();
      };
      target.on('drain', release);
      target.on('close', release);
    };
    source.on('data', (chunk: Buffer | string) => {
      consume(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
      if (waiting.size > 0 && !source.isPaused()) {
        source.pause();
        for (const target of waiting) resumeWhenDrained(target);
      }
    });
    source.once('end', () => finish());
    source.once('error', (error) => finish(error));
    source.once('close', () => finish(source.readableEnded ? undefined : new Error('closed before its end')));
  });
  return { stdout, stderr, ended };
}

function couldBeHeader(header: Buffer, filled: number): boolean {
  for (let index = 0; index < Math.min(filled, 4); index += 1) {
    const byte = header[index] ?? 0;
    if (index === 0 ? byte > systemErrorStream : byte !== 0) return false;
  }
  return true;
}
