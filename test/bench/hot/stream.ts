// A stream of events in a file, which each process of the benchmark maps: reading it makes no object.
import { writeFileSync } from "node:fs";
import { commonLayout, recordKinds } from "../../../src/sensor/ebpf/layout.ts";
import { type StreamKind, SyntheticHost } from "./host.ts";

/** Each record follows its length, in as many bytes as keep the record aligned to 8. */
const HEAD = 8;

/** Execs of the server at work at the start of every stream: after that many the compiler has done its work. */
export const WARM_UP = 30_000;
/** Those of them that the baseline is learned from. */
export const LESSON = 8_000;

/** Writes the server at work and then `count` execs of `kind` into the file at `path`. */
export function writeStream(path: string, kind: StreamKind, count: number): void {
  const parts: Uint8Array[] = [];
  const host = new SyntheticHost((record) => {
    const head = new Uint8Array(HEAD);
    new DataView(head.buffer).setUint32(0, record.length, true);
    parts.push(head, record);
  });
  host.run("mixed", WARM_UP);
  host.run(kind, count);
  writeFileSync(path, Buffer.concat(parts));
}

/** Takes bytes `start` to `end`, one record. */
export type RecordSink = (bytes: Uint8Array, words: Uint32Array, start: number, end: number) => void;

/** A stream that is read in parts. */
export class StreamReader {
  private readonly bytes: Uint8Array;
  private readonly words: Uint32Array;
  private at = 0;

  constructor(path: string) {
    this.bytes = Bun.mmap(path);
    const { buffer, byteOffset, byteLength } = this.bytes;
    this.words = new Uint32Array(buffer, byteOffset, byteLength >>> 2);
  }

  /** Goes back to the first record. */
  rewind(): void {
    this.at = 0;
  }

  /** Hands over records until `count` execs were among them; how many were. */
  read(count: number, sink: RecordSink): number {
    const { bytes, words } = this;
    let execs = 0;
    while (execs < count && this.at < bytes.length) {
      const start = this.at + HEAD;
      const end = start + (words[this.at >>> 2] ?? 0);
      sink(bytes, words, start, end);
      if (words[(start + commonLayout.kind) >>> 2] === recordKinds.exec) execs += 1;
      this.at = end;
    }
    return execs;
  }
}
