/** Columns of text for a terminal. */

import { printable } from '../core/printable.ts';

/**
 * One line a row, columns two spaces apart. The first row is the heading: one that begins with `>`
 * puts its column to the right. Names in cells may be of others: none steers the terminal.
 */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const [heading = []] = rows;
  const isRight = heading.map((text) => text.startsWith('>'));
  const cells = rows.map((row, index) =>
    row.map((text) => printable(index === 0 ? text.replace(/^>/, '') : text)),
  );
  const widths = heading.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((text, column) =>
          isRight[column] ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
