// acct(2): process accounting of this pid namespace into a file.
import { bindLibc, checked } from "../../src/linux/libc.ts";
import { encodeText } from "../../src/linux/text.ts";

const libc = bindLibc({ acct: { args: ["ptr"], returns: "i32" } });

/**
 * From now on the kernel appends a record to the regular file at `path`, which must be there, for every process that
 * ends. Takes over from any file before. CAP_SYS_PACCT.
 */
export function accountingOn(path: string): void {
  const bytes = encodeText(path);
  const terminated = new Uint8Array(new ArrayBuffer(bytes.length + 1));
  terminated.set(bytes);
  checked("acct", libc.acct(terminated), path);
}

/** The kernel stops accounting. Throws EPERM for others than root. */
export function accountingOff(): void {
  checked("acct", libc.acct(null));
}
