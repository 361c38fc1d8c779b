import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { type Column, renderTable } from './render-table.js';

type Row = readonly [name: string, image: string, age: string];
const columns: readonly Column<Row>[] = [
  { header: 'NAME', value: ([name]) => name, minWidth: 5, style: () => 'green' },
  { header: 'IMAGE', value: ([, image]) => image, dropOrder: 2, minWidth: 6 },
  { header: 'AGE', value: ([, , age]) => age, align: 'right', dropOrder: 1 },
  { header: 'WIDE', value: () => 'more', wide: true },
];
const rows: readonly Row[] = [
  ['web', 'registry.example/shop/web:1.27', '5s'],
  ['database', 'db', '12m30s'],
];
const plain = { wide: false, color: false };

describe('a table', () => {
  test('has a header and aligned columns, and no space at the ends of lines', () => {
    expect(renderTable(columns, rows, plain)).toBe(
      [
        'NAME      IMAGE                              AGE',
        'web       registry.example/shop/web:1.27      5s',
        'database  db                              12m30s',
        '',
      ].join('\n'),
    );
  });

  test('has further columns when it is wide', () => {
    expect(renderTable(columns, rows, { ...plain, wide: true })).toContain('AGE  WIDE\n');
  });

  test('cuts the widest columns to fit a narrow terminal', () => {
    expect(renderTable(columns, rows, { ...plain, width: 36 })).toBe(
      [
        'NAME      IMAGE                  AGE',
        'web       registry.example/…      5s',
        'database  db                  12m30s',
        '',
      ].join('\n'),
    );
  });

  test('leaves columns out, in their order, when cutting is not enough', () => {
    expect(renderTable(columns, rows, { ...plain, width: 18 })).toBe(
      ['NAME         AGE', 'web           5s', 'database  12m30s', ''].join('\n'),
    );
    expect(renderTable(columns, rows, { ...plain, width: 6 })).toBe(['NAME', 'web', 'datab…', ''].join('\n'));
  });

  test('takes as much room as it wants where there is no terminal', () => {
    const long = 'x'.repeat(300);
    expect(renderTable(columns, [[long, 'a', '1s']], plain)).toContain(long);
  });

  test('counts double-width characters as two', () => {
    const lines = renderTable(
      columns,
      [
        ['数据库', 'i', '1s'],
        ['ab', 'i', '1s'],
      ],
      plain,
    ).split('\n');
    expect(lines[1]?.slice(0, lines[1].indexOf('i'))).toBe('数据库  ');
    expect(lines[2]?.slice(0, lines[2].indexOf('i'))).toBe('ab      ');
  });

  test('shows control characters as text, so that a name cannot move the cursor', () => {
    const text = renderTable(columns, [['a\u001b[2Jb\nc\u202e', 'i', '1s']], plain);
    expect(text).toContain('a\\x1b[2Jb\\nc\\u202e');
    expect(text.split('\n')).toHaveLength(3);
  });

  test('has colours only when asked for', () => {
    const colored = renderTable(columns, rows, { ...plain, color: true });
    expect(colored).toContain('\u001b[32mweb');
    expect(
      stripVTControlCharacters(colored)
        .split('\n')
        .map((line) => line.trimEnd())
        .join('\n'),
    ).toBe(renderTable(columns, rows, plain));
  });

  test('never is wider than the terminal, as long as that has room for the columns that stay', () => {
    const cell = fc.string({ unit: 'grapheme', maxLength: 40 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell, cell), { maxLength: 5 }),
        fc.integer({ min: 6, max: 120 }),
        (all, width) => {
          for (const line of renderTable(columns, all, { ...plain, width }).split('\n')) {
            expect(stringWidth(line)).toBeLessThanOrEqual(width);
          }
        },
      ),
    );
  });
});
