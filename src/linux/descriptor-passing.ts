// Passes open descriptors to another process over a socket: SCM_RIGHTS messages of unix(7), by sendmsg(2), recvmsg(2).
import { ptr } from "bun:ffi";
import { bindLibc, EAGAIN, EINTR, ENOBUFS, EPIPE, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({
  sendmsg: { args: ["i32", "ptr", "i32"], returns: "i32" },
  recvmsg: { args: ["i32", "ptr", "i32"], returns: "i32" },
});

// sys/socket.h, linux/socket.h
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
// errno.h. ETOOMANYREFS: too many descriptors of this user are in messages that nobody has received.
const ECONNRESET = 104;
const ETOOMANYREFS = 109;

/** The most descriptors of one message: all that an eBPF sensor has, twice. The kernel allows 253 (SCM_MAX_FD). */
export const MOST_PASSED = 128;

// struct msghdr (sys/socket.h) on 64-bit: msg_name 0, msg_namelen 8, msg_iov 16, msg_iovlen 24, msg_control 32,
// msg_controllen 40, msg_flags 48; 56 bytes. struct iovec: base 0, length 8. struct cmsghdr: length 0, level 8, type 12,
// then the data.
const MSGHDR = 56;
const IOVEC = 16;
const CMSGHDR = 16;
const INT = 4;

/** A message of `packet` with room for `count` descriptors. Its buffers must stay in use until the call has returned. */
function newMessage(packet: Uint8Array, count: number) {
  const control = new Uint8Array(new ArrayBuffer(CMSGHDR + Math.ceil((count * INT) / 8) * 8));
  const vector = new BigUint64Array(new ArrayBuffer(IOVEC));
  const header = new Uint8Array(new ArrayBuffer(MSGHDR));
  const headerView = new DataView(header.buffer);
  vector[0] = BigInt(ptr(packet));
  vector[1] = BigInt(packet.length);
  headerView.setBigUint64(16, BigInt(ptr(vector)), true);
  headerView.setBigUint64(24, 1n, true);
  headerView.setBigUint64(32, BigInt(ptr(control)), true);
  headerView.setBigUint64(40, BigInt(control.length), true);
  return { header, headerView, vector, control, controlView: new DataView(control.buffer) };
}

/**
 * Sends `bytes` as one packet with copies of `descriptors`, which stay open here. False if the socket is full or its
 * other end closed. Never blocks; throws on other errors.
 */
export function sendDescriptors(fd: number, bytes: Uint8Array, descriptors: readonly number[]): boolean {
  if (descriptors.length > MOST_PASSED) throw new RangeError(`${descriptors.length} descriptors at once`);
  // A buffer of its own: the address of a view may change.
  const packet = new Uint8Array(new ArrayBuffer(bytes.length));
  packet.set(bytes);
  const { header, vector, control, controlView } = newMessage(packet, descriptors.length);
  controlView.setBigUint64(0, BigInt(CMSGHDR + descriptors.length * INT), true);
  controlView.setInt32(8, SOL_SOCKET, true);
  controlView.setInt32(12, SCM_RIGHTS, true);
  for (const [i, each] of descriptors.entries()) controlView.setInt32(CMSGHDR + i * INT, each, true);
  for (;;) {
    const sent = libc.sendmsg(fd, header, MSG_DONTWAIT | MSG_NOSIGNAL);
    const failure = sent < 0 ? errno() : 0;
    if (sent >= 0) return true;
    if (failure === EINTR) continue;
    if ([EAGAIN, ENOBUFS, EPIPE, ECONNRESET, ETOOMANYREFS].includes(failure)) return false;
    // Using the buffers after the call keeps the garbage collector from freeing them before it.
    const size = packet.length + control.length + vector.length;
    throw new SystemCallError("sendmsg", failure, `of ${size} bytes`);
  }
}

export interface ReceivedMessage {
  /** The number of bytes in the buffer; 0 if the other end is closed, -1 if no packet waits. */
  readonly length: number;
  /** The descriptors that came with the packet. They are close-on-exec and belong to the caller. */
  readonly descriptors: readonly number[];
}

/**
 * Receives one packet into `buffer`, which must own its memory (`new Uint8Array(new ArrayBuffer(n))`). Longer packets
 * are truncated, and descriptors beyond MOST_PASSED are closed by the kernel. Never blocks; throws on other errors.
 */
export function receiveDescriptors(fd: number, buffer: Uint8Array): ReceivedMessage {
  const { header, headerView, vector, control, controlView } = newMessage(buffer, MOST_PASSED);
  for (;;) {
    const length = libc.recvmsg(fd, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    const failure = length < 0 ? errno() : 0;
    if (failure === EINTR) continue;
    if (failure === EAGAIN) return { length: -1, descriptors: [] };
    if (failure === ECONNRESET) return { length: 0, descriptors: [] };
    if (failure !== 0) throw new SystemCallError("recvmsg", failure, `of ${vector.length + control.length}`);
    return { length, descriptors: passedIn(controlView, Number(headerView.getBigUint64(40, true))) };
  }
}

/** The descriptors in the first `length` bytes of a control buffer; there is at most one message in it. */
function passedIn(control: DataView, length: number): readonly number[] {
  if (length < CMSGHDR) return [];
  const isRights = control.getInt32(8, true) === SOL_SOCKET && control.getInt32(12, true) === SCM_RIGHTS;
  const end = isRights ? Math.min(length, Number(control.getBigUint64(0, true))) : 0;
  const found: number[] = [];
  for (let i = CMSGHDR; i + INT <= end; i += INT) found.push(control.getInt32(i, true));
  return found;
}
