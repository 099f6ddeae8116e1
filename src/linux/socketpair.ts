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
// linux/socket.h. Lengths below are i32 although C has size_t: in a register it is the same, and no BigInt is made.
const MSG_TRUNC = 0x20;
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

/** Sends the first `length` bytes of `packet` as one packet. The number of bytes sent, or -errno. Never waits. */
export function trySend(fd: number, packet: Uint8Array, length = packet.length): number {
  const sent = libc.send(fd, packet, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno() : sent;
}

/**
 * Receives one packet into `buffer`. Its whole length, which is more than the buffer's if it was cut; 0 for an empty
 * packet or an end that is gone (`isHungUp` of poll.ts tells); or -errno. Never waits.
 */
export function tryReceive(fd: number, buffer: Uint8Array): number {
  const received = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC);
  return received < 0 ? -errno() : received;
}

/** As `trySend`: true if the packet was taken, false if there is no room or nobody at the other end. Throws otherwise. */
export function sendPacket(fd: number, packet: Uint8Array, length = packet.length): boolean {
  for (;;) {
    const sent = trySend(fd, packet, length);
    if (sent >= 0) return true;
    if (sent === -EINTR) continue;
    if (sent === -EAGAIN || sent === -ENOBUFS || sent === -EPIPE || sent === -ECONNRESET) return false;
    throw new SystemCallError("send", -sent);
  }
}

/**
 * As `tryReceive`: the length of what is in `buffer` (what does not fit is cut off); 0 when the other end is gone; -1 if
 * there is nothing now. Throws otherwise.
 */
export function receivePacket(fd: number, buffer: Uint8Array): number {
  for (;;) {
    const got = tryReceive(fd, buffer);
    if (got >= 0) return Math.min(got, buffer.length);
    if (got === -EAGAIN) return -1;
    if (got === -ECONNRESET) return 0;
    if (got !== -EINTR) throw new SystemCallError("recv", -got);
  }
}

function setSendBuffer(fd: number, bytes: number): void {
  const value = Int32Array.of(bytes);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, value, 4) === 0) return;
  const failure = errno();
  if (failure !== EPERM) throw new SystemCallError("setsockopt SO_SNDBUFFORCE", failure);
  checked("setsockopt SO_SNDBUF", libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, 4));
}
