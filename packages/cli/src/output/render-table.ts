import { styleText } from 'node:util';
import Table from 'cli-table3';
import stringWidth from 'string-width';
import { escapeControlCharacters } from './escape-control-characters.js';

export type Style = Parameters<typeof styleText>[0];

export interface Column<Row> {
  readonly header: string;
  value(row: Row): string;
  /** With colours only. Default: none. */
  style?(row: Row): Style | undefined;
  /** Shown with `-o wide` only. Default: false. */
  readonly wide?: boolean;
  /** Where a terminal is too narrow, columns with the highest number are left out first. Default: never left out. */
  readonly dropOrder?: number;
  /** Where a terminal is too narrow, it may be cut down to this width. Default: it is not cut. */
  readonly minWidth?: number;
  readonly align?: 'left' | 'right';
}

export interface TableOptions {
  /** Whether columns that are for `-o wide` are shown. */
  readonly wide: boolean;
  readonly color: boolean;
  /** Of the terminal; absent where lines may be as long as they want. */
  readonly width?: number;
}

const gap = 2;
const plainCharacters = Object.fromEntries(
  [
    ...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
    ...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'],
  ].map((name) => [name, '']),
);

/** Rows in columns that fit the terminal, with a header; ends with a line end. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], options: TableOptions): string {
  const shown = columns
    .filter((column) => options.wide || column.wide !== true)
    .map((column) => {
      const cells = rows.map((row) => escapeControlCharacters(column.value(row)));
      return { column, cells, width: Math.max(stringWidth(column.header), ...cells.map((cell) => stringWidth(cell))) };
    });
  const fitted = fit(shown, options.width);
  const table = new Table({
    chars: plainCharacters,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
    colWidths: fitted.map(({ width }, index) => width + (index === fitted.length - 1 ? 0 : gap)),
    colAligns: fitted.map(({ column }) => column.align ?? 'left'),
  });
  const paint = (text: string, style: Style | undefined): string =>
    options.color && style !== undefined && text !== '' ? styleText(style, text, { validateStream: false }) : text;
  const cells = (texts: readonly string[], styleOf: (column: Column<Row>) => Style | undefined): string[] =>
    fitted.map(({ column, width }, index) => {
      const text = paint(cut(texts[index] ?? '', width), styleOf(column));
      // The gap is part of the cell, so that text which is pushed to the right keeps its distance.
      return column.align === 'right' && index < fitted.length - 1 ? text + ' '.repeat(gap) : text;
    });
  table.push(
    cells(
      fitted.map(({ column }) => column.header),
      () => 'bold',
    ),
    ...rows.map((row, index) =>
      cells(
        fitted.map((shownColumn) => shownColumn.cells[index] ?? ''),
        (column) => column.style?.(row),
      ),
    ),
  );
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

interface ShownColumn<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
  readonly width: number;
}

function fit<Row>(
  columns: readonly ShownColumn<Row>[],
  terminalWidth: number | undefined,
): readonly ShownColumn<Row>[] {
  if (terminalWidth === undefined) return columns;
  let kept = columns;
  while (leastWidth(kept) > terminalWidth) {
    const last = Math.max(...kept.map(({ column }) => column.dropOrder ?? 0));
    if (last === 0) break;
    kept = kept.filter(({ column }) => (column.dropOrder ?? 0) !== last);
  }
  const widths = kept.map(({ width }) => width);
  for (let excess = totalWidth(widths) - terminalWidth; excess > 0; excess -= 1) {
    // The widest gives first, so that short columns stay whole.
    const widest = kept.reduce(
      (best, { column }, index) =>
        column.minWidth !== undefined &&
        (widths[index] ?? 0) > column.minWidth &&
        (widths[index] ?? 0) > (best === -1 ? 0 : (widths[best] ?? 0))
          ? index
          : best,
      -1,
    );
    if (widest === -1) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return kept.map((column, index) => ({ ...column, width: widths[index] ?? column.width }));
}

function leastWidth<Row>(columns: readonly ShownColumn<Row>[]): number {
  return totalWidth(columns.map(({ column, width }) => Math.min(width, column.minWidth ?? width)));
}

function totalWidth(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) + gap * Math.max(0, widths.length - 1);
}

function cut(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = '';
  let keptWidth = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    keptWidth += stringWidth(segment);
    if (keptWidth > width - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}
