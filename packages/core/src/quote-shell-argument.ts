/**
 * One word of a POSIX shell, on one line, that stands for exactly `text`: nothing in it is ever read as shell. A newline
 * is written as the shell's variable `newline`, which must hold one, so that what is sent line by line stays one line.
 * Throws a `RangeError` for a NUL, which no argument of a program can hold.
 */
export function quoteShellArgument(text: string, newline: string): string {
  if (text.includes('\0')) throw new RangeError('A NUL character cannot be quoted.');
  return `'${text.replaceAll("'", "'\\''").replaceAll('\n', `'"$${newline}"'`)}'`;
}

/** Bytes as a format of the shell's `printf`, made of characters that no shell and no printf gives a meaning of its own. */
export function quotePrintfFormat(bytes: Uint8Array): string {
  let format = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    format += /[A-Za-z0-9 _./,:=+]/.test(character) ? character : `\\${byte.toString(8).padStart(3, '0')}`;
  }
  return `'${format}'`;
}
