// One end of a SOCK_SEQPACKET pair: whole packets, never blocking, never a signal.
import { bindLibc, errno } from "./libc.ts";

// Lengths are i32 here although C has size_t: below 2 GiB it is the same in a register, and no BigInt is made.
const libc = bindLibc({
  send: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
});

// <linux/socket.h>
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

/** Sends the first `length` bytes of `packet` as one packet. The number of bytes sent, or the negated errno. */
export function sendPacket(fd: number, packet: Uint8Array, length: number): number {
  const sent = libc.send(fd, packet, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno() : sent;
}

/**
 * Receives one packet into `buffer`. Its whole length, which is more than the buffer's if it was cut; 0 for an empty
 * packet or a peer that is gone (`isHungUp` of poll.ts tells); or the negated errno.
 */
export function receivePacket(fd: number, buffer: Uint8Array): number {
  const received = libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC);
  return received < 0 ? -errno() : received;
}
