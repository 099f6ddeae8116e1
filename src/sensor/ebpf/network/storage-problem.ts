// Whether the kernel keeps a value for a socket, found by having it keep one: that the programs load does not tell.
import type { BpfMap } from "../../../linux/bpf/map.ts";
import { pinned } from "../../../linux/bpf/syscall.ts";
import { closeDescriptor } from "../../../linux/descriptor.ts";
import { SystemCallError } from "../../../linux/libc.ts";
import { socketPair } from "../../../linux/socketpair.ts";

/** Nothing is sent; the kernel makes it its minimum. */
const SEND_BUFFER_BYTES = 1;

/**
 * Why processes to which a rule denies anything are refused everything; undefined if they are not. Any socket can have a
 * value, and the kernel allocates one that this process sets as it does one that a program asks for.
 *
 * Seen on Linux 7.3: bpf_selem_alloc() gets its memory from kmalloc_nolock() (mm/slub.c), which has none on an x86-64
 * processor without cmpxchg16b.
 */
export function storageProblem(storage: Pick<BpfMap, "set" | "spec">): string | undefined {
  const [socket, other] = socketPair(SEND_BUFFER_BYTES);
  try {
    const key = pinned(4);
    new DataView(key.buffer).setInt32(0, socket, true);
    storage.set(key, pinned(storage.spec.valueBytes));
    return undefined;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return `processes to which a rule denies any connection or datagram are refused all of them: the kernel keeps nothing for a socket (${error.message}); on x86-64, recent kernels need a processor with cmpxchg16b for that (cx16 in /proc/cpuinfo)`;
  } finally {
    closeDescriptor(socket);
    closeDescriptor(other);
  }
}
