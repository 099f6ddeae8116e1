// The saved corpus: one text file for each parser. A line that begins with `## ` begins an entry and says what it is;
// the lines below it are the entry. Bytes that are not printable are written as \xNN, and a backslash as \\.
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeText, encodeText, unambiguous, undoUnambiguous } from "../../src/linux/text.ts";

const MARK = "## ";

function pathOf(name: string): string {
  return join(import.meta.dir, "corpus", `${name}.txt`);
}

/** Every entry of the corpus of that name. Throws if the file has none, or a line that cannot be read. */
export function readCorpus(name: string): readonly Uint8Array<ArrayBuffer>[] {
  const entries = parseCorpus(readFileSync(pathOf(name), "utf8"));
  if (entries.length === 0) throw new Error(`${pathOf(name)} has no entry`);
  return entries;
}

export function parseCorpus(text: string): readonly Uint8Array<ArrayBuffer>[] {
  const entries: string[][] = [];
  for (const line of text.replace(/\n$/, "").split("\n")) {
    if (line.startsWith(MARK)) entries.push([]);
    else entries.at(-1)?.push(line);
  }
  return entries.map((lines) => {
    const parts = lines.map((line) => {
      const part = undoUnambiguous(line);
      if (part === undefined) throw new Error(`not a line of a corpus: ${line}`);
      return encodeText(part);
    });
    return bytesOf(Buffer.concat(parts.flatMap((part, i) => (i === 0 ? [part] : [Buffer.from("\n"), part]))));
  });
}

/** The entry as text. */
export function formatEntry(title: string, input: Uint8Array): string {
  const lines = decodeText(input).split("\n");
  // A line of the entry must not look like the beginning of another one.
  const escaped = lines.map((line) => unambiguous(line).replace(/^##/, "\\x23#"));
  return `${MARK}${unambiguous(title)}\n${escaped.join("\n")}\n`;
}

/** Adds an entry, which every later run begins with. */
export function addToCorpus(name: string, title: string, input: Uint8Array): string {
  appendFileSync(pathOf(name), formatEntry(title, input));
  return pathOf(name);
}

/** A copy whose buffer is its own and begins at 0. */
export function bytesOf(from: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(from.length));
  bytes.set(from);
  return bytes;
}
