// signalfd(2): reads signals from a descriptor. They must be blocked before the runtime starts its threads, that is by
// the parent before it spawns this process, or before an execve of the own executable. A mask that is set later does
// not apply to the other threads, and a signal that is delivered to one of them kills the process.
import { constants } from "node:os";
import { closeDescriptor, readDescriptor } from "./descriptor.ts";
import { bindLibc, checked, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({
  pthread_sigmask: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  signal: { args: ["i32", "u64"], returns: "i64" },
  signalfd: { args: ["i32", "ptr", "i32"], returns: "i32" },
});

export type SignalName = keyof typeof constants.signals;

// signal.h: sigset_t is 1024 bits; bit N-1 is signal N.
const SIGSET_BYTES = 128;
const SIG_BLOCK = 0;
const SIG_IGN = 1;
const SIG_ERR = -1;
// sys/signalfd.h
const SFD_NONBLOCK = 0x800;
const SFD_CLOEXEC = 0x8_0000;
// struct signalfd_siginfo: u32 ssi_signo first, 128 bytes in all; ssi_pid at 12, ssi_status at 40.
const SIGINFO_BYTES = 128;

/**
 * Blocks `signals` in the calling thread; children and an execve inherit the mask. Must not be called with SIGPWR or
 * signal 33, which the runtime uses.
 */
export function blockSignals(signals: readonly SignalName[]): void {
  // pthread_sigmask returns the error and does not set errno.
  const failure = libc.pthread_sigmask(SIG_BLOCK, signalSet(signals), null);
  if (failure !== 0) throw new SystemCallError("pthread_sigmask", failure);
}

/**
 * Ignores `signals` in the whole process. For a process that waits in the runtime's event loop: that waits with an empty
 * mask (epoll_pwait), so that also a blocked signal would end it. Programs that Bun.spawn starts do not inherit it.
 */
export function ignoreSignals(signals: readonly SignalName[]): void {
  for (const name of signals) {
    const before = Number(libc.signal(constants.signals[name], SIG_IGN));
    if (before === SIG_ERR) throw new SystemCallError("signal", errno());
  }
}

/** Reads blocked signals; `fd` is readable when one is pending. */
export class SignalDescriptor implements Disposable {
  readonly fd: number;
  private readonly info = new Uint8Array(new ArrayBuffer(SIGINFO_BYTES));
  private readonly view = new DataView(this.info.buffer);

  constructor(signals: readonly SignalName[]) {
    this.fd = checked("signalfd", libc.signalfd(-1, signalSet(signals), SFD_NONBLOCK | SFD_CLOEXEC));
  }

  /** Number of the next pending signal (os.constants.signals), 0 if there is none. */
  read(): number {
    return readDescriptor(this.fd, this.info) === SIGINFO_BYTES ? this.view.getUint32(0, true) : 0;
  }

  /** Pid of the process that sent the signal last read; for SIGCHLD the child. 0 if the kernel sent it. */
  get sender(): number {
    return this.view.getUint32(12, true);
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}

function signalSet(signals: readonly SignalName[]): Uint8Array {
  const set = new Uint8Array(new ArrayBuffer(SIGSET_BYTES));
  for (const name of signals) {
    const bit = constants.signals[name] - 1;
    set[bit >> 3] = (set[bit >> 3] ?? 0) | (1 << (bit & 7));
  }
  return set;
}
