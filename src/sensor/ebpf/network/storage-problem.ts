// Whether the kernel keeps a value for a socket, found by having it keep one: that the programs load does not tell.
import type { BpfMap } from "../../../linux/bpf/map.ts";
import { pinned } from "../../../linux/bpf/syscall.ts";
import { closeDescriptor } from "../../../linux/descriptor.ts";
import { SystemCallError } from "../../../linux/libc.ts";
import { socketPair } from "../../../linux/socketpair.ts";

/** Nothing is sent; the kernel makes it its minimum. */
const SEND_BUFFER_BYTES = 1;
/** A single one can fail because the kernel's memory is in use by another CPU at that moment. */
const ATTEMPTS = 8;

/**
 * Why processes to which a rule denies anything are refused everything; undefined if they are not. Any socket can have a
 * value, and the kernel allocates one that this process sets as it does one that a program asks for.
 *
 * Seen on Linux 7.3: bpf_selem_alloc() gets its memory from kmalloc_nolock() (mm/slub.c), which has none on an x86-64
 * processor without cmpxchg16b.
 */
export function storageProblem(storage: Pick<BpfMap, "set" | "spec">): string | undefined {
  const failure = failureOf(storage);
  if (failure === undefined) return undefined;
  return `processes to which a rule denies anything are refused all connections and datagrams: the kernel keeps nothing for a socket (${failure.message}); on x86-64, recent kernels need a processor with cmpxchg16b for that (cx16 in /proc/cpuinfo)`;
}

/** How the last of some attempts failed; undefined if one did not, or none could be made. */
function failureOf(storage: Pick<BpfMap, "set" | "spec">): SystemCallError | undefined {
  const ends = withoutFailure(() => socketPair(SEND_BUFFER_BYTES));
  if (ends instanceof SystemCallError) return undefined;
  const [socket] = ends;
  const key = pinned(4);
  new DataView(key.buffer).setInt32(0, socket, true);
  const value = pinned(storage.spec.valueBytes);
  try {
    let failure: SystemCallError | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const result = withoutFailure(() => storage.set(key, value));
      if (!(result instanceof SystemCallError)) return undefined;
      failure = result;
    }
    return failure;
  } finally {
    for (const end of ends) closeDescriptor(end);
  }
}

/** What `call` returns, or the SystemCallError that it throws. */
function withoutFailure<Result>(call: () => Result): Result | SystemCallError {
  try {
    return call();
  } catch (error) {
    if (error instanceof SystemCallError) return error;
    throw error;
  }
}
