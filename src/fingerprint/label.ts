// The text of a label: unambiguous, printable, bounded, and never one of the labels that treewarden reserves.
import { unambiguous } from "../linux/text.ts";

/** Labels that treewarden itself assigns. A file that has such a name is labelled with a leading `=`. */
export const labelNames = {
  base: "base",
  random: "random",
  /** The series that counts all trees beyond the bound of metrics. */
  overflow: "overflow",
  /** The root of every tree inside a container. */
  container: "container",
  /** The executable could not be read. */
  unknown: "unknown",
  /** Kernel threads. */
  kernel: "kthreadd",
  /** The middle of a tree that was too long. */
  elided: "...",
} as const;

const reserved: ReadonlySet<string> = new Set(Object.values(labelNames));

/** Longest label in characters: NAME_MAX (linux/limits.h). Escapes can make a name longer; it then loses its middle. */
export const LABEL_LIMIT = 255;
const KEPT_EACH_END = (LABEL_LIMIT - labelNames.elided.length) / 2;

/**
 * A file's name as a label. Unprintable characters and backslashes are escaped, and a `/` (which a memfd's name may
 * contain) becomes `\x2f`.
 */
export function labelOf(name: string): string {
  if (name === "") return labelNames.unknown;
  let text = unambiguous(name);
  if (text.includes("/")) text = text.replaceAll("/", "\\x2f");
  if (text.startsWith("=") || reserved.has(text)) text = `=${text}`;
  if (text.length <= LABEL_LIMIT) return text;
  return (text.slice(0, KEPT_EACH_END) + labelNames.elided + text.slice(-KEPT_EACH_END)).toWellFormed();
}
