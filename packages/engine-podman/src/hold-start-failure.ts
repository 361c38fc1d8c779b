/**
 * Podman writes messages of its own to where a command's diagnostics go: why a command could not be started, and, when
 * a connection inside of Podman breaks as the command ends, that it did. This keeps both out of the command's output.
 */
import { type Readable, Transform } from 'node:stream';
import { ProtocolError } from '@crikit/core';

export interface HeldOutput {
  readonly output: Readable;
  /** Resolves once something that may be Podman's message is held back; never, when there is nothing like it. */
  readonly held: Promise<void>;
  /** The command has started: what is held back is its output. */
  release(): void;
  /** The text that is held back, when it is just what Podman writes about a command that it could not start. */
  startFailure(): string | undefined;
  /** The command has not started: the output ends without the message. */
  drop(): void;
}

const longestMessageBytes = 64 * 1024;
const beginning = Buffer.from('Error: ');
// `Error: /usr/sbin/runc: exec failed: …: OCI runtime attempted to invoke a command that was not found`
const startFailurePattern =
  /^Error: (?:\/|runc|crun|youki|krun|kata|runsc)[^\n]*: (?:OCI runtime attempted to invoke a command that was not found|OCI permission denied|OCI runtime error|OCI not found|container not running)[^\n]*\n/;
const brokenStart = /Error: (?:read|write) unixpacket @->/g;
const brokenPattern = /^Error: (read|write) unixpacket @->[^\n]*\n$/;
const longestBrokenBytes = 300;

export function holdStartFailure(source: Readable): HeldOutput {
  let start: Buffer | undefined = Buffer.alloc(0);
  let tail: Buffer = Buffer.alloc(0);
  let markHeld = (): void => {};
  const held = new Promise<void>((resolve) => {
    markHeld = resolve;
  });
  let decide = (): void => {};
  const decided = new Promise<void>((resolve) => {
    decide = resolve;
  });

  const pass = (chunk: Buffer): void => {
    const bytes = tail.length === 0 ? chunk : Buffer.concat([tail, chunk]);
    const cut = brokenMessageStart(bytes);
    tail = bytes.subarray(cut);
    if (cut > 0) output.push(bytes.subarray(0, cut));
  };
  const release = (): void => {
    decide();
    if (start === undefined) return;
    const released = start;
    start = undefined;
    pass(released);
  };

  const output = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (start === undefined) {
        pass(chunk);
      } else {
        start = Buffer.concat([start, chunk]);
        const compared = Math.min(start.length, beginning.length);
        const alike = start.subarray(0, compared).equals(beginning.subarray(0, compared));
        if (!alike || start.length > longestMessageBytes) release();
        else if (start.includes('\n')) markHeld();
      }
      done();
    },
    flush(done) {
      const finish = (): void => {
        const message = start === undefined ? brokenPattern.exec(tail.toString('latin1')) : undefined;
        if (start === undefined && message === null) output.push(tail);
        // Podman could not read the last of the output. Seen with 4.3.1 when a command ends that has not read its input.
        done(message?.[1] === 'read' ? lostOutput(message[0].trim()) : null);
      };
      if (start === undefined || start.length === 0) finish();
      else void decided.then(finish);
    },
  });
  source.on('error', (error) => output.destroy(error));
  source.pipe(output);

  return {
    output,
    held,
    release,
    startFailure: () => startFailurePattern.exec(start?.toString() ?? '')?.[0],
    drop: decide,
  };
}

function lostOutput(said: string): ProtocolError {
  return new ProtocolError(`Podman lost output of the command: ${said}`, {
    applied: 'yes',
    remedy: 'Give the command no more input than it reads.',
  });
}

/** Where what may be the message about a broken connection begins: at the very end, in one line. */
function brokenMessageStart(bytes: Buffer): number {
  const from = Math.max(0, bytes.length - longestBrokenBytes);
  const text = bytes.subarray(from).toString('latin1');
  const found = [...text.matchAll(brokenStart)].at(-1);
  if (found === undefined) return bytes.length;
  const newline = text.indexOf('\n', found.index);
  return newline === -1 || newline === text.length - 1 ? from + found.index : bytes.length;
}
