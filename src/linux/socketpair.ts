// socketpair(2) of AF_UNIX, SOCK_SEQPACKET: two ends between which whole packets travel, in order, none merged.
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc, checked, EAGAIN, EINTR, ENOBUFS, EPERM, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
});

// sys/socket.h, asm-generic/socket.h
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0x8_0000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_SNDBUFFORCE = 32;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
// errno.h: the other end is gone.
const EPIPE = 32;
const ECONNRESET = 104;

/**
 * Two connected ends, both close-on-exec. `sendBufferBytes` is what each takes before `sendPacket` says no; without
 * CAP_NET_ADMIN the kernel gives at most net.core.wmem_max. (The default holds only some hundred packets of 120
 * bytes, because each is charged with its overhead.)
 */
export function socketPair(sendBufferBytes: number): readonly [number, number] {
  const ends = new Int32Array(new ArrayBuffer(8));
  checked("socketpair", libc.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
  const [one = -1, other = -1] = ends;
  try {
    for (const end of [one, other]) setSendBuffer(end, sendBufferBytes);
  } catch (problem) {
    closeDescriptor(one);
    closeDescriptor(other);
    throw problem;
  }
  return [one, other];
}

/** True if the whole packet was taken, false if there is no room or nobody at the other end. Never waits. */
export function sendPacket(fd: number, packet: Uint8Array, length = packet.length): boolean {
  for (;;) {
    if (libc.send(fd, packet, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    const failure = errno();
    if (failure === EINTR) continue;
    const full = failure === EAGAIN || failure === ENOBUFS;
    if (full || failure === EPIPE || failure === ECONNRESET) return false;
    throw new SystemCallError("send", failure);
  }
}

/**
 * Length of the next packet, put into `buffer` (what does not fit is cut off); 0 when the other end is gone; -1 if
 * there is nothing now. Never waits.
 */
export function receivePacket(fd: number, buffer: Uint8Array): number {
  for (;;) {
    const got = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT);
    if (got >= 0) return got;
    const failure = errno();
    if (failure === EAGAIN) return -1;
    if (failure === ECONNRESET) return 0;
    if (failure !== EINTR) throw new SystemCallError("recv", failure);
  }
}

function setSendBuffer(fd: number, bytes: number): void {
  const value = Int32Array.of(bytes);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, value, 4) === 0) return;
  const failure = errno();
  if (failure !== EPERM) throw new SystemCallError("setsockopt SO_SNDBUFFORCE", failure);
  checked("setsockopt SO_SNDBUF", libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, 4));
}
