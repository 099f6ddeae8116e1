// The order of texts in a baseline.

/** Compares by UTF-16 code units, so that the order does not depend on the host's language. */
export function compareTexts(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
