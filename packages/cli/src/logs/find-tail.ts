import type { FileHandle } from 'node:fs/promises';

const chunkBytes = 64 * 1024;
const lineEnd = 0x0a;

/**
 * Where to begin to read for the last `count` lines that count: after the last one that counts before them, so that the
 * parts of the first are had as well. 0, and how many there are, when there are no more than that. A last line without an
 * end is still being written: it does not count and is after what is found.
 */
export async function findTail(
  handle: Pick<FileHandle, 'read'>,
  sizeBytes: number,
  count: number,
  counts: (line: Buffer) => boolean,
): Promise<{ readonly offset: number; readonly found: number }> {
  let found = 0;
  /** From here to the end has been looked at, but for `head`. */
  let start = sizeBytes;
  /** Of the line that is being put together: what is known of it, and where its end is; none for one without. */
  let head: Buffer[] = [];
  let lineEndAt: number | undefined;
  while (start > 0) {
    const length = Math.min(chunkBytes, start);
    const chunk = await readAt(handle, start - length, length);
    start -= length;
    let end = chunk.length;
    for (let at = chunk.lastIndexOf(lineEnd); at !== -1; at = at === 0 ? -1 : chunk.lastIndexOf(lineEnd, at - 1)) {
      if (lineEndAt !== undefined && counts(Buffer.concat([chunk.subarray(at + 1, end), ...head]))) {
        if (found === count) return { offset: lineEndAt + 1, found };
        found += 1;
      }
      head = [];
      end = at;
      lineEndAt = start + at;
    }
    head.unshift(chunk.subarray(0, end));
  }
  if (lineEndAt !== undefined && counts(Buffer.concat(head))) {
    if (found === count) return { offset: lineEndAt + 1, found };
    found += 1;
  }
  return { offset: 0, found };
}

async function readAt(handle: Pick<FileHandle, 'read'>, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
