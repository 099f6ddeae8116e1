// Writes protobuf (https://protobuf.dev/programming-guides/encoding/) from the end to the beginning: what precedes a
// message is its length, which is known only after the message was written. So fields are written last one first.

/** Wire types. */
const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;

const FIRST_SIZE = 1 << 16;
/** Most requests are smaller. */
const KEPT_SIZE = 2 << 20;
/** Texts up to this length are written character by character, which costs less than two calls into the runtime. */
const SHORT = 48;
const ASCII = 0x7f;
/** Values below take one byte of a varint for seven bits. */
const MORE = 0x80;

export class ProtobufWriter {
  private bytes: Buffer<ArrayBuffer> = Buffer.allocUnsafeSlow(FIRST_SIZE);
  /** Where the last written byte is. */
  private at = FIRST_SIZE;

  /** The bytes that were written so far; valid until the next write. */
  get written(): Uint8Array<ArrayBuffer> {
    return this.bytes.subarray(this.at);
  }

  /** Forgets what was written, and keeps the memory unless it is much. */
  clear(): void {
    if (this.bytes.length > KEPT_SIZE) this.bytes = Buffer.allocUnsafeSlow(FIRST_SIZE);
    this.at = this.bytes.length;
  }

  /** A copy of what was written since the length was `end`. */
  writtenSince(end: number): Uint8Array {
    return new Uint8Array(this.bytes.subarray(this.at, this.bytes.length - end));
  }

  /** Fields that were encoded before. */
  encoded(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.at -= bytes.length;
    this.bytes.set(bytes, this.at);
  }

  /** How many bytes were written: where a message ends whose fields are written next. */
  get length(): number {
    return this.bytes.length - this.at;
  }

  /** Makes a message of the fields that were written since the length was `end`. */
  message(field: number, end: number): void {
    this.varint(this.length - end);
    this.tag(field, LENGTH_DELIMITED);
  }

  text(field: number, value: string): void {
    const end = this.length;
    if (value.length > SHORT || !this.shortText(value)) this.longText(value);
    this.varint(this.length - end);
    this.tag(field, LENGTH_DELIMITED);
  }

  /** A text in UTF-8. */
  utf8(field: number, bytes: Uint8Array): void {
    this.encoded(bytes);
    this.varint(bytes.length);
    this.tag(field, LENGTH_DELIMITED);
  }

  /** False if the text is not ASCII; then nothing is written. */
  private shortText(value: string): boolean {
    this.reserve(value.length);
    const start = this.at - value.length;
    for (let i = 0; i < value.length; i += 1) {
      const code = value.charCodeAt(i);
      if (code > ASCII) return false;
      this.bytes[start + i] = code;
    }
    this.at = start;
    return true;
  }

  private longText(value: string): void {
    const length = Buffer.byteLength(value);
    this.reserve(length);
    this.at -= length;
    this.bytes.write(value, this.at, length);
  }

  bool(field: number, value: boolean): void {
    this.varint(value ? 1 : 0);
    this.tag(field, VARINT);
  }

  /** An int64; `value` must be a safe integer. */
  integer(field: number, value: number): void {
    if (value < 0) this.largeVarint(BigInt.asUintN(64, BigInt(value)));
    else this.varint(value);
    this.tag(field, VARINT);
  }

  double(field: number, value: number): void {
    this.reserve(8);
    this.at -= 8;
    this.bytes.writeDoubleLE(value, this.at);
    this.tag(field, FIXED64);
  }

  /** Seconds and nanoseconds as a fixed64 of nanoseconds. */
  nanoseconds(field: number, [seconds, nanos]: readonly [seconds: number, nanos: number]): void {
    this.reserve(8);
    this.at -= 8;
    this.bytes.writeBigUInt64LE(BigInt(seconds) * 1_000_000_000n + BigInt(nanos), this.at);
    this.tag(field, FIXED64);
  }

  private tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  private varint(value: number): void {
    if (value < MORE) {
      this.reserve(1);
      this.at -= 1;
      this.bytes[this.at] = value;
      return;
    }
    let length = 1;
    for (let rest = value; rest >= MORE; rest = Math.floor(rest / MORE)) length += 1;
    this.reserve(length);
    this.at -= length;
    let rest = value;
    for (let i = 0; i < length; i += 1) {
      const bits = rest % MORE;
      this.bytes[this.at + i] = i === length - 1 ? bits : bits + MORE;
      rest = Math.floor(rest / MORE);
    }
  }

  private largeVarint(value: bigint): void {
    const bytes: number[] = [];
    for (let rest = value; rest > 0n; rest >>= 7n)
      bytes.push(Number(rest & 0x7fn) + (rest >= 0x80n ? MORE : 0));
    this.reserve(bytes.length);
    this.at -= bytes.length;
    this.bytes.set(bytes, this.at);
  }

  private reserve(length: number): void {
    if (this.at >= length) return;
    const used = this.bytes.length - this.at;
    let size = this.bytes.length;
    while (size - used < length) size *= 2;
    const larger = Buffer.allocUnsafeSlow(size);
    larger.set(this.bytes.subarray(this.at), size - used);
    this.bytes = larger;
    this.at = size - used;
  }
}
