// Tables of text for people.

/**
 * A line for each row, without a newline: cells are padded to the width of their column, and separated by two spaces.
 * Cells of the columns in `right` are aligned to the right. All rows must have the same number of cells, already escaped.
 */
export function columnLines(
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number> = new Set(),
): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return right.has(column) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd(),
  );
}
