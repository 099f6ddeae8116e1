// Sends datagrams to a socket of AF_UNIX (unix(7)), as sd_notify(3) does.
import { closeDescriptor } from "./descriptor.ts";
import { bindLibc } from "./libc.ts";

const libc = bindLibc({
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "i32", "i32", "ptr", "u32"], returns: "i32" },
});

// sys/socket.h
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x8_0000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
/** struct sockaddr_un (sys/un.h): u16 family, then the path. */
const FAMILY_BYTES = 2;
const PATH_BYTES = 108;

/** True for an address that `sendDatagram` takes: an absolute path, or `@` and a name in the abstract namespace. */
export function isSocketAddress(address: string): boolean {
  return /^[/@]./s.test(address) && new TextEncoder().encode(address).length < PATH_BYTES;
}

/** Sends one datagram. Returns false if nobody receives it now, or the receiver's queue is full. Never blocks. */
export function sendDatagram(address: string, text: string): boolean {
  if (!isSocketAddress(address)) return false;
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  try {
    const bytes = new TextEncoder().encode(text);
    const name = socketAddress(address);
    return libc.sendto(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL, name, name.length) >= 0;
  } finally {
    closeDescriptor(fd);
  }
}

/** In the abstract namespace the length counts, so there is no zero byte at the end. */
function socketAddress(address: string): Uint8Array {
  const path = new TextEncoder().encode(address);
  const isAbstract = address.startsWith("@");
  if (isAbstract) path[0] = 0;
  const name = new Uint8Array(new ArrayBuffer(FAMILY_BYTES + path.length + (isAbstract ? 0 : 1)));
  new DataView(name.buffer).setUint16(0, AF_UNIX, true);
  name.set(path, FAMILY_BYTES);
  return name;
}
