const lineEnd = 0x0a;

export interface LineSplitter {
  /** The lines that end in this chunk, without their line ends. */
  push(chunk: Buffer): readonly Buffer[];
  /** What came after the last line end; forgotten afterwards. */
  takeRest(): Buffer;
}

/** Cuts bytes into lines; a line may come in any number of chunks. */
export function createLineSplitter(): LineSplitter {
  let rest: Buffer[] = [];
  const takeRest = (): Buffer => {
    const [only, ...others] = rest;
    const joined = only !== undefined && others.length === 0 ? only : Buffer.concat(rest);
    rest = [];
    return joined;
  };
  return {
    push(chunk) {
      const lines: Buffer[] = [];
      let start = 0;
      for (let end = chunk.indexOf(lineEnd); end !== -1; end = chunk.indexOf(lineEnd, start)) {
        const line = chunk.subarray(start, end);
        if (rest.length === 0) lines.push(line);
        else {
          rest.push(line);
          lines.push(takeRest());
        }
        start = end + 1;
      }
      if (start < chunk.length) rest.push(Buffer.from(chunk.subarray(start)));
      return lines;
    },
    takeRest,
  };
}
