/** Splits bytes that come in any portions into lines. Holds one unfinished line and nothing else. */
export interface LineSplitter {
  /** The lines that this portion ends, without their line ends, and without empty ones. Throws when a line is too long. */
  push(portion: Buffer): readonly string[];
}

const lineFeed = 0x0a;
const firstCapacity = 16_384;

/** `maximumLineBytes`: a longer line makes `push` throw a `RangeError`. */
export function createLineSplitter(maximumLineBytes: number): LineSplitter {
  // The bytes are copied: a portion of one byte may hold a whole network buffer.
  let held = Buffer.allocUnsafe(0);
  let heldBytes = 0;
  const hold = (portion: Buffer): void => {
    const bytes = heldBytes + portion.length;
    if (bytes > maximumLineBytes) throw new RangeError(`A line is longer than ${maximumLineBytes} bytes.`);
    if (bytes > held.length) {
      const larger = Buffer.allocUnsafe(Math.max(firstCapacity, bytes, Math.min(held.length * 2, maximumLineBytes)));
      held.copy(larger, 0, 0, heldBytes);
      held = larger;
    }
    portion.copy(held, heldBytes);
    heldBytes = bytes;
  };
  const take = (end: Buffer): string => {
    if (heldBytes === 0) return end.toString('utf8');
    // Joined before it is decoded, since a character may be in two portions.
    hold(end);
    const line = held.toString('utf8', 0, heldBytes);
    held = Buffer.allocUnsafe(0);
    heldBytes = 0;
    return line;
  };
  return {
    push: (portion) => {
      const lines: string[] = [];
      let start = 0;
      for (let end = portion.indexOf(lineFeed); end !== -1; end = portion.indexOf(lineFeed, start)) {
        const line = take(portion.subarray(start, end)).trim();
        if (line !== '') lines.push(line);
        start = end + 1;
      }
      if (start < portion.length) hold(portion.subarray(start));
      return lines;
    },
  };
}
