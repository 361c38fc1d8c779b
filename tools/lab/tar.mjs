// @ts-check

/**
 * `hardlink` and `symlink` want `target`; `file` wants `content`.
 * @typedef {{ path: string, type: 'file' | 'directory' | 'symlink' | 'hardlink', mode?: number, uid?: number, gid?: number,
 *   content?: Buffer | string, target?: string }} TarEntry
 */

const TYPE_FLAGS = { file: '0', hardlink: '1', symlink: '2', directory: '5' };
const BLOCK = 512;

/**
 * A ustar archive with fixed times, so that the same entries always give the same bytes (and image ids).
 * @param {Iterable<TarEntry>} entries
 * @returns {Buffer}
 */
export function createTar(entries) {
  /** @type {Buffer[]} */
  const parts = [];
  for (const entry of entries) {
    const content = entry.type === 'file' ? Buffer.from(entry.content ?? '') : Buffer.alloc(0);
    parts.push(createHeader(entry, content.length), content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK));
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

/**
 * @param {TarEntry} entry
 * @param {number} size
 */
function createHeader(entry, size) {
  const header = Buffer.alloc(BLOCK);
  const path = entry.type === 'directory' ? `${entry.path.replace(/\/$/, '')}/` : entry.path;
  const target = entry.target ?? '';
  if (Buffer.byteLength(path) > 100 || Buffer.byteLength(target) > 100) {
    throw new RangeError(`${path}: ustar names have at most 100 bytes here`);
  }
  /** @type {(value: number, offset: number, length: number) => void} */
  const writeOctal = (value, offset, length) => {
    header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
  };
  header.write(path, 0);
  writeOctal(entry.mode ?? (entry.type === 'directory' ? 0o755 : 0o644), 100, 8);
  writeOctal(entry.uid ?? 0, 108, 8);
  writeOctal(entry.gid ?? 0, 116, 8);
  writeOctal(size, 124, 12);
  writeOctal(0, 136, 12);
  header.write('        ', 148, 'latin1');
  header.write(TYPE_FLAGS[entry.type], 156, 'latin1');
  header.write(target, 157);
  header.write('ustar\x0000', 257, 'latin1');
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
