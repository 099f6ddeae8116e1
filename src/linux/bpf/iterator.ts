// Programs that the kernel runs once for each of its objects when their iterator is read (Documentation/bpf/bpf_iterators.rst).
import { closeDescriptor, readDescriptor } from "../descriptor.ts";
import { attachTypeOf, BpfProgram } from "./program.ts";
import { attribute, mustCallBpf } from "./syscall.ts";

/** The kernel gathers at most 8 pages of output for one read (kernel/bpf/bpf_iter.c, bpf_seq_read): of 4 KiB, mostly. */
const CHUNK_BYTES = 32_768;

/** A program of an iterator, which is run by `read` alone. */
export class BpfIterator implements Disposable {
  readonly program: BpfProgram;
  private readonly link: number;
  private readonly chunk = new Uint8Array(CHUNK_BYTES);

  /** `type`: BTF id of the iterator's function. Throws a VerifierError or SystemCallError if the kernel refuses it. */
  constructor(name: string, instructions: Uint8Array, type: number) {
    using stack = new DisposableStack();
    this.program = stack.use(new BpfProgram(name, instructions, { iterator: type }));
    attribute.clear();
    attribute.u32(0, this.program.fd);
    attribute.u32(8, attachTypeOf("iterator"));
    this.link = mustCallBpf("LINK_CREATE", name);
    stack.move();
  }

  /** Runs the program for each object, and calls `each` with what it wrote, a record of `bytes` at a time. */
  read(bytes: number, each: (record: DataView) => void): void {
    attribute.clear();
    attribute.u32(0, this.link);
    const fd = mustCallBpf("ITER_CREATE", this.program.name);
    try {
      // A read may end within a record.
      let rest = 0;
      for (;;) {
        const length = readDescriptor(fd, this.chunk.subarray(rest));
        if (length === 0) return;
        // The kernel lets others run after a million objects (MAX_ITER_OBJECTS).
        if (length < 0) continue;
        const end = rest + length;
        let at = 0;
        for (; at + bytes <= end; at += bytes) each(new DataView(this.chunk.buffer, at, bytes));
        this.chunk.copyWithin(0, at, end);
        rest = end - at;
      }
    } finally {
      closeDescriptor(fd);
    }
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.link);
    this.program[Symbol.dispose]();
  }
}
