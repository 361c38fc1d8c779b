// Asking for many random bytes costs as much as asking for a few, and each command in a session wants some.
const pool = new Uint8Array(1024);
let used = pool.length;

/** Unpredictable hexadecimal digits, two for each byte. Does not load node:crypto, which costs every start some time. */
export function randomHex(byteCount: number): string {
  if (used + byteCount > pool.length) {
    crypto.getRandomValues(pool);
    used = 0;
  }
  const digits = Buffer.from(pool.buffer, used, byteCount).toString('hex');
  used += byteCount;
  return digits;
}
