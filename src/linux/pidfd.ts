// pidfd_open(2), pidfd_send_signal(2): signals one process, and never another one that has got its pid.
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc, ESRCH, errno, SystemCallError } from "./libc.ts";
import { systemCall } from "./system-calls.ts";

const libc = bindLibc({ syscall: { args: ["i32", "i32", "i32", "ptr", "i32"], returns: "i32" } });

// The C library has wrappers only since glibc 2.36.
const SYS_pidfd_send_signal = systemCall("pidfd_send_signal");
const SYS_pidfd_open = systemCall("pidfd_open");

/**
 * Opens a handle on the process that has `pid` now (close-on-exec; Linux 5.3); null if there is none. The caller must
 * then check that it is the intended process; after that the handle cannot refer to another one. Throws on other
 * errors.
 */
export function pidfdOpen(pid: number): PidDescriptor | null {
  const fd = libc.syscall(SYS_pidfd_open, pid, 0, null, 0);
  if (fd >= 0) return new PidDescriptor(fd);
  const failure = errno();
  if (failure === ESRCH) return null;
  throw new SystemCallError("pidfd_open", failure, String(pid));
}

/** An open handle on one process. Readable (EPOLLIN) once it has ended. */
export class PidDescriptor implements Disposable {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * True if the signal was sent, false if the process has ended. Signal 0 only checks. Throws if it is not permitted.
   */
  signal(signal: number): boolean {
    if (libc.syscall(SYS_pidfd_send_signal, this.fd, signal, null, 0) === 0) return true;
    const failure = errno();
    if (failure === ESRCH) return false;
    throw new SystemCallError("pidfd_send_signal", failure);
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}
