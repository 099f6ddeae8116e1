// pidfd_open(2), pidfd_send_signal(2), waitid(2): signals one process or learns its end, and never that of another one
// that has got its pid.
import { constants } from "node:os";
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc, ESRCH, errno, SystemCallError } from "./libc.ts";
import { systemCall } from "./system-calls.ts";

const libc = bindLibc({
  syscall: { args: ["i32", "i32", "i32", "ptr", "i32"], returns: "i32" },
  waitid: { args: ["i32", "i32", "ptr", "i32"], returns: "i32" },
});

// The C library has wrappers only since glibc 2.36.
const SYS_pidfd_send_signal = systemCall("pidfd_send_signal");
const SYS_pidfd_open = systemCall("pidfd_open");

// linux/wait.h (P_PIDFD since Linux 5.4), asm-generic/siginfo.h
const P_PIDFD = 3;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x0100_0000;
const CLD_EXITED = 1;
const SIGINFO_BYTES = 128;
const SI_CODE = 8;
const SI_PID = 16;
const SI_STATUS = 24;

/** How a process ended: by itself with an exit code, or by a signal. The other one is null. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
}

const signalNames = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]));

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

  /**
   * How a child of this process has ended; undefined if it has not, or is no child. It remains a zombie until the runtime,
   * which holds a descriptor of it too, has a turn of its event loop.
   */
  get end(): ProcessEnd | undefined {
    const info = new DataView(new ArrayBuffer(SIGINFO_BYTES));
    if (libc.waitid(P_PIDFD, this.fd, new Uint8Array(info.buffer), WEXITED | WNOHANG | WNOWAIT) !== 0)
      return undefined;
    if (info.getInt32(SI_PID, true) === 0) return undefined;
    const status = info.getInt32(SI_STATUS, true);
    return info.getInt32(SI_CODE, true) === CLD_EXITED
      ? { exitCode: status, signal: null }
      : { exitCode: null, signal: signalNames.get(status) ?? `signal ${status}` };
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}
