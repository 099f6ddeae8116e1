// The text of a label: unambiguous, printable, bounded, and never one of treewarden's own words.
import { unambiguous } from "../linux/text.ts";

/** Labels that treewarden itself gives. A file that really has such a name is written with a leading `=`. */
export const labelNames = {
  base: "base",
  random: "random",
  /** The series of trees beyond the bound of metrics. */
  overflow: "overflow",
  /** The root of every tree inside a container. */
  container: "container",
  /** The executable could not be read. */
  unknown: "unknown",
  /** Kernel threads, and what they start. */
  kernel: "kthreadd",
  /** The middle of a tree that was too long. */
  elided: "...",
} as const;

const reserved: ReadonlySet<string> = new Set(Object.values(labelNames));

/** Longest label in characters: NAME_MAX (linux/limits.h). Only names full of escapes are longer; they lose their middle. */
export const LABEL_LIMIT = 255;
const KEEP = (LABEL_LIMIT - labelNames.elided.length) / 2;

/** A file's name as a label: what is not printable and backslashes escaped, `/` (a memfd may have one) as `\x2f`. */
export function labelOf(name: string): string {
  if (name === "") return labelNames.unknown;
  let text = unambiguous(name);
  if (text.includes("/")) text = text.replaceAll("/", "\\x2f");
  if (text.startsWith("=") || reserved.has(text)) text = `=${text}`;
  if (text.length <= LABEL_LIMIT) return text;
  return (text.slice(0, KEEP) + labelNames.elided + text.slice(-KEEP)).toWellFormed();
}
