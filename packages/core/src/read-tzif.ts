import type { ZoneType } from './tz-info.js';

/** A time zone file as it is written. */
export interface Tzif {
  /** Unix seconds, ascending. */
  readonly transitions: readonly number[];
  /** For each transition the index in `types` of what begins there. */
  readonly transitionTypes: readonly number[];
  /** At least one. */
  readonly types: readonly ZoneType[];
  /** The POSIX TZ string for the time after the last transition; absent in files of version 1 and where it is broken. */
  readonly footer?: string;
}

/** More than any zone file has; the largest of IANA's have about 6 KiB. */
export const MAX_TZIF_BYTES = 128 * 1024;

const headerLength = 44;
// The limit of the reference implementation's reader.
const maxTransitions = 2_000;
const maxTypes = 256;
const maxAbbreviationBytes = 512;
const maxFooterLength = 512;

/** True for bytes that begin like a time zone file, whatever follows. */
export function hasTzifHeader(bytes: Uint8Array): boolean {
  return bytes.length >= headerLength && Buffer.from(bytes.buffer, bytes.byteOffset, 4).equals(Buffer.from('TZif'));
}

/**
 * Reads a compiled time zone file (TZif, RFC 8536, versions 1 to 4). Undefined for anything that is none: cut off,
 * inconsistent, or beyond what real files have (2,000 transitions, 256 types, 128 KiB). Never throws.
 */
export function readTzif(bytes: Uint8Array): Tzif | undefined {
  if (bytes.length > MAX_TZIF_BYTES) return undefined;
  const first = readHeader(bytes, 0);
  if (first === undefined) return undefined;
  if (first.version === 0) return readBlock(bytes, first, 4)?.content;
  // Files of later versions begin with a block for old readers; the one with 64-bit times follows it.
  const second = readHeader(bytes, first.end(4));
  if (second === undefined) return undefined;
  const block = readBlock(bytes, second, 8);
  if (block === undefined) return undefined;
  const footer = readFooter(bytes, block.end);
  return footer === undefined ? block.content : { ...block.content, footer };
}

interface Header {
  readonly version: number;
  readonly transitionCount: number;
  readonly typeCount: number;
  readonly abbreviationBytes: number;
  readonly start: number;
  /** Where the block of this header ends. */
  end(timeBytes: 4 | 8): number;
}

function readHeader(bytes: Uint8Array, offset: number): Header | undefined {
  const header = bytes.subarray(offset, offset + headerLength);
  if (!hasTzifHeader(header)) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [utCount, standardCount, leapCount, transitionCount, typeCount, abbreviationBytes] = [
    view.getUint32(20),
    view.getUint32(24),
    view.getUint32(28),
    view.getUint32(32),
    view.getUint32(36),
    view.getUint32(40),
  ];
  if (utCount > typeCount || standardCount > typeCount) return undefined;
  const start = offset + headerLength;
  return {
    version: view.getUint8(4),
    transitionCount,
    typeCount,
    abbreviationBytes,
    start,
    end: (timeBytes) =>
      start +
      transitionCount * (timeBytes + 1) +
      typeCount * 6 +
      abbreviationBytes +
      leapCount * (timeBytes + 4) +
      standardCount +
      utCount,
  };
}

function readBlock(bytes: Uint8Array, header: Header, timeBytes: 4 | 8): { content: Tzif; end: number } | undefined {
  const { transitionCount, typeCount, abbreviationBytes, start } = header;
  const end = header.end(timeBytes);
  if (end > bytes.length || transitionCount > maxTransitions) return undefined;
  if (typeCount === 0 || typeCount > maxTypes || abbreviationBytes > maxAbbreviationBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const indexStart = start + transitionCount * timeBytes;
  const typeStart = indexStart + transitionCount;
  const abbreviationStart = typeStart + typeCount * 6;
  const abbreviations = Buffer.from(bytes.subarray(abbreviationStart, abbreviationStart + abbreviationBytes));

  const transitions: number[] = [];
  const transitionTypes: number[] = [];
  for (let index = 0; index < transitionCount; index += 1) {
    const at = start + index * timeBytes;
    const seconds = timeBytes === 4 ? view.getInt32(at) : Number(view.getBigInt64(at));
    const type = view.getUint8(indexStart + index);
    if (type >= typeCount || seconds < (transitions.at(-1) ?? Number.NEGATIVE_INFINITY)) return undefined;
    transitions.push(seconds);
    transitionTypes.push(type);
  }

  const types: ZoneType[] = [];
  for (let index = 0; index < typeCount; index += 1) {
    const at = typeStart + index * 6;
    const abbreviationAt = view.getUint8(at + 5);
    const dst = view.getUint8(at + 4);
    if (dst > 1 || abbreviationAt > abbreviationBytes) return undefined;
    const nul = abbreviations.indexOf(0, abbreviationAt);
    const abbreviation = abbreviations.toString('latin1', abbreviationAt, nul === -1 ? abbreviationBytes : nul);
    types.push({ abbreviation, offset: view.getInt32(at), isDst: dst === 1 });
  }
  return { content: { transitions, transitionTypes, types }, end };
}

const newline = 0x0a;

function readFooter(bytes: Uint8Array, start: number): string | undefined {
  if (bytes[start] !== newline) return undefined;
  const end = bytes.indexOf(newline, start + 1);
  if (end === -1 || end - start > maxFooterLength) return undefined;
  return Buffer.from(bytes.subarray(start + 1, end)).toString('latin1');
}
