// What a fuzz target is: one parser of bytes that somebody else writes.

export interface FuzzTarget {
  /** Also the name of its corpus: corpus/NAME.txt. */
  readonly name: string;
  /** What it parses, and who writes that. */
  readonly parses: string;
  /** Its share of the inputs; parsers that take longer get less. */
  readonly weight: number;
  /** Texts that a mutation inserts, beside those of the corpus. */
  readonly words?: readonly string[];
  /** The longest that one input may take, ms; default 250. */
  readonly limitMs?: number;
  /**
   * Parses one input, and returns the size of the result in characters, bytes or elements. The parser's documented
   * errors are results; whatever is thrown is a bug. `input` is only valid during the call.
   */
  readonly parse: (input: Uint8Array<ArrayBuffer>) => number | Promise<number>;
  /** Ends what `parse` needs, such as a server. */
  readonly end?: () => void;
}

const decoder = new TextDecoder("latin1");

/** Each byte as the character of that number: a text that may be anything, and that always has the same bytes. */
export function latin1(input: Uint8Array): string {
  return decoder.decode(input);
}

/** The size of a parsed value, as JSON has it. */
export function sizeOf(value: unknown): number {
  return value === undefined ? 0 : (JSON.stringify(value)?.length ?? 0);
}
