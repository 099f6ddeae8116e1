// Figures and tables.

/** The middle of `values`. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The value below which `share` (0 to 1) of `values` lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function number(value: number, digits = 1): string {
  return Number.isNaN(value) ? "-" : value.toFixed(digits);
}

export function percent(share: number, digits = 1): string {
  return Number.isNaN(share) ? "-" : `${(share * 100).toFixed(digits)} %`;
}

export function whole(value: number): string {
  return Number.isNaN(value) ? "-" : Math.round(value).toLocaleString("en");
}

/** A table of Markdown whose columns are aligned for those who read it as text. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, header.map(() => "---"), ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return all.map(line).join("\n");
}
