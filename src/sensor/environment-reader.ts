// Picks variables out of an environment and wipes the rest: secrets that nobody asked for must not stay in memory.
import { decodeText } from "../linux/text.ts";
import type { EnvironmentVariables } from "./event.ts";

const EQUALS = 0x3d;

interface Wanted {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export class EnvironmentReader {
  /** The wanted names by their first byte: most variables of an environment have none. */
  private readonly wanted: readonly (readonly Wanted[] | undefined)[];
  /** Shared by the processes that have none of them set, which are nearly all. */
  private readonly noneSet: EnvironmentVariables;

  constructor(names: readonly string[]) {
    const wanted: Wanted[][] = [];
    for (const name of names) {
      const bytes = new TextEncoder().encode(name);
      const first = bytes[0] ?? 0;
      wanted[first] = [...(wanted[first] ?? []), { name, bytes }];
    }
    this.wanted = wanted;
    this.noneSet = new Map(names.map((name) => [name, null]));
  }

  /** The wanted variables in the NUL-terminated strings `bytes[start, end)`, which are overwritten with zeros. */
  take(bytes: Uint8Array, start: number, end: number): EnvironmentVariables {
    let found: Map<string, string | null> | undefined;
    for (let at = start; at < end; ) {
      const terminator = bytes.indexOf(0, at);
      const next = terminator === -1 || terminator > end ? end : terminator;
      const wanted = this.wanted[bytes[at] ?? 0];
      const name = wanted === undefined ? undefined : nameAt(wanted, bytes, at, next);
      if (name !== undefined) {
        found ??= new Map(this.noneSet);
        const value = decodeText(bytes, at + name.bytes.length + 1, next);
        const earlier = found.get(name.name);
        found.set(name.name, earlier == null ? value : `${earlier}:${value}`);
      }
      at = next + 1;
    }
    bytes.fill(0, start, end);
    return found ?? this.noneSet;
  }
}

/** Which of `wanted` the string at `start` assigns. */
function nameAt(
  wanted: readonly Wanted[],
  bytes: Uint8Array,
  start: number,
  end: number,
): Wanted | undefined {
  for (const candidate of wanted) {
    const { length } = candidate.bytes;
    if (start + length >= end || bytes[start + length] !== EQUALS) continue;
    let i = 0;
    while (i < length && bytes[start + i] === candidate.bytes[i]) i += 1;
    if (i === length) return candidate;
  }
  return undefined;
}
