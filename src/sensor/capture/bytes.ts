// Numbers as captures have them: seven bits a byte, lowest first, the eighth says that more follow. Floating point
// holds every one of them that can occur: beyond 2^53 they have been rounded before, and divide by 128 exactly.

/** Bytes that are being written; grows. */
export class ByteSink {
  private bytes = new Uint8Array(64 * 1024);
  private view = new DataView(this.bytes.buffer);
  length = 0;

  byte(value: number): void {
    if (this.length === this.bytes.length) this.grow(1);
    this.bytes[this.length++] = value;
  }

  /** A whole number from 0 on. */
  unsigned(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte(0x80 | (rest % 0x80));
      rest = Math.floor(rest / 0x80);
    }
    this.byte(rest);
  }

  /** A whole number; bit 6 of its first byte is the sign. */
  signed(value: number): void {
    const sign = value < 0 ? 0x40 : 0;
    const magnitude = Math.abs(value);
    if (magnitude < 0x40) {
      this.byte(sign | magnitude);
      return;
    }
    this.byte(0x80 | sign | (magnitude % 0x40));
    this.unsigned(Math.floor(magnitude / 0x40));
  }

  /** IEEE 754, 64 bits, little-endian. */
  double(value: number): void {
    if (this.length + 8 > this.bytes.length) this.grow(8);
    this.view.setFloat64(this.length, value, true);
    this.length += 8;
  }

  raw(bytes: Uint8Array): void {
    if (this.length + bytes.length > this.bytes.length) this.grow(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** What was written. Holds until the next write. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  private grow(by: number): void {
    const more = new Uint8Array(Math.max(this.bytes.length * 2, this.length + by));
    more.set(this.bytes);
    this.bytes = more;
    this.view = new DataView(more.buffer);
  }
}

/** What is read is not what the format allows. */
export class Malformed extends Error {
  override readonly name = "Malformed";
}

/** Groups of seven bits in a 64-bit number. */
const MOST_GROUPS = 10;

/** Bytes that are being read. Every method throws Malformed where there are not enough of them. */
export class ByteCursor {
  private bytes: Uint8Array = new Uint8Array(0);
  private view: DataView = new DataView(this.bytes.buffer);
  private position = 0;
  private end = 0;

  /** Goes on with `bytes[start, end)`. */
  open(bytes: Uint8Array, start: number, end: number): void {
    if (bytes !== this.bytes) {
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    this.position = start;
    this.end = end;
  }

  get done(): boolean {
    return this.position >= this.end;
  }

  byte(): number {
    if (this.position >= this.end) throw new Malformed("an entry ends early");
    return this.bytes[this.position++] ?? 0;
  }

  unsigned(): number {
    const first = this.byte();
    return first < 0x80 ? first : this.more(first & 0x7f, 0x80);
  }

  signed(): number {
    const first = this.byte();
    const low = first & 0x3f;
    const magnitude = first < 0x80 ? low : this.more(low, 0x40);
    return (first & 0x40) === 0 ? magnitude : -magnitude;
  }

  double(): number {
    const at = this.skip(8);
    const value = this.view.getFloat64(at, true);
    if (!Number.isFinite(value)) throw new Malformed("a number is not finite");
    return value;
  }

  /** Calls `read` with where the next `length` bytes are. */
  raw<T>(length: number, read: (bytes: Uint8Array, start: number, end: number) => T): T {
    const at = this.skip(length);
    return read(this.bytes, at, at + length);
  }

  private more(low: number, scale: number): number {
    let value = low;
    let unit = scale;
    for (let groups = 1; groups < MOST_GROUPS; groups += 1) {
      const next = this.byte();
      value += (next & 0x7f) * unit;
      if (next < 0x80) return value;
      unit *= 0x80;
    }
    throw new Malformed("a number is too long");
  }

  private skip(length: number): number {
    const at = this.position;
    if (length > this.end - at) throw new Malformed("an entry ends early");
    this.position = at + length;
    return at;
  }
}
