/** The ends of an exec's streams in this process: pipes where they can be made, else files that are read as they grow. */
import { closeSync, openSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable, Writable } from 'node:stream';
import {
  closeQuietly,
  type ExecFifos,
  type ExecPath,
  hasFifoReader,
  openFifoReader,
  openFifoWriter,
} from './exec-fifos.js';

export interface ExecStreams {
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  /** The process has its ends open: the names are not needed any more. */
  unlink(): void;
  /** The shim has written all there is; only files need to be told. */
  sourceEnded(): void;
  destroy(): void;
}

export interface WantedStreams {
  readonly stdin: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
  /** Called when stdin was ended and everything in it is in the pipe; not with a terminal. */
  readonly closeStdin: () => Promise<void>;
}

/** Paths for the shim, of streams that are not open yet. */
export interface ReservedStreams {
  readonly stdin: string | undefined;
  readonly stdout: string;
  readonly stderr: string | undefined;
  /** Throws when a stream cannot be opened; the names are gone then. */
  open(): ExecStreams;
  /** Instead of `open`. */
  release(): void;
}

export async function reserveExecStreams(fifos: ExecFifos, wanted: WantedStreams): Promise<ReservedStreams> {
  const paths = await fifos.take(1 + (wanted.stderr ? 1 : 0) + (wanted.stdin ? 1 : 0));
  const [stdout, ...others] = paths as [ExecPath, ...ExecPath[]];
  const stderr = wanted.stderr ? others.shift() : undefined;
  const stdin = others.shift();
  const unlink = (): void => {
    for (const path of paths) path.unlink();
  };
  return {
    stdin: stdin?.shimPath,
    stdout: stdout.shimPath,
    stderr: stderr?.shimPath,
    open: () => openExecStreams(fifos.kind, { stdin, stdout, stderr }, wanted, unlink),
    release: unlink,
  };
}

function openExecStreams(
  kind: ExecFifos['kind'],
  paths: { readonly stdin: ExecPath | undefined; readonly stdout: ExecPath; readonly stderr: ExecPath | undefined },
  wanted: WantedStreams,
  unlink: () => void,
): ExecStreams {
  const files: FileTail[] = [];
  const open: (Readable | Writable)[] = [];
  const openOutput = ({ path }: ExecPath): Readable => {
    let stream: Readable;
    if (kind === 'fifo') {
      stream = new Socket({ fd: openFifoReader(path), readable: true, writable: false });
    } else {
      const tail = createFileTail(path);
      files.push(tail);
      stream = tail.output;
    }
    open.push(stream);
    return stream;
  };
  try {
    const stdout = openOutput(paths.stdout);
    const stderr = paths.stderr === undefined ? undefined : openOutput(paths.stderr);
    let stdin: Writable | undefined;
    if (paths.stdin !== undefined) {
      stdin = createStdin(paths.stdin.path, wanted);
      open.push(stdin);
    }
    return {
      stdin,
      stdout,
      stderr,
      unlink,
      sourceEnded() {
        for (const file of files) file.complete();
      },
      destroy() {
        for (const stream of open) stream.destroy();
        unlink();
      },
    };
  } catch (error) {
    for (const stream of open) stream.destroy();
    unlink();
    throw error;
  }
}

const endOfTransmission = 0x04;
const lineFeed = 0x0a;
const readerPollMs = 2;

function createStdin(path: string, { tty, closeStdin }: WantedStreams): Writable {
  const fd = openFifoWriter(path);
  let socket: Socket;
  try {
    socket = new Socket({ fd, readable: false, writable: true });
  } catch (error) {
    closeQuietly(fd);
    throw error;
  }
  let lastByte = lineFeed;
  let readerSeen = false;
  // The shim opens its end in its own time, after the start. What is written and closed before would be lost, and the
  // shim would wait for a writer for ever.
  const whenRead = (ready: () => void): void => {
    if (readerSeen || stdin.destroyed || socket.destroyed) {
      ready();
      return;
    }
    try {
      readerSeen = hasFifoReader(fd);
    } catch {
      // Without a /proc of our own nobody can tell.
      readerSeen = true;
    }
    if (readerSeen) ready();
    else setTimeout(() => whenRead(ready), readerPollMs);
  };
  const write = (chunk: Buffer, done: (error?: Error | null) => void): void =>
    whenRead(() => {
      socket.write(chunk, (error) => {
        // The process has ended or has closed it: nobody's error.
        if (error != null) stdin.destroy();
        done();
      });
    });
  const stdin: Writable = new Writable({
    // With a terminal our end stays open until the process has ended: closing it is a hang-up, not an end of input.
    autoDestroy: !tty,
    write(chunk: Buffer, _encoding, done) {
      lastByte = chunk.at(-1) ?? lastByte;
      write(chunk, done);
    },
    final(done) {
      if (tty) {
        // In the middle of a line the first one only hands over what was typed.
        const keys = Buffer.alloc(lastByte === lineFeed ? 1 : 2, endOfTransmission);
        write(keys, done);
        return;
      }
      // Our end goes first: the shim sees the end only when no writer but its own is left, and then closes that.
      socket.once('close', () => {
        closeStdin().then(
          () => done(),
          () => done(),
        );
      });
      whenRead(() => socket.destroy());
    },
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on('error', () => stdin.destroy());
  return stdin;
}

interface FileTail {
  readonly output: Readable;
  /** What is in the file now is all. */
  complete(): void;
}

const filePollMs = 20;
const fileChunkBytes = 64 * 1024;

function createFileTail(path: string): FileTail {
  const fd = openSync(path, 'r');
  let complete = false;
  let timer: NodeJS.Timeout | undefined;
  let reading = false;
  const read = (): void => {
    clearTimeout(timer);
    if (!reading || output.destroyed) return;
    const wasComplete = complete;
    const buffer = Buffer.allocUnsafe(fileChunkBytes);
    const count = readSync(fd, buffer, 0, buffer.length, null);
    if (count > 0) {
      reading = false;
      output.push(buffer.subarray(0, count));
    } else if (wasComplete) {
      output.push(null);
    } else {
      timer = setTimeout(read, filePollMs);
    }
  };
  const output = new Readable({
    read() {
      reading = true;
      read();
    },
    destroy(error, done) {
      clearTimeout(timer);
      closeSync(fd);
      done(error);
    },
  });
  return {
    output,
    complete() {
      complete = true;
      read();
    },
  };
}
