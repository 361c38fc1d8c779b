// @ts-check
/**
 * Prints rows in columns, numbers and what follows them to the right.
 * @param {readonly (readonly (string | number)[])[]} rows first the header
 * @param {{ indent?: string, alignRight?: boolean }} [options] Default: two spaces, text to the left.
 */
export function printTable(rows, { indent = '  ', alignRight = false } = {}) {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? formatNumber(cell) : cell)));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  for (const row of cells) {
    const columns = row.map((cell, column) =>
      alignRight && column > 0 ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    );
    console.log(`${indent}${columns.join('  ').trimEnd()}`);
  }
}

/** @param {number} value */
function formatNumber(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
