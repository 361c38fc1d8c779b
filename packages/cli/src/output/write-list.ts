import type { CommandContext } from '../command-context.js';
import { type Column, renderTable } from './render-table.js';

/** Raised when a member of the JSON documents goes or changes its meaning; members may be added without it. */
export const schemaVersion = 1;

export interface List<Row> {
  /** What the items are: the `kind` of the document. */
  readonly kind: string;
  readonly rows: readonly Row[];
  readonly columns: readonly Column<Row>[];
  toJson(row: Row): unknown;
  /** For `-o name`. */
  toName(row: Row): string;
  /** Printed to stderr instead of an empty table. */
  readonly whenEmpty: string;
}

/** Prints a list in the format that is asked for. */
export async function writeList<Row>(context: CommandContext, list: List<Row>): Promise<void> {
  const { output } = context.options;
  const { stdout, stderr } = context;
  if (output === 'json' || output === 'yaml') {
    await writeDocument(context, { schemaVersion, kind: list.kind, items: list.rows.map((row) => list.toJson(row)) });
  } else if (output === 'name') {
    for (const row of list.rows) stdout.write(`${list.toName(row)}\n`);
  } else if (list.rows.length === 0) {
    stderr.write(`${list.whenEmpty}\n`);
  } else {
    stdout.write(renderTable(list.columns, list.rows, tableOptions(context)));
  }
}

/** Prints a document as YAML where that is asked for, else as JSON. */
export async function writeDocument({ stdout, options }: CommandContext, document: object): Promise<void> {
  if (options.output === 'yaml') {
    const { stringify } = await import('yaml');
    stdout.write(stringify(document, { lineWidth: 0 }));
  } else {
    stdout.write(`${JSON.stringify(document, undefined, 2)}\n`);
  }
}

export function tableOptions({ options, stdout }: CommandContext): {
  wide: boolean;
  color: boolean;
  width?: number;
} {
  return {
    wide: options.output === 'wide',
    color: options.color,
    ...(stdout.isTTY && stdout.columns > 0 ? { width: stdout.columns } : {}),
  };
}
