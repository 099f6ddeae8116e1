// How random a name looks.

/** From this score on a name is called random. */
export const RANDOM_FROM = 0.5;

/** Score of one path element, 0 to 1. */
export function scoreName(name: string): number {
  if (name.length < 6 || /[^A-Za-z0-9_-]/.test(name)) return 0;
  if (/^[0-9a-f]{8,}$/.test(name) && /[0-9]/.test(name)) return 1;
  let changes = 0;
  for (let i = 1; i < name.length; i++)
    if (kind(name.charCodeAt(i)) !== kind(name.charCodeAt(i - 1))) changes += 1;
  return Math.min(1, (2 * changes) / name.length);
}

function kind(code: number): number {
  return code < 58 ? 0 : code < 91 ? 1 : code < 97 ? 2 : 3;
}
