// mmap(2) of bpf(2) maps into this process.
import { toArrayBuffer } from "bun:ffi";
import { bindLibc, errno, SystemCallError } from "../libc.ts";
import type { BpfMap } from "./map.ts";

const libc = bindLibc({
  mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "i64" },
  munmap: { args: ["usize", "u64"], returns: "i32" },
  getpagesize: { args: [], returns: "i32" },
});

// sys/mman.h
export const PROT_READ = 1;
export const PROT_WRITE = 2;
const MAP_SHARED = 1;

export function pageSize(): number {
  return libc.getpagesize();
}

/** Maps `length` bytes of `fd` from `offset` on, shared; returns the address. */
export function mapDescriptor(fd: number, length: number, protection: number, offset: number): number {
  const address = Number(libc.mmap(null, length, protection, MAP_SHARED, fd, offset));
  if (address === -1) throw new SystemCallError("mmap", errno(), `fd ${fd}`);
  return address;
}

export function unmap(address: number, length: number): void {
  libc.munmap(address, length);
}

/** The only value of an mmapable array map (at most a page), which BPF programs access concurrently. */
export class SharedPage implements Disposable {
  readonly words: Uint32Array;
  readonly counters: BigUint64Array;
  /** Numbers of user space alone, up to 2^53 without loss, that are written and read whole. */
  readonly numbers: Float64Array;
  private readonly address: number;

  constructor(array: BpfMap) {
    this.address = mapDescriptor(array.fd, pageSize(), PROT_READ | PROT_WRITE, 0);
    const buffer = toArrayBuffer(this.address, 0, array.spec.valueBytes);
    this.words = new Uint32Array(buffer);
    this.counters = new BigUint64Array(buffer);
    this.numbers = new Float64Array(buffer);
  }

  /** Unmaps the memory; the arrays must not be used afterwards. */
  [Symbol.dispose](): void {
    unmap(this.address, pageSize());
  }
}
