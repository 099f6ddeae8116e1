// Zstandard frames (RFC 8878): compressing one, and finding where one ends without decompressing it.

/** Puts the next bytes at the start of `target`, fewer than it holds only at the end of the file; how many. */
export type ByteSource = (target: Uint8Array) => number;

/** No frame holds more bytes: a reader allocates no more than this, whatever a frame claims. */
export const CONTENT_LIMIT = 4 * 1024 * 1024;
/** Room for content that does not compress: a header, a checksum, and three bytes for each block of at most 128 KiB. */
const FRAME_LIMIT = CONTENT_LIMIT + 64 * 1024;

// RFC 8878, 3.1.1
const MAGIC = new Uint8Array([0x28, 0xb5, 0x2f, 0xfd]);
const DESCRIPTOR_AT = MAGIC.length;
/** Frame_Header_Descriptor: a content checksum follows; the content's size is the window's. */
const CHECKSUM_FLAG = 0x04;
const SINGLE_SEGMENT_FLAG = 0x20;
/** Its bits for a dictionary, and those that must be zero. No capture has any of them. */
const UNWANTED_FLAGS = 0x1b;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const BLOCK_LIMIT = 128 * 1024;
const blockType = { raw: 0, rle: 1, compressed: 2 } as const;

/** Level 1: on captures it compresses as well as level 3, in half the time. */
const LEVEL = 1;
/** The compressor's output buffer: one is enough for an ordinary block of a capture. */
const CHUNK_BYTES = 128 * 1024;

/** One frame that holds `content`, with its size and checksum. */
export function compressFrame(content: Uint8Array): Uint8Array {
  // Loaded by the first frame: it takes megabytes, and a warden captures nothing unless it learns.
  const { constants, zstdCompressSync } = process.getBuiltinModule("node:zlib");
  return zstdCompressSync(content, {
    chunkSize: CHUNK_BYTES,
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/** As `compressFrame`, without compression: the same bytes for the same content, whatever the library's version. */
export function storeFrame(content: Uint8Array): Uint8Array {
  if (content.length >= BLOCK_LIMIT) throw new RangeError("a stored frame must fit into one block");
  const frame = new Uint8Array(MAGIC.length + 1 + 4 + BLOCK_HEADER_BYTES + content.length + CHECKSUM_BYTES);
  const view = new DataView(frame.buffer);
  frame.set(MAGIC);
  // Frame_Content_Size_flag 2: four bytes.
  frame[DESCRIPTOR_AT] = 0x80 | SINGLE_SEGMENT_FLAG | CHECKSUM_FLAG;
  view.setUint32(5, content.length, true);
  const header = 1 | (blockType.raw << 1) | (content.length << 3);
  frame.set([header & 0xff, (header >> 8) & 0xff, header >> 16], 9);
  frame.set(content, 9 + BLOCK_HEADER_BYTES);
  // The low four bytes of XXH64 with seed 0.
  const checksum = Number(BigInt.asUintN(32, Bun.hash.xxHash64(content, 0n)));
  view.setUint32(frame.length - CHECKSUM_BYTES, checksum, true);
  return frame;
}

/** The content of one whole frame; undefined if it is damaged. */
export function decompressFrame(frame: Uint8Array<ArrayBuffer>): Uint8Array | undefined {
  try {
    return Bun.zstdDecompressSync(frame);
  } catch {
    return undefined;
  }
}

export type NextFrame =
  | { readonly kind: "frame"; readonly frame: Uint8Array<ArrayBuffer>; readonly at: number }
  /** The file ends at byte `at`, between two frames. */
  | { readonly kind: "end"; readonly at: number }
  /** The file ends within the frame that begins at byte `at`. */
  | { readonly kind: "cut"; readonly at: number }
  | { readonly kind: "damaged"; readonly at: number; readonly why: string };

/** Reads frame after frame. Only what `compressFrame` and `storeFrame` make is taken. */
export class FrameReader {
  private readonly source: ByteSource;
  private buffer = new Uint8Array(4 * 1024);
  /** Bytes of the current frame in `buffer`. */
  private length = 0;
  private position = 0;

  constructor(source: ByteSource) {
    this.source = source;
  }

  /** The next frame. Its bytes hold until the one after it is asked for. */
  next(): NextFrame {
    this.position += this.length;
    this.length = 0;
    const at = this.position;
    if (!this.read(MAGIC.length)) return { kind: this.length === 0 ? "end" : "cut", at };
    // Zeros are what a file system leaves where data never reached the disk.
    if (this.buffer.subarray(0, MAGIC.length).every((byte) => byte === 0)) return { kind: "cut", at };
    if (MAGIC.some((byte, i) => this.buffer[i] !== byte)) return damaged(at, "no zstd frame begins here");
    if (!this.read(1)) return { kind: "cut", at };
    const descriptor = this.buffer[DESCRIPTOR_AT] ?? 0;
    if ((descriptor & UNWANTED_FLAGS) !== 0 || (descriptor & CHECKSUM_FLAG) === 0) {
      return damaged(at, "its zstd frame is not one that treewarden writes");
    }
    const size = this.readContentSize(descriptor);
    if (size === undefined) return { kind: "cut", at };
    if (size > CONTENT_LIMIT) return damaged(at, `a block must not be longer than ${CONTENT_LIMIT} bytes`);
    const problem = this.readBlocks();
    if (problem === "cut") return { kind: "cut", at };
    if (problem !== undefined) return damaged(at, problem);
    return { kind: "frame", frame: this.buffer.subarray(0, this.length), at };
  }

  /** What the frame says of its content's size; undefined if the file ends before it. */
  private readContentSize(descriptor: number): number | undefined {
    const isSingle = (descriptor & SINGLE_SEGMENT_FLAG) !== 0;
    const flag = descriptor >> 6;
    const bytes = flag === 0 ? (isSingle ? 1 : 0) : 2 ** flag;
    // Without a size nothing bounds what the decompressor makes of the frame.
    if (bytes === 0) return Number.POSITIVE_INFINITY;
    const start = this.length + (isSingle ? 0 : 1);
    if (!this.read(start + bytes - this.length)) return undefined;
    let size = 0;
    for (let i = bytes - 1; i >= 0; i -= 1) size = size * 256 + (this.buffer[start + i] ?? 0);
    return bytes === 2 ? size + 256 : size;
  }

  /** Takes the frame's blocks and its checksum; what is wrong with them, or "cut" if the file ends first. */
  private readBlocks(): string | undefined {
    for (let isLast = false; !isLast; ) {
      const start = this.length;
      if (!this.read(BLOCK_HEADER_BYTES)) return "cut";
      const [low = 0, middle = 0, high = 0] = this.buffer.subarray(start, this.length);
      const header = low | (middle << 8) | (high << 16);
      isLast = (header & 1) === 1;
      const type = (header >> 1) & 3;
      const size = header >> 3;
      if (type === 3 || size > BLOCK_LIMIT || this.length + size > FRAME_LIMIT)
        return "its zstd frame is broken";
      if (!this.read(type === blockType.rle ? 1 : size)) return "cut";
    }
    return this.read(CHECKSUM_BYTES) ? undefined : "cut";
  }

  /** Adds the next `count` bytes of the file to the frame; false if it ends before. */
  private read(count: number): boolean {
    const end = this.length + count;
    if (end > this.buffer.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.buffer.length));
      larger.set(this.buffer.subarray(0, this.length));
      this.buffer = larger;
    }
    const got = this.source(this.buffer.subarray(this.length, end));
    this.length += got;
    return got === count;
  }
}

function damaged(at: number, why: string): NextFrame {
  return { kind: "damaged", at, why };
}
