// setrlimit(2): limits of this process and of those that it starts.
import { bindLibc, checked } from "./libc.ts";

const libc = bindLibc({
  getrlimit: { args: ["i32", "ptr"], returns: "i32" },
  setrlimit: { args: ["i32", "ptr"], returns: "i32" },
});

// asm-generic/resource.h; bytes
const limits = { core: 4, data: 2 } as const;

/** `core`: the size of a core dump. `data`: memory that can be written and is not shared, used or only reserved. */
export type ResourceLimit = keyof typeof limits;

/** Sets the soft and the hard limit to `bytes`, or to the hard limit if that is lower. It cannot be raised again. */
export function lowerLimit(limit: ResourceLimit, bytes: bigint): void {
  // struct rlimit: rlim_cur, rlim_max
  const values = new BigUint64Array(new ArrayBuffer(16));
  checked("getrlimit", libc.getrlimit(limits[limit], values), limit);
  const [, hard = bytes] = values;
  values.fill(bytes < hard ? bytes : hard);
  checked("setrlimit", libc.setrlimit(limits[limit], values), limit);
}
