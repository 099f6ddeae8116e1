// ioprio_set(2): gives other processes precedence for the disk.
import { bindLibc, checked } from "./libc.ts";
import { systemCall } from "./system-calls.ts";

const libc = bindLibc({ syscall: { args: ["i32", "i32", "i32", "i32"], returns: "i32" } });

// The C library has no wrapper.
const SYS_ioprio_set = systemCall("ioprio_set");
// linux/ioprio.h
const IOPRIO_WHO_PROCESS = 1;
const IOPRIO_CLASS_IDLE = 3;
const IOPRIO_CLASS_SHIFT = 13;

/** Puts the calling thread into the idle class; I/O schedulers without classes ignore it. */
export function setIdleIo(): void {
  const priority = IOPRIO_CLASS_IDLE << IOPRIO_CLASS_SHIFT;
  checked("ioprio_set", libc.syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority));
}
