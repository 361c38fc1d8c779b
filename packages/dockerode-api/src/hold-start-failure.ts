/**
 * Docker and Pouch write why a command could not be started to where the command's output goes, in one frame that ends
 * in "\r\n", and nothing after it. This passes a connection's output on, but holds such a beginning back until it is known
 * which of the two it is.
 */
import { Readable } from 'node:stream';

export interface HeldOutput {
  /** The connection's bytes. Ends when they end; how the connection broke off is not told here. */
  readonly output: Readable;
  /** Resolves once something that may be such a message is held back; never, when there is nothing like it. */
  readonly held: Promise<void>;
  /** Whether something is held back now. */
  readonly isHeld: boolean;
  /** Whether any of the command's output has passed. */
  readonly hasPassed: boolean;
  /** The command has started: what is held back is its output. */
  release(): void;
  /** The command has not started: gives the message and ends the output without it. Empty when nothing is held. */
  takeMessage(): string;
}

const frameHeaderBytes = 8;
const stdoutStream = 1;
const longestMessageBytes = 64 * 1024;

/**
 * `framed`: whether the bytes are in Docker's frames, which they are without a tty. `isLikely`: whether a text that ends
 * as such messages do may be one; without it every such text may.
 */
export function holdStartFailure(
  connection: Readable,
  framed: boolean,
  isLikely: (text: string) => boolean = () => true,
): HeldOutput {
  let beginning: Buffer | undefined = Buffer.alloc(0);
  let isHeld = false;
  let hasPassed = false;
  let sourceEnded = false;
  let outputEnded = false;
  let markHeld = (): void => {};
  const held = new Promise<void>((resolve) => {
    markHeld = resolve;
  });

  const output = new Readable({
    read() {
      connection.resume();
    },
    destroy(error, done) {
      connection.destroy();
      done(error);
    },
  });
  const pass = (chunk: Buffer): void => {
    if (outputEnded || chunk.length === 0) return;
    hasPassed = true;
    if (!output.push(chunk)) connection.pause();
  };
  const endOutput = (): void => {
    if (outputEnded || output.destroyed) return;
    outputEnded = true;
    output.push(null);
  };
  const release = (): void => {
    if (beginning === undefined) return;
    const released = beginning;
    beginning = undefined;
    isHeld = false;
    pass(released);
    if (sourceEnded) endOutput();
  };

  connection.on('data', (chunk: Buffer) => {
    if (beginning === undefined) {
      pass(chunk);
      return;
    }
    beginning = beginning.length === 0 ? chunk : Buffer.concat([beginning, chunk]);
    const seen = isHeld ? 'output' : judge(beginning, framed, isLikely);
    if (seen === 'output') {
      release();
    } else if (seen === 'maybe') {
      isHeld = true;
      markHeld();
    }
  });
  const onEnd = (): void => {
    sourceEnded = true;
    // A message stays held: whoever knows the exec's end decides.
    if (!isHeld) {
      release();
      endOutput();
    }
  };
  connection.on('end', onEnd);
  connection.on('close', onEnd);

  return {
    output,
    held,
    get isHeld() {
      return isHeld;
    },
    get hasPassed() {
      return hasPassed;
    },
    release,
    takeMessage() {
      const message = beginning ?? Buffer.alloc(0);
      beginning = undefined;
      isHeld = false;
      endOutput();
      return message.subarray(framed ? frameHeaderBytes : 0).toString();
    },
  };
}

/** `incomplete`: too early to tell, and the rest is on its way. `maybe`: it is all there and looks like a message. */
function judge(
  beginning: Buffer,
  framed: boolean,
  isLikely: (text: string) => boolean,
): 'output' | 'incomplete' | 'maybe' {
  if (beginning.length === 0) return 'incomplete';
  const maybe = (message: Buffer) => (endsLikeMessage(message) && isLikely(message.toString()) ? 'maybe' : 'output');
  if (!framed) return maybe(beginning);
  if (beginning[0] !== stdoutStream) return 'output';
  if (beginning.length < frameHeaderBytes) return 'incomplete';
  const end = frameHeaderBytes + beginning.readUInt32BE(4);
  if (end > longestMessageBytes || beginning.length > end) return 'output';
  if (beginning.length < end) return 'incomplete';
  return maybe(beginning.subarray(frameHeaderBytes));
}

function endsLikeMessage(bytes: Buffer): boolean {
  return bytes.length <= longestMessageBytes && bytes.at(-2) === 0x0d && bytes.at(-1) === 0x0a;
}
