// Hooks connect4 and connect6: connect(2) of TCP and UDP sockets, in the process that calls it, before anything is sent.
// Hooks sendmsg4 and sendmsg6: a datagram with an address of its own, of a UDP socket that need not be connected.
// The result of a program is 1, or 0 to make the call fail with EPERM.
import {
  addTo,
  alu,
  aluImm,
  atomicAdd,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jump,
  jump32IfImm,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMap,
  mov,
  movImm,
  r0,
  r1,
  r2,
  r3,
  r4,
  r6,
  r7,
  r8,
  store,
  storeImm,
  swap16,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import { lookUp } from "../code.ts";
import { commonLayout } from "../layout.ts";
import {
  beginSocketRecord,
  copyAddress,
  copyWords,
  currentProcess,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  type IpVersion,
  KEY,
  MAPPED_WORD,
  type NetworkMaps,
  offer,
  RECORD,
  readAddress,
  setBits,
  skipFiltered,
  skipUnwatched,
  socketStorage,
  VALUE,
} from "./code.ts";
import { jumpIfDenied } from "./deny.ts";
import type { NetworkKernelLayout } from "./kernel.ts";
import {
  restrictions,
  sessionKey,
  sessionValue,
  socketLayout,
  socketStates,
  storageLayout,
  transportNumbers,
} from "./layout.ts";

/** struct bpf_sock_addr of include/uapi/linux/bpf.h */
export const socketAddress = {
  userIp4: 4,
  userIp6: 8, // u32[4]
  userPort: 24, // u32, in network order
  type: 32,
  protocol: 36,
  messageSourceIp4: 40, // where a datagram is sent from; for hook sendmsg4 only
  socket: 64, // struct bpf_sock * (5.3)
} as const;

/** struct bpf_sock */
export const bpfSock = {
  type: 8,
  protocol: 12,
  sourceIp4: 24,
  sourceIp6: 28, // u32[4]
  sourcePort: 44, // u32, in host order
} as const;

/** connect(2) to an address of this version. */
export function connectProgram(version: IpVersion) {
  return (kernel: NetworkKernelLayout, maps: NetworkMaps): Code => [
    beginPeer(kernel, "connect", version),
    jumpIfDenied(kernel, maps, "connect", socketLayout.peer, socketLayout.peerPort, "denied", [
      fixPeer(version),
      markRestricted(maps, "denied"),
    ]),
    skipUnwatched(maps, "connect", "allow"),
    skipFiltered(maps, "connect", socketLayout.peer, socketLayout.peerPort, "allow"),
    cookie(),

    // What the end of the connection has to be reported with. Without memory for it, the end is not reported.
    makeStorage(maps, "stored"),
    [load(8, r1, r7, commonLayout.time), store(8, r0, storageLayout.opened, r1)],
    [load(4, r1, r7, commonLayout.pid), store(4, r0, storageLayout.pid, r1)],
    load(4, r1, r0, storageLayout.state),
    aluImm("and", r1, socketStates.randomPort | socketStates.sessions),
    aluImm("or", r1, socketStates.connecting),
    store(4, r0, storageLayout.state, r1),
    labelHere("stored"),
    offer(maps, socketLayout.size, "allowed"),
    finish(),

    labelHere("denied"),
    cookie(),
    refuse(maps),
  ];
}

/** A datagram to an address of this version. */
export function sendProgram(version: IpVersion) {
  return (kernel: NetworkKernelLayout, maps: NetworkMaps): Code => [
    beginPeer(kernel, "send", version),
    cookie(),
    // Whether it is denied, for the session.
    movImm(r8, 0),
    jumpIfDenied(kernel, maps, "send", socketLayout.peer, socketLayout.peerPort, "denied", [
      fixPeer(version),
      markRestricted(maps, "denied"),
    ]),
    jump("judged"),
    labelHere("denied"),
    movImm(r8, 1),
    labelHere("judged"),

    [load(8, r1, r7, socketLayout.socket), store(8, fp, KEY + sessionKey.socket, r1)],
    copyAddress(KEY + sessionKey.address, socketLayout.peer),
    storeImm(8, fp, KEY + sessionKey.port, 0),
    [load(2, r1, r7, socketLayout.peerPort), store(2, fp, KEY + sessionKey.port, r1)],
    [load(1, r1, r7, socketLayout.family), store(1, fp, KEY + sessionKey.family, r1)],
    [load(4, r1, r7, commonLayout.pid), store(4, fp, KEY + sessionKey.pid, r1)],
    [load(4, r1, r7, socketLayout.execId), store(8, fp, KEY + sessionKey.execId, r1)],
    lookUp(maps.sessions, KEY),
    jumpIfImm(r0, "==", 0, "new session"),
    // A session that was refused and no longer is, or the other way round, begins anew.
    [load(4, r1, r0, sessionValue.denied), jumpIf(r1, "!=", r8, "new session")],
    [load(8, r1, r7, commonLayout.time), store(8, r0, sessionValue.last, r1)],
    [movImm(r1, 1), atomicAdd(8, r0, sessionValue.count, r1)],
    jump("verdict"),

    labelHere("new session"),
    jumpIfImm(r8, "!=", 0, "remember"),
    skipUnwatched(maps, "send", "allow"),
    saveKey(),
    skipFiltered(maps, "send", socketLayout.peer, socketLayout.peerPort, "allow"),
    restoreKey(),
    labelHere("remember"),
    [load(8, r1, r7, commonLayout.time), store(8, fp, VALUE + sessionValue.opened, r1)],
    store(8, fp, VALUE + sessionValue.last, r1),
    storeImm(8, fp, VALUE + sessionValue.count, 1),
    [load(4, r1, r7, commonLayout.pid), store(4, fp, VALUE + sessionValue.pid, r1)],
    store(4, fp, VALUE + sessionValue.denied, r8),
    [loadMap(r1, maps.sessions), addTo(r2, fp, KEY), addTo(r3, fp, VALUE), movImm(r4, 0)],
    callHelper(helpers.mapUpdate),
    jumpIfImm(r8, "!=", 0, "refuse"),

    // Its end must be reported with that of the socket.
    makeStorage(maps, "stored"),
    setBits(storageLayout.state, socketStates.sessions),
    labelHere("stored"),
    offer(maps, socketLayout.size, "allowed"),
    finish(),

    labelHere("verdict"),
    jumpIfImm(r8, "==", 0, "allow"),
    [movImm(r0, 0), exitInstruction],
    labelHere("refuse"),
    refuse(maps),
  ];
}

/** Where `sendProgram` keeps the key of the session while the filters use its place. */
const SAVED_KEY = VALUE - sessionKey.size;

function saveKey(): Code {
  return copyStack(KEY, SAVED_KEY);
}

function restoreKey(): Code {
  return copyStack(SAVED_KEY, KEY);
}

function copyStack(from: number, to: number): Code {
  return [0, 8, 16, 24, 32].map((at) => [load(8, r1, fp, from + at), store(8, fp, to + at, r1)]);
}

/** Sets r0 to what is kept for the socket, from now on if nothing was; jumps to `missing` without memory for it. */
export function makeStorage(maps: NetworkMaps, missing: string): Code {
  return [
    Array.from({ length: storageLayout.words / 2 }, (_, i) => storeImm(8, fp, VALUE + 8 * i, 0)),
    socketStorage(maps, load(8, r2, r6, socketAddress.socket), { value: VALUE }),
    jumpIfImm(r0, "==", 0, missing),
  ];
}

/**
 * For the hooks of connect(2) and sendmsg(2): takes note that a process that is denied anything uses the socket. Jumps to
 * `missing` without memory for that. Loses r0 to r5 and the value.
 */
function markRestricted(maps: NetworkMaps, missing: string): Code {
  return [
    makeStorage(maps, missing),
    [load(4, r1, r7, commonLayout.pid), store(4, r0, storageLayout.restrictedPid, r1)],
    [load(4, r1, r0, storageLayout.restricted), jumpIfImm(r1, "!=", 0, "marked")],
    storeImm(4, r0, storageLayout.restricted, restrictions.ofSocket),
    labelHere("marked"),
  ];
}

/** Begins the record: who, and where to. Jumps to `allow` for transports that are not reported. */
function beginPeer(kernel: NetworkKernelLayout, kind: "connect" | "send", version: IpVersion): Code {
  return [
    mov(r6, r1),
    addTo(r7, fp, RECORD),
    beginSocketRecord(kind),
    load(4, r1, r6, socketAddress.protocol),
    jumpIfImm(r1, "==", IPPROTO_TCP, "known transport"),
    storeImm(1, r7, socketLayout.transport, transportNumbers.udp),
    jumpIfImm(r1, "==", IPPROTO_UDP, "known transport"),
    // Ping sockets connect, too.
    jumpIfImm(r1, "!=", IPPROTO_UDPLITE, "allow"),
    labelHere("known transport"),
    readAddress(
      version,
      { ip4: socketAddress.userIp4, ip6: socketAddress.userIp6 },
      socketLayout.peer,
      "peer",
    ),
    [load(4, r1, r6, socketAddress.userPort), swap16(r1), store(2, r7, socketLayout.peerPort, r1)],
    // A datagram of a connected socket, which has control data and no address. Its peer was judged at connect(2).
    kind === "send" ? jumpIfImm(r1, "==", 0, "allow") : [],
    // Where the socket is bound, if it is.
    load(8, r2, r6, socketAddress.socket),
    [load(4, r1, r2, bpfSock.sourcePort), store(2, r7, socketLayout.localPort, r1)],
    copyWords(version, r2, version === 4 ? bpfSock.sourceIp4 : bpfSock.sourceIp6, socketLayout.local),
    replaceUnspecified(kind, version),
    currentProcess(kernel, "allow"),
  ];
}

/**
 * Replaces the unspecified peer, which is this host, by the address that the kernel takes: of IPv4 the one that the socket is
 * bound to, or a datagram is sent from; otherwise that of loopback, of IPv4 where an IPv6 socket is bound to an IPv4
 * address. Loses r1 and r2.
 */
function replaceUnspecified(kind: "connect" | "send", version: IpVersion): Code {
  const { peer, local, family } = socketLayout;
  const source = kind === "send" ? load(4, r1, r6, socketAddress.messageSourceIp4) : load(4, r1, r7, local);
  return [
    [load(8, r1, r7, peer), load(8, r2, r7, peer + 8), alu("or", r1, r2)],
    jumpIfImm(r1, "!=", 0, "specified"),
    version === 4
      ? source
      : [
          // Of the socket's own address, the third word is in r2.
          [load(4, r2, r7, local + 8), load(1, r1, r7, family), jumpIfImm(r1, "==", 4, "mapped")],
          [load(8, r1, r7, local), jumpIfImm(r1, "!=", 0, "loopback of IPv6")],
          jump32IfImm(r2, "==", MAPPED_WORD, "loopback of IPv4"),
          labelHere("loopback of IPv6"),
          [storeImm(1, r7, peer + 15, 1), jump("specified")],
          labelHere("mapped"),
          jump32IfImm(r2, "!=", MAPPED_WORD, "loopback of IPv4"),
          load(4, r1, r7, local + 12),
        ],
    [jumpIfImm(r1, "==", 0, "loopback of IPv4"), store(4, r7, peer, r1), jump("specified")],
    labelHere("loopback of IPv4"),
    [storeImm(1, r7, peer, 127), storeImm(1, r7, peer + 3, 1), storeImm(1, r7, family, 4)],
    labelHere("specified"),
  ];
}

/**
 * Has the call go to the address that was judged, where it named the unspecified one: the kernel would take another that the
 * program does not know, as that of the device to which the socket is bound, or the one that another thread binds it to
 * meanwhile. Loses r1.
 */
function fixPeer(version: IpVersion): Code {
  const { peer, family } = socketLayout;
  const { userIp4, userIp6 } = socketAddress;
  if (version === 4)
    return [
      [load(4, r1, r6, userIp4), jumpIfImm(r1, "!=", 0, "fixed")],
      [load(4, r1, r7, peer), store(4, r6, userIp4, r1)],
      labelHere("fixed"),
    ];
  return [
    [0, 4, 12].map((at) => [load(4, r1, r6, userIp6 + at), jumpIfImm(r1, "!=", 0, "fixed")]),
    [load(4, r1, r6, userIp6 + 8), jumpIfImm(r1, "==", 0, "unspecified")],
    jump32IfImm(r1, "!=", MAPPED_WORD, "fixed"),
    labelHere("unspecified"),
    [load(1, r1, r7, family), jumpIfImm(r1, "==", 4, "fix mapped")],
    [0, 4, 8, 12].map((at) => [load(4, r1, r7, peer + at), store(4, r6, userIp6 + at, r1)]),
    jump("fixed"),
    labelHere("fix mapped"),
    [movImm(r1, MAPPED_WORD), store(4, r6, userIp6 + 8, r1)],
    [load(4, r1, r7, peer), store(4, r6, userIp6 + 12, r1)],
    labelHere("fixed"),
  ];
}

/** Writes the cookie of the socket, whose address r6 is about, to the record. Loses r0 to r5. */
export function cookie(): Code {
  return [mov(r1, r6), callHelper(helpers.socketCookie), store(8, r7, socketLayout.socket, r0)];
}

/** Reports the event as denied and makes the call fail. */
export function refuse(maps: NetworkMaps): Code {
  return [
    storeImm(1, r7, socketLayout.denied, 1),
    offer(maps, socketLayout.size, "refused"),
    [movImm(r0, 0), exitInstruction],
  ];
}

/** Ends the program of a call that is allowed. */
function finish(): Code {
  return [labelHere("allow"), movImm(r0, 1), exitInstruction];
}
