/** Columns of text for a terminal. */

/**
 * One line a row, columns two spaces apart. The first row is the heading: one that begins with `>`
 * puts its column to the right.
 */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const [heading = []] = rows;
  const isRight = heading.map((text) => text.startsWith('>'));
  const cells = rows.map((row, index) => (index === 0 ? row.map((text) => text.replace(/^>/, '')) : row));
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
