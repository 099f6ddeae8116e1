// Lines of /proc/PID/net/tcp, tcp6, udp and udp6 (proc_net(5), include/net/tcp_states.h): the sockets of the network
// namespace that a process is in.

/** include/net/tcp_states.h, as far as it is asked for. A UDP socket that is bound and not connected is CLOSE. */
export const socketTableStates = { close: 7, listen: 10 } as const;

export interface TableSocket {
  /** The bytes in network order: 4 of IPv4, 16 of IPv6. */
  readonly address: readonly number[];
  readonly port: number;
  /** Of the other end; zeros while there is none. */
  readonly peerAddress: readonly number[];
  readonly peerPort: number;
  readonly state: number;
  /** Of the socket's file (sockfs), by which a descriptor of a process refers to it. */
  readonly inode: number;
}

/** `  0: 0100007F:1F90 00000000:0000 0A ...`: number, local and remote address, state, 5 more fields, and the inode. */
const pattern =
  /^ *\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{2}) \S+ \S+ \S+ +\d+ +\d+ (\d+)(?: |$)/;

/** The socket of a line; undefined for a heading, and for anything that is not a line of these tables. */
export function parseSocketLine(line: string): TableSocket | undefined {
  const [, address = "", port = "", peerAddress = "", peerPort = "", state = "", inode = ""] =
    pattern.exec(line) ?? [];
  if (address === "") return undefined;
  return {
    address: addressBytes(address),
    port: Number.parseInt(port, 16),
    peerAddress: addressBytes(peerAddress),
    peerPort: Number.parseInt(peerPort, 16),
    state: Number.parseInt(state, 16),
    inode: Number(inode),
  };
}

/** The kernel prints the words of an address (__be32) as numbers, so on a little-endian machine each is turned around. */
function addressBytes(hex: string): readonly number[] {
  const bytes: number[] = [];
  for (let word = 0; word < hex.length; word += 8)
    for (let byte = word + 6; byte >= word; byte -= 2)
      bytes.push(Number.parseInt(hex.slice(byte, byte + 2), 16));
  return bytes;
}

/** The inode of the socket that a link in /proc/PID/fd names, `socket:[4711]`; undefined if it names none. */
export function parseSocketLink(link: string): number | undefined {
  const [, inode] = /^socket:\[(\d+)\]$/.exec(link) ?? [];
  return inode === undefined ? undefined : Number(inode);
}
