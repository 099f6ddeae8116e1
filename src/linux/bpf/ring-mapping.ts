// A ring buffer map's memory in this process. Its data never becomes an ArrayBuffer: the engine would count it as its
// own and put off collecting garbage by as much (16 MiB of ring cost 95 MB). Headers are read one word at a time,
// committed bytes are copied out by the C library.
import { read, toArrayBuffer } from "bun:ffi";
import { bindLibc, checked } from "../libc.ts";
import type { BpfMap } from "./map.ts";
import { mapDescriptor, PROT_READ, PROT_WRITE, pageSize, unmap } from "./memory.ts";
import type { RingMemory } from "./ring.ts";

const libc = bindLibc({
  memcpy: { args: ["ptr", "usize", "u64"], returns: "ptr" },
  syscall: { args: ["i64", "i64", "i64", "i64"], returns: "i64" },
});

// linux/membarrier.h; asm/unistd.h of arm64
const SYS_membarrier_arm64 = 283;
const MEMBARRIER_CMD_PRIVATE_EXPEDITED = 8;
const MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED = 16;

const weaklyOrdered = process.arch === "arm64";

/** A full memory barrier for this thread, by membarrier(2). Not needed on x86-64: loads stay in order with loads. */
function barrier(): void {
  if (weaklyOrdered) libc.syscall(SYS_membarrier_arm64, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

export class RingMapping implements RingMemory, Disposable {
  readonly size: number;
  private readonly page = pageSize();
  private readonly consumerAddress: number;
  private readonly producerAddress: number;
  private readonly data: number;
  private readonly consumerPosition: BigUint64Array;

  /** Throws a SystemCallError if the kernel does not map it; nothing stays mapped then. */
  constructor(ring: Pick<BpfMap, "fd" | "spec">) {
    this.size = ring.spec.entries;
    if (weaklyOrdered) {
      const registered = libc.syscall(SYS_membarrier_arm64, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
      checked("membarrier", Number(registered));
    }
    this.consumerAddress = mapDescriptor(ring.fd, this.page, PROT_READ | PROT_WRITE, 0);
    // The producer's page, then the data twice in a row; the kernel refuses to have these written to.
    try {
      this.producerAddress = mapDescriptor(ring.fd, this.page + 2 * this.size, PROT_READ, this.page);
    } catch (error) {
      unmap(this.consumerAddress, this.page);
      throw error;
    }
    this.data = this.producerAddress + this.page;
    // Only the word of the position page becomes an ArrayBuffer, never the data.
    this.consumerPosition = new BigUint64Array(toArrayBuffer(this.consumerAddress, 0, 8));
  }

  producer(): number {
    // A plain read of an aligned word and a barrier behind it are an acquire. Atomics.load must not be used: it
    // faults on a page that may only be read (arm64, Bun 1.4.5).
    const position = Number(read.u64(this.producerAddress));
    barrier();
    return position;
  }

  header(position: number): number {
    return read.u32(this.data + (position % this.size));
  }

  acquire(): void {
    barrier();
  }

  copy(target: Uint8Array, position: number, length: number): void {
    libc.memcpy(target, this.data + (position % this.size), length);
  }

  release(position: number): void {
    // Sequentially consistent: a store and a full barrier on x86-64, a store-release on arm64.
    Atomics.store(this.consumerPosition, 0, BigInt(position));
    barrier();
  }

  /** Unmaps the ring; it must not be accessed afterwards. */
  [Symbol.dispose](): void {
    unmap(this.producerAddress, this.page + 2 * this.size);
    unmap(this.consumerAddress, this.page);
  }
}
