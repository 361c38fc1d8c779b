import stringWidth from 'string-width';
import type { CommandContext } from '../command-context.js';
import { escapeControlCharacters } from './escape-control-characters.js';

/** A name and what it is; several lines, or none, for a list. */
export type Field = readonly [name: string, value: string | number | undefined | readonly string[]];

/** Prints names and values in two columns; what is undefined is left out, an empty list is a dash. */
export function writeFields({ stdout }: CommandContext, fields: readonly Field[]): void {
  const width = Math.max(...fields.map(([name]) => stringWidth(name)));
  for (const [name, value] of fields) {
    if (value === undefined) continue;
    const lines = (typeof value === 'object' ? value : [String(value)]).map(escapeControlCharacters);
    for (const [index, line] of (lines.length === 0 ? ['-'] : lines).entries()) {
      stdout.write(`${(index === 0 ? name : '').padEnd(width)}  ${line}\n`);
    }
  }
}
