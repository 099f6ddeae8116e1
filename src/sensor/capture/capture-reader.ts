// A capture that is being read: block by block, each only once it is known to follow the one before it. Whoever wrote
// it is not trusted: what it holds is checked line by line, and what is kept of it is bounded.
import type { ScannedProcess } from "../event.ts";
import { BlockReader, type CaptureProblem, type EndReason, type PlacedProblem, parseLine } from "./blocks.ts";
import type { ByteSource } from "./frame.ts";
import { type CaptureHeader, parseHeader, VERSION } from "./header.ts";
import { readItem } from "./item-codecs.ts";
import { type CaptureItem, isEvent, type LineItems } from "./items.ts";
import { Malformed } from "./line-values.ts";

/** Characters of the lines of one scan: half a million processes. */
const SCAN_LIMIT = 256 * 1024 * 1024;
/** Characters of one text: a baseline of some 400,000 trees. */
const TEXT_LIMIT = 64 * 1024 * 1024;
/** First bytes of every capture in the binary format of version 1. */
const BINARY_MAGIC = new Uint8Array([0x89, 0x54, 0x57, 0x43, 0x41, 0x50, 0x0a]);
/** First bytes of every zstd frame (RFC 8878, 3.1.1). */
const FRAME_MAGIC = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd]);

/** How the reading ended. What was handed over until then is whole and in order. */
export type CaptureEnd = { readonly kind: "ended"; readonly reason: EndReason } | PlacedProblem;

export type CaptureResult =
  | { readonly ok: true; readonly capture: Capture }
  | { readonly ok: false; readonly problem: CaptureProblem };

/** Reads the start of a capture. */
export function openCapture(source: ByteSource): CaptureResult {
  const start = new Uint8Array(BINARY_MAGIC.length);
  const got = source(start);
  if (startsWith(start, BINARY_MAGIC)) return refused({ kind: "binary" });
  if (!startsWith(start, FRAME_MAGIC)) return refused({ kind: "not_a_capture" });
  const blocks = new BlockReader(after(start.subarray(0, got), source));
  const first = blocks.next();
  if (first.kind !== "lines")
    return refused(first.kind === "end" ? { kind: "damaged", at: 0, why: "it has no header" } : first);
  const version = first.head["capture.version"];
  if (typeof version === "number" && version !== VERSION) return refused({ kind: "version", version });
  const header = parseHeader(first.head);
  if (header === undefined) return refused({ kind: "damaged", at: 0, why: "its header cannot be read" });
  return { ok: true, capture: new Capture(header, blocks) };
}

function refused(problem: CaptureProblem): CaptureResult {
  return { ok: false, problem };
}

function startsWith(bytes: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}

/** `start`, and then what `source` gives. */
function after(start: Uint8Array, source: ByteSource): ByteSource {
  let rest = start;
  return (target) => {
    const taken = Math.min(rest.length, target.length);
    target.set(rest.subarray(0, taken));
    rest = rest.subarray(taken);
    return taken === target.length ? taken : taken + source(target.subarray(taken));
  };
}

export class Capture {
  readonly header: CaptureHeader;
  /** SHA-256 of the header's block, hexadecimal: names this capture. */
  readonly digest: string;
  /** Events so far; processes found by scans are not counted. */
  events = 0;
  private readonly blocks: BlockReader;
  private scan: ScannedProcess[] = [];
  private scanCharacters = 0;
  private textParts: string[] = [];
  private textCharacters = 0;

  /** @internal made by openCapture only, after the header was read */
  constructor(header: CaptureHeader, blocks: BlockReader) {
    this.header = header;
    this.blocks = blocks;
    this.digest = blocks.lastDigest;
  }

  /** Hands everything over to `sink`. Once only. */
  read(sink: (item: CaptureItem) => void): CaptureEnd {
    for (;;) {
      const next = this.blocks.next();
      if (next.kind === "end") return this.ended(next.events, next.reason, next.at);
      if (next.kind !== "lines") return next;
      try {
        for (const line of next.lines) this.take(line, sink);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        return { kind: "damaged", at: next.at, why: error.message };
      }
    }
  }

  private take(text: string, sink: (item: CaptureItem) => void): void {
    const line = parseLine(text);
    if (line === undefined) throw new Malformed("a line is no JSON object");
    const item = readItem(line);
    switch (item.kind) {
      case "scanned":
        this.scanCharacters += text.length;
        if (this.scanCharacters > SCAN_LIMIT) throw new Malformed("a scan is too long");
        this.scan.push(item.process);
        return;
      case "scan":
        sink({ ...item, processes: this.scan });
        this.scan = [];
        this.scanCharacters = 0;
        return;
      case "text":
        this.takeText(item, sink);
        return;
      default:
        if (isEvent(item)) this.events += 1;
        sink(item);
    }
  }

  private takeText({ name, text, isLast }: LineItems["text"], sink: (item: CaptureItem) => void): void {
    this.textCharacters += text.length;
    if (this.textCharacters > TEXT_LIMIT)
      throw new Malformed(`a text must not be longer than ${TEXT_LIMIT} characters`);
    this.textParts.push(text);
    if (!isLast) return;
    const whole = this.textParts.join("");
    this.textParts = [];
    this.textCharacters = 0;
    sink({ kind: "text", name, text: whole });
  }

  private ended(events: number, reason: EndReason, at: number): CaptureEnd {
    if (events === this.events) return { kind: "ended", reason };
    return { kind: "damaged", at, why: `it must have ${events} events, not ${this.events}` };
  }
}

/** Follows the chain of blocks to its end without looking at what they hold. */
export function verifyCapture(
  source: ByteSource,
): PlacedProblem | (Extract<CaptureEnd, { kind: "ended" }> & { readonly events: number }) {
  const blocks = new BlockReader(source);
  for (;;) {
    const next = blocks.next();
    if (next.kind === "end") return { kind: "ended", reason: next.reason, events: next.events };
    if (next.kind !== "lines") return next;
  }
}
