// A capture that is being read: block by block, each only once its length and its checksum are known to be right.
import { createHash } from "node:crypto";
import { decodeText } from "../../linux/text.ts";
import { ByteCursor, Malformed } from "./bytes.ts";
import { CaptureDecoder, type CaptureSink } from "./decode.ts";
import {
  BLOCK_BYTES,
  BLOCK_HEAD,
  BLOCK_LIMIT,
  block,
  type CaptureHeader,
  HEADER_LIMIT,
  MAGIC,
  parseHeader,
  VERSION,
} from "./format.ts";

/** Puts the next bytes at the start of `target`, fewer than it holds only at the end; how many. */
export type ByteSource = (target: Uint8Array) => number;

export type CaptureProblem =
  | { readonly kind: "not_a_capture" }
  | { readonly kind: "version"; readonly version: number }
  /** It ends within the block that begins at byte `at`, or before its last one. */
  | { readonly kind: "cut"; readonly at: number }
  /** The block that begins at byte `at` is whole, but not what was written. */
  | { readonly kind: "damaged"; readonly at: number; readonly why: string };

/** How the reading ended. What was handed over until then is whole and in order. */
export type CaptureEnd = { readonly kind: "complete" } | Extract<CaptureProblem, { at: number }>;

export type CaptureResult =
  | { readonly ok: true; readonly capture: Capture }
  | { readonly ok: false; readonly problem: CaptureProblem };

/** Reads the start of a capture. */
export function openCapture(source: ByteSource): CaptureResult {
  const blocks = new Blocks(source);
  const start = new Uint8Array(MAGIC.length + 1);
  const got = blocks.read(start);
  if (got < start.length || MAGIC.some((byte, i) => start[i] !== byte)) {
    return { ok: false, problem: { kind: "not_a_capture" } };
  }
  const version = start[MAGIC.length] ?? 0;
  if (version !== VERSION) return { ok: false, problem: { kind: "version", version } };
  const first = blocks.next();
  if (first.kind !== "block") return { ok: false, problem: first };
  const header =
    first.payload[0] === block.header && first.payload.length <= HEADER_LIMIT
      ? parseHeader(decodeText(first.payload, 1))
      : undefined;
  if (header === undefined) {
    return { ok: false, problem: { kind: "damaged", at: first.at, why: "its header cannot be read" } };
  }
  const digest = createHash("sha256").update(first.payload).digest();
  return { ok: true, capture: new Capture(header, digest, blocks) };
}

export class Capture {
  readonly header: CaptureHeader;
  /** SHA-256 of the header: names this capture. */
  readonly digest: Uint8Array;
  private readonly blocks: Blocks;
  private readonly decoder = new CaptureDecoder();

  /** @internal made by openCapture only */
  constructor(header: CaptureHeader, digest: Uint8Array, blocks: Blocks) {
    this.header = header;
    this.digest = digest;
    this.blocks = blocks;
  }

  get events(): number {
    return this.decoder.events;
  }

  /** The name that a user had on the host of the capture; known from its first event on. */
  userName(uid: number): string | undefined {
    return this.decoder.userName(uid);
  }

  /** Hands everything over to `sink`. Once only. */
  read(sink: CaptureSink): CaptureEnd {
    for (;;) {
      const next = this.blocks.next();
      if (next.kind !== "block") return next;
      const { payload, at } = next;
      if (payload[0] === block.end) return this.ended(payload, at);
      if (payload[0] !== block.entries) return { kind: "damaged", at, why: "a block is of no known kind" };
      try {
        this.decoder.decode(payload, 1, payload.length, sink);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        return { kind: "damaged", at, why: error.message };
      }
    }
  }

  private ended(payload: Uint8Array, at: number): CaptureEnd {
    const cursor = new ByteCursor();
    cursor.open(payload, 1, payload.length);
    try {
      if (cursor.unsigned() === this.events) return { kind: "complete" };
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
    }
    return { kind: "damaged", at, why: "it does not have as many events as were written" };
  }
}

type Next =
  | { readonly kind: "block"; readonly payload: Uint8Array; readonly at: number }
  | Extract<CaptureProblem, { at: number }>;

class Blocks {
  private readonly source: ByteSource;
  private readonly head = new Uint8Array(BLOCK_HEAD);
  private readonly view = new DataView(this.head.buffer);
  private buffer = new Uint8Array(2 * BLOCK_BYTES);
  private position = 0;

  constructor(source: ByteSource) {
    this.source = source;
  }

  read(target: Uint8Array): number {
    const got = this.source(target);
    this.position += got;
    return got;
  }

  /** The next block; its payload holds until the one after it is asked for. */
  next(): Next {
    const at = this.position;
    if (this.read(this.head) < BLOCK_HEAD) return { kind: "cut", at };
    const length = this.view.getUint32(0, true);
    // What a file system leaves where data never reached the disk.
    if (length === 0 && this.view.getUint32(4, true) === 0) return { kind: "cut", at };
    if (length === 0 || length > BLOCK_LIMIT)
      return { kind: "damaged", at, why: "a block's length is wrong" };
    if (length > this.buffer.length) this.buffer = new Uint8Array(BLOCK_LIMIT);
    const payload = this.buffer.subarray(0, length);
    if (this.read(payload) < length) return { kind: "cut", at };
    if (Bun.hash.crc32(payload) !== this.view.getUint32(4, true)) {
      return { kind: "damaged", at, why: "a block's checksum is wrong" };
    }
    return { kind: "block", payload, at };
  }
}
