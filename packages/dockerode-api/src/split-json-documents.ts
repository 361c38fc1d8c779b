/**
 * Finds the JSON objects in a stream of bytes: several may come in one piece, one may span many, and white space
 * between them means nothing. Text that is no object throws a `SyntaxError`.
 */
export function createJsonDocumentSplitter(onDocument: (document: unknown) => void): (chunk: Uint8Array) => void {
  let pieces: Uint8Array[] = [];
  let piecesBytes = 0;
  let depth = 0;
  let inString = false;
  let escaped = false;

  return (chunk) => {
    let start = 0;
    for (let index = 0; index < chunk.length; index += 1) {
      const byte = chunk[index];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inString = false;
      } else if (byte === openBrace) {
        if (depth === 0) start = index;
        depth += 1;
      } else if (depth === 0) {
        if (byte !== space && byte !== newline && byte !== carriageReturn && byte !== tab) {
          throw new SyntaxError(`'${String.fromCharCode(byte ?? 0)}' stands where a JSON object should begin`);
        }
      } else if (byte === quote) {
        inString = true;
      } else if (byte === closeBrace) {
        depth -= 1;
        if (depth === 0) {
          const document = Buffer.concat([...pieces, chunk.subarray(start, index + 1)]).toString();
          pieces = [];
          piecesBytes = 0;
          onDocument(JSON.parse(document));
        }
      }
    }
    if (depth > 0) {
      const rest = chunk.subarray(start);
      piecesBytes += rest.length;
      if (piecesBytes > longestDocumentBytes) throw new SyntaxError('a JSON object does not end');
      pieces.push(rest);
    }
  };
}

const longestDocumentBytes = 4 * 1024 * 1024;
const [quote, backslash, openBrace, closeBrace] = [0x22, 0x5c, 0x7b, 0x7d];
const [space, newline, carriageReturn, tab] = [0x20, 0x0a, 0x0d, 0x09];
