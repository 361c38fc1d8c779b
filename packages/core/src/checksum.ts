/** The checksum of POSIX's `cksum`, which every container with the usual commands can compute too. */
export interface Checksum {
  add(bytes: Uint8Array): void;
  /** In decimal, as `cksum` says it. */
  end(): string;
}

const polynomial = 0x04c11db7;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) value = value < 0 ? (value << 1) ^ polynomial : value << 1;
  return value >>> 0;
});

export function createChecksum(): Checksum {
  let value = 0;
  let length = 0;
  const add = (byte: number): void => {
    value = ((value << 8) ^ (table[((value >>> 24) ^ byte) & 0xff] ?? 0)) >>> 0;
  };
  return {
    add(bytes) {
      length += bytes.length;
      for (const byte of bytes) add(byte);
    },
    end() {
      for (let left = length; left > 0; left = Math.floor(left / 256)) add(left % 256);
      return String(~value >>> 0);
    },
  };
}
