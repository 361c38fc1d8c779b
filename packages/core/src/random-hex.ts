/** Unpredictable hexadecimal digits, two for each byte. Does not load node:crypto, which costs every start some time. */
export function randomHex(byteCount: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(byteCount))).toString('hex');
}
