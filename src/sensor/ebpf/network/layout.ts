// What the network programs share with user space: records, and the keys and values of their maps. All numbers
// little-endian, ports in host order, addresses in network order (IPv4 in the first four bytes, the rest zero).

/** Records of `connect`, `send` and `listen`. They begin as all records do, see `commonLayout`. */
export const socketLayout = {
  socket: 16, // u64, the socket's cookie
  start: 24, // u64, of the process, ns of CLOCK_BOOTTIME
  uid: 32, // u32, effective
  family: 36, // u8, 4 or 6
  transport: 37, // u8, see `transportNumbers`
  denied: 38, // u8
  unused: 39,
  peerPort: 40, // u16
  localPort: 42, // u16, 0: not bound
  execId: 44, // u32, task_struct.self_exec_id
  peer: 48, // 16 bytes
  local: 64, // 16 bytes, all zero: not bound to an address
  size: 80,
} as const;

/** Records of `close`. The process is the one that opened the connection. */
export const closeLayout = {
  socket: 16, // u64
  opened: 24, // u64, ns of CLOCK_MONOTONIC
  state: 32, // u32, see `socketStates`
  error: 36, // u32, the socket's errno (sk_err)
  transport: 40, // u32, see `transportNumbers`
  size: 48,
} as const;

export const transportNumbers = { tcp: 0, udp: 1 } as const;

/** What is kept for a socket for as long as it lives. */
export const storageLayout = {
  opened: 0, // u64, ns of CLOCK_MONOTONIC of the last connect(2)
  pid: 8, // u32
  state: 12, // u32, see `socketStates`
  restricted: 16, // u32, see `restrictions`; apart from the state, which other threads may change meanwhile
  restrictedPid: 20, // u32, the process for which that was noted last
  words: 6,
} as const;

/** What is kept for a socket by which processes have called that are denied anything. */
export const restrictions = {
  /** Packets with a source route are dropped. */
  ofSocket: 1,
  /** Likewise, and it was reported. */
  reported: 2,
} as const;

/** Bits. */
export const socketStates = {
  /** connect(2) was reported. */
  connecting: 1,
  /** The first packet was sent. */
  sent: 2,
  established: 4,
  /** The end was reported. */
  ended: 8,
  /** bind(2) let the kernel choose the port. */
  randomPort: 16,
  /** UDP sessions of it were reported. */
  sessions: 32,
} as const;

/**
 * A session: an unconnected UDP socket, where it sends datagrams to, and the program of which process does: another one
 * that has the socket, too, is not covered by what the first was allowed.
 */
export const sessionKey = {
  socket: 0, // u64
  address: 8, // 16 bytes
  port: 24, // u16
  family: 26, // u8
  unused: 27,
  pid: 28, // u32
  execId: 32, // u32
  unused2: 36,
  size: 40,
} as const;

export const sessionValue = {
  opened: 0, // u64, ns of CLOCK_MONOTONIC
  last: 8, // u64, ns of CLOCK_MONOTONIC
  count: 16, // u64, datagrams
  pid: 24, // u32
  denied: 28, // u32
  size: 32,
} as const;

/** What a process may not do on the network. The key is the thread group, as a u64. */
export const deniedProcess = {
  startTicks: 0, // u64, by which a reused pid is told from the process before
  /** task_struct.self_exec_id while `set` holds; another program of the process has `afterExec`. */
  execId: 8, // u32
  /** A number below `networkPage.denyEpoch` makes the entry void. */
  epoch: 12, // u32
  /** Number of a set; 0: none. */
  set: 16, // u32
  afterExec: 20, // u32
  size: 24,
} as const;

/** A key of the trie of denied networks: struct bpf_lpm_trie_key (linux/bpf.h). */
export const denyKey = {
  prefixLength: 0, // u32
  set: 4, // u32
  kind: 8, // u8, the position in `networkKinds`
  transport: 9, // u8
  family: 10, // u8
  unused: 11,
  address: 12, // 16 bytes
  size: 28,
} as const;

/** A set with this bit has others, by the effective user: its entries in the trie have the kind `DENY_USERS`. */
export const DENY_BY_USER = 0x4000_0000;
/** In place of a kind. The address is the user's number in network order, the value a set's number in place of ranges. */
export const DENY_USERS = 0xff;
export const DENY_USER_BITS = 32;

/** Bits of a deny key in front of the address. */
export const DENY_HEAD_BITS = 8 * (denyKey.address - denyKey.set);

/** The page that the network programs share with user space. */
export const networkPage = {
  /** Records that found no room. */
  lost: 0, // u64
  /** 1: processes are looked up in the map of denied ones. */
  denies: 8, // u32
  denyEpoch: 12, // u32
  /** For each kind, the transports that are reported: bit 0 TCP, bit 1 UDP; 0: the kind is not watched. */
  transports: 16, // u32[3]
  /** See `listenFlags`. */
  listen: 28, // u32
  /** Inode of the host's network namespace. */
  hostNamespace: 32, // u32
  // What user space leaves for the process after it. The programs do not use it.
  /** Losses that were reported. */
  lostReported: 36, // u32
  /** The highest epoch and the highest number of a set that were used. */
  lastEpoch: 40, // u32
  lastSet: 44, // u32
  /** The highest number of a set of users that was used. */
  lastOfUsers: 48, // u32
  /** 1: the reader was woken because the ring fills up, and has not begun to read since. */
  woken: 52, // u32
  /** ns of CLOCK_MONOTONIC */
  beat: 56, // u64
  /** ns after `beat` from which nothing is denied; 0: never. */
  limit: 64, // u64
  /** Children that did not inherit what their parent is denied, for lack of room. */
  full: 72, // u64
  size: 80,
} as const;

export const listenFlags = { ignoreRandomPorts: 1, hostNamespaceOnly: 2 } as const;
