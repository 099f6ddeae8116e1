// Which enforcement lets verdicts do more than another.
import type { Enforcement } from "../config/config.ts";

const strengths: Readonly<Record<Enforcement, number>> = { observe: 0, kill: 1, prevent: 2 };

export function isStronger(a: Enforcement, b: Enforcement): boolean {
  return strengths[a] > strengths[b];
}
