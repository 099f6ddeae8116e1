// A capture that is being written: blocks with a checksum, one after the other, nothing ever changed behind.
import type { ProcessEvent, ScannedProcess } from "../event.ts";
import { ByteSink } from "./bytes.ts";
import { CaptureEncoder } from "./encode.ts";
import { BLOCK_BYTES, BLOCK_HEAD, block, type CaptureHeader, MAGIC, VERSION } from "./format.ts";

export class CaptureWriter {
  /** Bytes handed to `out`. */
  bytes = 0;
  private readonly out: (bytes: Uint8Array) => void;
  private readonly encoder: CaptureEncoder;
  private readonly head = new DataView(new ArrayBuffer(BLOCK_HEAD));

  /** `out` takes bytes whole or throws. `userName`: of the host's users, told once for each that is met. */
  constructor(
    out: (bytes: Uint8Array) => void,
    header: CaptureHeader,
    userName: (uid: number) => string | undefined,
  ) {
    this.out = out;
    this.encoder = new CaptureEncoder(header.wall_offset_ns, userName);
    const start = new ByteSink();
    start.raw(MAGIC);
    start.byte(VERSION);
    this.put(start.written());
    const payload = new ByteSink();
    payload.byte(block.header);
    payload.raw(new TextEncoder().encode(JSON.stringify(header)));
    this.block(payload.written());
  }

  get events(): number {
    return this.encoder.events;
  }

  /** Something is not written yet. */
  get pending(): boolean {
    return this.encoder.waiting > 0;
  }

  /** CLOCK_REALTIME - CLOCK_MONOTONIC, ns, of the events that follow. */
  clock(wallOffset: number): void {
    this.encoder.clock(wallOffset);
  }

  event(event: ProcessEvent): void {
    this.encoder.event(event);
    this.flushFull();
  }

  /** A look at all of /proc that began at `time` (ns, CLOCK_MONOTONIC). */
  scan(processes: readonly ScannedProcess[], time: number): void {
    for (const one of processes) {
      this.encoder.process(one);
      this.flushFull();
    }
    this.encoder.scanned(time);
  }

  /** Writes what is pending: a capture that is cut after it has all of it. */
  flush(): void {
    if (this.pending) this.block(this.encoder.take());
  }

  /** The last block: what was captured is whole. */
  finish(): void {
    this.flush();
    const payload = new ByteSink();
    payload.byte(block.end);
    payload.unsigned(this.events);
    this.block(payload.written());
  }

  private flushFull(): void {
    if (this.encoder.waiting >= BLOCK_BYTES) this.flush();
  }

  private block(payload: Uint8Array): void {
    this.head.setUint32(0, payload.length, true);
    this.head.setUint32(4, Bun.hash.crc32(payload), true);
    this.put(new Uint8Array(this.head.buffer));
    this.put(payload);
  }

  private put(bytes: Uint8Array): void {
    this.out(bytes);
    this.bytes += bytes.length;
  }
}
