// Numbers in the columns and headers of a baseline's files.

/** Parses a decimal number without leading zeros; undefined if `text` is not one or is not a safe integer. */
export function parseCount(text: string): number | undefined {
  const value = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}
