// The chain of blocks that a capture consists of. A block is one zstd frame of JSON lines. Its first line carries the
// SHA-256 of the frame before it, so that a block that was changed, removed, exchanged or moved breaks the chain; the
// last one says that nothing was cut off.
import {
  type ByteSource,
  CONTENT_LIMIT,
  compressFrame,
  decompressFrame,
  FrameReader,
  storeFrame,
} from "./frame.ts";
import type { CaptureLineName } from "./names.ts";

/** A block is closed when it has this many characters. */
const BLOCK_CHARACTERS = 256 * 1024;
/** No line has more characters: an exec with the longest arguments that can be configured, each byte escaped. */
export const LINE_LIMIT = 2 * 1024 * 1024;

/** Names of the lines that hold a capture together. */
export const lineNames = {
  header: "capture.header",
  block: "capture.block",
  end: "capture.end",
} as const satisfies Readonly<Record<string, CaptureLineName>>;

/**
 * Why a capture ended. `complete`: as it was meant to. `overrun`: the disk could not follow. `stopped`: the warden ended.
 * `refused`: the warden could not write down what it judges by.
 */
export const endReasons = ["complete", "overrun", "stopped", "refused"] as const;
export type EndReason = (typeof endReasons)[number];

/** A line as it is written, or as it was parsed: any name may stand in what somebody else wrote. */
export type Line = { readonly [name: string]: unknown };

/** A line that is being filled; a field that is undefined is left out of it. */
export type OpenLine = Record<string, unknown>;

/** The line that `text` is; undefined if it is no JSON object. */
export function parseLine(text: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isLine(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isLine(value: unknown): value is Line {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const encoder = new TextEncoder();

/** Lines into blocks. */
export class BlockWriter {
  /** Bytes handed to `out`. */
  bytes = 0;
  private readonly out: (frame: Uint8Array) => void;
  private text = "";
  private number = 0;
  private previous = "";

  /** `header`: the first line's fields. `out` takes a frame whole or throws. */
  constructor(header: Line, out: (frame: Uint8Array) => void) {
    this.out = out;
    this.close(`${JSON.stringify({ "event.name": lineNames.header, ...header })}\n`, compressFrame);
  }

  /** Lines wait for their block to be closed. */
  get isPending(): boolean {
    return this.text !== "";
  }

  /** Adds a line, which must not be longer than LINE_LIMIT. */
  add(line: Line): void {
    this.text += `${JSON.stringify(line)}\n`;
    if (this.text.length >= BLOCK_CHARACTERS) this.flush();
  }

  /** Closes the block: a capture that is cut after it has all of its lines. */
  flush(): void {
    if (this.text === "") return;
    const head = { "event.name": lineNames.block, ...this.link() };
    this.close(`${JSON.stringify(head)}\n${this.text}`, compressFrame);
    this.text = "";
  }

  /** Writes the last block: `events` were captured. */
  end(events: number, reason: EndReason): void {
    this.flush();
    this.close(endLine({ ...this.link(), events, reason }), storeFrame);
  }

  private link(): Link {
    return { "capture.block": this.number, "capture.previous_sha256": this.previous };
  }

  private close(text: string, frameOf: (content: Uint8Array) => Uint8Array): void {
    const frame = frameOf(encoder.encode(text));
    this.previous = digestOf(frame);
    this.number += 1;
    this.bytes += frame.length;
    this.out(frame);
  }
}

/** What binds a block to the one before it. */
interface Link {
  /** From 0 on, the header's. */
  readonly "capture.block": number;
  /** SHA-256 of the compressed frame before this one, hexadecimal. */
  readonly "capture.previous_sha256": string;
}

function endLine({
  events,
  reason,
  ...link
}: Link & { readonly events: number; readonly reason: EndReason }): string {
  const line = {
    "event.name": lineNames.end,
    ...link,
    "capture.events": events,
    "capture.end_reason": reason,
  };
  return `${JSON.stringify(line)}\n`;
}

export type CaptureProblem =
  | { readonly kind: "not_a_capture" }
  /** It is of the binary format, which treewarden wrote before captures were JSON. */
  | { readonly kind: "binary" }
  | { readonly kind: "version"; readonly version: number }
  /** It ends within the block that begins at byte `at`, or before its last one. */
  | { readonly kind: "cut"; readonly at: number }
  /** The block that begins at byte `at` is not what was written there. */
  | { readonly kind: "damaged"; readonly at: number; readonly why: string };

/** A problem that has its place: what comes before it is whole. */
export type PlacedProblem = Extract<CaptureProblem, { at: number }>;

export type NextBlock =
  | { readonly kind: "lines"; readonly head: Line; readonly lines: readonly string[]; readonly at: number }
  | { readonly kind: "end"; readonly events: number; readonly reason: EndReason; readonly at: number }
  | PlacedProblem;

/** Blocks into lines, each once it is known to follow the one before it. */
export class BlockReader {
  private readonly frames: FrameReader;
  private readonly decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  private number = 0;
  private digest = "";

  constructor(source: ByteSource) {
    this.frames = new FrameReader(source);
  }

  /** SHA-256 of the last frame that was read, hexadecimal. */
  get lastDigest(): string {
    return this.digest;
  }

  next(): NextBlock {
    const next = this.frames.next();
    const { at } = next;
    if (next.kind === "end") return { kind: "cut", at };
    if (next.kind !== "frame") return next;
    const { frame } = next;
    const text = this.textOf(frame);
    if (text === undefined) return damaged(at, "its zstd frame is broken");
    const lines = text.split("\n");
    if (lines.pop() !== "") return damaged(at, "its last line does not end");
    if (lines.some((line) => line.length > LINE_LIMIT)) {
      return damaged(at, `a line must not be longer than ${LINE_LIMIT} characters`);
    }
    const head = parseLine(lines.shift() ?? "");
    if (head === undefined) return damaged(at, "its first line is no JSON object");
    const { number, digest: previous } = this;
    const name = head["event.name"];
    if (number === 0 ? name !== lineNames.header : name !== lineNames.block && name !== lineNames.end) {
      return damaged(at, "its first line is not that of a block");
    }
    const link = { "capture.block": number, "capture.previous_sha256": previous };
    if (number > 0 && (head["capture.block"] !== number || head["capture.previous_sha256"] !== previous)) {
      return damaged(at, "it does not follow the block before it");
    }
    this.digest = digestOf(frame);
    this.number += 1;
    return name === lineNames.end ? this.readEnd(head, link, frame, at) : { kind: "lines", head, lines, at };
  }

  private textOf(frame: Uint8Array<ArrayBuffer>): string | undefined {
    const content = decompressFrame(frame);
    if (content === undefined || content.length > CONTENT_LIMIT) return undefined;
    try {
      return this.decoder.decode(content);
    } catch {
      return undefined;
    }
  }

  /** No block follows the last one and vouches for it, so it must be byte for byte what a writer makes. */
  private readEnd(head: Line, link: Link, frame: Uint8Array, at: number): NextBlock {
    const events = head["capture.events"];
    const reason = endReasons.find((one) => one === head["capture.end_reason"]);
    if (typeof events !== "number" || reason === undefined) return damaged(at, "its last line is not an end");
    const expected = storeFrame(encoder.encode(endLine({ ...link, events, reason })));
    if (Buffer.compare(frame, expected) !== 0) return damaged(at, "its last block was changed");
    const after = this.frames.next();
    return after.kind === "end"
      ? { kind: "end", events, reason, at }
      : damaged(after.at, "it goes on after its end");
  }
}

function digestOf(frame: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(frame).digest("hex");
}

function damaged(at: number, why: string): PlacedProblem {
  return { kind: "damaged", at, why };
}
