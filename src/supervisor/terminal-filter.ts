// What the reporter may write to a terminal: printable text, line ends and treewarden's own colours. A reporter that was
// taken over must not move the cursor, change the title, or make the terminal type its answer as root's input.
import { printable } from "../linux/text.ts";
import { colours, endOfColour } from "../vocabulary/colours.ts";

const sequences: readonly string[] = [...Object.values(colours), endOfColour];
const longest = Math.max(...sequences.map((sequence) => sequence.length));
const ESCAPE = "\x1b";
/** Sequences and line ends; between two of them is text. */
const allowed = new RegExp(`(${[...sequences, "\n"].map((text) => text.replace("[", "\\[")).join("|")})`);

/** Filters a stream of bytes. Characters that are not allowed are shown as `\xNN`. */
export class TerminalFilter {
  private readonly decoder = new TextDecoder();
  /** The beginning of a sequence whose other part has not arrived yet. */
  private begun = "";

  /** What the terminal may get of the next `bytes`. */
  next(bytes: Uint8Array): Uint8Array {
    const text = this.begun + this.decoder.decode(bytes, { stream: true });
    const end = endOfWhole(text);
    this.begun = text.slice(end);
    return new TextEncoder().encode(filtered(text.slice(0, end)));
  }
}

function filtered(text: string): string {
  // With a group in the expression, every second part is a separator.
  const parts = text.split(allowed);
  return parts.map((part, i) => (i % 2 === 1 ? part : printable(part))).join("");
}

/** Where an allowed sequence begins that is not complete; the length of `text` if there is none. */
function endOfWhole(text: string): number {
  const start = text.lastIndexOf(ESCAPE);
  const rest = start < 0 || text.length - start >= longest ? "" : text.slice(start);
  const isBegun = rest !== "" && sequences.some((each) => each !== rest && each.startsWith(rest));
  return isBegun ? start : text.length;
}
