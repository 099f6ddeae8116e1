// Netlink sockets (netlink(7)) and the socket options (socket(7)) that a source of kernel events needs.
import { ptr } from "bun:ffi";
import { encodeFilter, type FilterInstruction } from "./classic-bpf.ts";
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc, checked, EINTR, EPERM, errno, SystemCallError } from "./libc.ts";

const libc = bindLibc({
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "i32"], returns: "i32" },
  send: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  recvmmsg: { args: ["i32", "ptr", "i32", "i32", "ptr"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "i32"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
});

// sys/socket.h, linux/netlink.h
const AF_NETLINK = 16;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x8_0000;
const MSG_DONTWAIT = 0x40;
const MSG_WAITFORONE = 0x1_0000;
const SOL_NETLINK = 270;
const NETLINK_NO_ENOBUFS = 5;
// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SO_MEMINFO = 55;
/** linux/sock_diag.h: u32 numbers that SO_MEMINFO gives, and the one that counts drops. */
const SK_MEMINFO_VARS = 9;
const SK_MEMINFO_DROPS = 8;
/** struct sockaddr_nl of linux/netlink.h: u16 family, u16 0, u32 pid, u32 groups. */
const SOCKADDR_NL = 12;

/** A netlink socket that listens to multicast groups. */
export class NetlinkSocket implements Disposable {
  readonly fd: number;
  private seenDrops = 0;

  constructor(protocol: number) {
    this.fd = checked("socket AF_NETLINK", libc.socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, protocol));
  }

  /** Joins multicast groups (a bit each); the kernel chooses the port. */
  bind(groups: number): void {
    const address = new Uint8Array(new ArrayBuffer(SOCKADDR_NL));
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(8, groups, true);
    checked("bind AF_NETLINK", libc.bind(this.fd, address, SOCKADDR_NL));
  }

  /** Sends to the kernel. */
  send(message: Uint8Array): void {
    checked("send AF_NETLINK", libc.send(this.fd, message, message.length, MSG_DONTWAIT));
  }

  /** Sets the receive buffer to `bytes`; without CAP_NET_ADMIN the system's limit applies. */
  reserve(bytes: number): void {
    const value = Int32Array.of(bytes);
    if (libc.setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, value, 4) === 0) return;
    if (errno() !== EPERM) throw new SystemCallError("setsockopt SO_RCVBUFFORCE", errno());
    checked("setsockopt SO_RCVBUF", libc.setsockopt(this.fd, SOL_SOCKET, SO_RCVBUF, value, 4));
  }

  /**
   * How long `ReceiveBatch.wait` waits, in milliseconds below 1,000; the kernel counts in its own ticks of 1 to 10 ms.
   */
  waitUpTo(ms: number): void {
    // struct timeval: seconds, microseconds.
    const time = BigInt64Array.of(0n, BigInt(ms * 1000));
    checked("setsockopt SO_RCVTIMEO", libc.setsockopt(this.fd, SOL_SOCKET, SO_RCVTIMEO, time, 16));
  }

  /** Messages that do not fit into the queue are dropped without ENOBUFS. */
  ignoreOverrun(): void {
    const on = Int32Array.of(1);
    checked(
      "setsockopt NETLINK_NO_ENOBUFS",
      libc.setsockopt(this.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, on, 4),
    );
  }

  /** Makes the kernel drop messages for which `program` returns 0, before they are queued. */
  filter(program: readonly FilterInstruction[]): void {
    const { header, instructions } = encodeFilter(program);
    const result = libc.setsockopt(this.fd, SOL_SOCKET, SO_ATTACH_FILTER, header, header.length);
    // Using the instructions after the call keeps the garbage collector from freeing them before.
    checked("setsockopt SO_ATTACH_FILTER", result, `${instructions.length / 8} instructions`);
  }

  /** Number of messages dropped because the queue was full, since the last call or since the socket was created. */
  drops(): number {
    const info = new Uint32Array(new ArrayBuffer(SK_MEMINFO_VARS * 4));
    const length = Int32Array.of(SK_MEMINFO_VARS * 4);
    checked("getsockopt SO_MEMINFO", libc.getsockopt(this.fd, SOL_SOCKET, SO_MEMINFO, info, length));
    const total = info[SK_MEMINFO_DROPS] ?? 0;
    const since = (total - this.seenDrops) >>> 0;
    this.seenDrops = total;
    return since;
  }

  [Symbol.dispose](): void {
    closeDescriptor(this.fd);
  }
}

// struct mmsghdr (sys/socket.h) on 64-bit: msg_name 0, msg_namelen 8, msg_iov 16, msg_iovlen 24, msg_control 32,
// msg_controllen 40, msg_flags 48; msg_len 56; 64 bytes. struct iovec: base 0, length 8.
const MMSGHDR = 64;
const IOVEC = 16;
const NAME = 16;

/** Buffers for several messages of one system call. */
export class ReceiveBatch {
  /** Message `i` begins at `i * stride`. */
  readonly view: DataView;
  readonly stride: number;
  readonly capacity: number;
  private readonly data: Uint8Array;
  private readonly headers: Uint8Array;
  private readonly headersView: DataView;
  private readonly names: Uint8Array;
  private readonly namesView: DataView;
  private readonly vectors: Uint8Array;

  /** `stride`: bytes of the longest message; longer ones are cut. */
  constructor(capacity: number, stride: number) {
    this.capacity = capacity;
    this.stride = stride;
    this.data = new Uint8Array(new ArrayBuffer(capacity * stride));
    this.view = new DataView(this.data.buffer);
    this.headers = new Uint8Array(new ArrayBuffer(capacity * MMSGHDR));
    this.headersView = new DataView(this.headers.buffer);
    this.names = new Uint8Array(new ArrayBuffer(capacity * NAME));
    this.namesView = new DataView(this.names.buffer);
    this.vectors = new Uint8Array(new ArrayBuffer(capacity * IOVEC));
    const vectors = new DataView(this.vectors.buffer);
    for (let i = 0; i < capacity; i += 1) {
      vectors.setBigUint64(i * IOVEC, BigInt(ptr(this.data) + i * stride), true);
      vectors.setBigUint64(i * IOVEC + 8, BigInt(stride), true);
      this.headersView.setBigUint64(i * MMSGHDR, BigInt(ptr(this.names) + i * NAME), true);
      this.headersView.setUint32(i * MMSGHDR + 8, SOCKADDR_NL, true);
      this.headersView.setBigUint64(i * MMSGHDR + 16, BigInt(ptr(this.vectors) + i * IOVEC), true);
      this.headersView.setBigUint64(i * MMSGHDR + 24, 1n, true);
    }
  }

  /** Receives queued messages without blocking; returns their number, or -errno (-EAGAIN if there are none). */
  receive(socket: NetlinkSocket): number {
    return this.take(socket, MSG_DONTWAIT);
  }

  /** As `receive`, but waits for the first message up to the time set by `socket.waitUpTo`. */
  wait(socket: NetlinkSocket): number {
    return this.take(socket, MSG_WAITFORONE);
  }

  length(i: number): number {
    return this.headersView.getUint32(i * MMSGHDR + 56, true);
  }

  /** Port of the sender of message `i`: 0 is the kernel. */
  sender(i: number): number {
    return this.namesView.getUint32(i * NAME + 4, true);
  }

  private take(socket: NetlinkSocket, flags: number): number {
    for (;;) {
      const got = libc.recvmmsg(socket.fd, this.headers, this.capacity, flags, null);
      if (got >= 0) return got;
      const failure = errno();
      if (failure !== EINTR) return -failure;
    }
  }
}
