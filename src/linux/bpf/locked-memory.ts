// Before Linux 5.11 BPF maps and programs count as locked memory (RLIMIT_MEMLOCK), of which a process may often have
// 64 KiB only, and the refusal is EPERM. Later kernels charge the memory control group instead.
import { bindLibc, checked, EPERM, SystemCallError } from "../libc.ts";
import { VerifierError } from "./program.ts";

const libc = bindLibc({
  getrlimit: { args: ["i32", "ptr"], returns: "i32" },
  setrlimit: { args: ["i32", "ptr"], returns: "i32" },
});

// asm-generic/resource.h
const RLIMIT_MEMLOCK = 8;
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

/**
 * Returns the result of `load`. If the kernel refuses it with EPERM, the limit on locked memory is raised, to unlimited
 * with CAP_SYS_RESOURCE and else to the hard limit, and `load` is called once more. The limit stays raised.
 */
export function withLockedMemory<T>(load: () => T): T {
  try {
    return load();
  } catch (error) {
    const isRefusal = error instanceof SystemCallError || error instanceof VerifierError;
    if (!isRefusal || error.errno !== EPERM || !raiseLockedMemory()) throw error;
  }
  return load();
}

/** Raises the limit as far as this process may; false if it is there already. */
export function raiseLockedMemory(): boolean {
  // struct rlimit: rlim_cur, rlim_max
  const limit = new BigUint64Array(new ArrayBuffer(16));
  checked("getrlimit", libc.getrlimit(RLIMIT_MEMLOCK, limit), "RLIMIT_MEMLOCK");
  const [soft = RLIM_INFINITY, hard = RLIM_INFINITY] = limit;
  if (soft === RLIM_INFINITY) return false;
  limit.fill(RLIM_INFINITY);
  if (libc.setrlimit(RLIMIT_MEMLOCK, limit) === 0) return true;
  limit.fill(hard);
  return soft < hard && libc.setrlimit(RLIMIT_MEMLOCK, limit) === 0;
}
