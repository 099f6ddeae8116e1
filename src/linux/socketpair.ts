// socketpair(2) of AF_UNIX, SOCK_SEQPACKET: a connection of two ends that keeps the order and the bounds of packets.
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
// linux/socket.h. Lengths below are i32 although C has size_t: both fit one register, and i32 needs no BigInt.
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
// errno.h: the other end is closed.
const EPIPE = 32;
const ECONNRESET = 104;

/**
 * Creates two connected ends, both close-on-exec. `sendBufferBytes` limits the data that waits at each end; without
 * CAP_NET_ADMIN the kernel allows at most net.core.wmem_max. (The default fits only some hundred packets of 120 bytes,
 * because the overhead of each packet counts.)
 */
export function socketPair(sendBufferBytes: number): readonly [number, number] {
  const ends = new Int32Array(new ArrayBuffer(8));
  checked("socketpair", libc.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
  const [left = -1, right = -1] = ends;
  try {
    for (const end of [left, right]) setSendBuffer(end, sendBufferBytes);
  } catch (problem) {
    closeDescriptor(left);
    closeDescriptor(right);
    throw problem;
  }
  return [left, right];
}

/** Sends the first `length` bytes of `packet` as one packet; returns the bytes sent, or -errno. Never blocks. */
export function trySend(fd: number, packet: Uint8Array, length = packet.length): number {
  const sent = libc.send(fd, packet, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno() : sent;
}

/**
 * Receives one packet into `buffer`. Returns the packet's length, which is larger than the buffer if the packet was
 * truncated; 0 for an empty packet or a closed end (use `isHungUp` of poll.ts to tell them apart); or -errno. Never
 * blocks.
 */
export function tryReceive(fd: number, buffer: Uint8Array): number {
  const received = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC);
  return received < 0 ? -errno() : received;
}

/** As `trySend`: true if the packet was sent, false if the buffer is full or the other end closed. Throws otherwise. */
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
 * As `tryReceive`: returns the number of bytes in `buffer` (longer packets are truncated), 0 if the other end is
 * closed,
 * -1 if no packet waits. Throws otherwise.
 */
export function receivePacket(fd: number, buffer: Uint8Array): number {
  for (;;) {
    const received = tryReceive(fd, buffer);
    if (received >= 0) return Math.min(received, buffer.length);
    if (received === -EAGAIN) return -1;
    if (received === -ECONNRESET) return 0;
    if (received !== -EINTR) throw new SystemCallError("recv", -received);
  }
}

function setSendBuffer(fd: number, bytes: number): void {
  const value = Int32Array.of(bytes);
  if (libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, value, 4) === 0) return;
  const failure = errno();
  if (failure !== EPERM) throw new SystemCallError("setsockopt SO_SNDBUFFORCE", failure);
  checked("setsockopt SO_SNDBUF", libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, value, 4));
}
