// Hooks connect4 and connect6: connect(2) of TCP and UDP sockets, in the process that calls it, before anything is sent.
// Hooks sendmsg4 and sendmsg6: a datagram with an address of its own, of a UDP socket that need not be connected.
// The result of a program is 1, or 0 to make the call fail with EPERM.
import {
  addTo,
  aluImm,
  atomicAdd,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jump,
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
import { commonLayout } from "../layout.ts";
import {
  beginSocketRecord,
  copyAddress,
  currentProcess,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  KEY,
  type NetworkMaps,
  normaliseIpv6,
  offer,
  RECORD,
  replaceUnspecified,
  setBits,
  skipFiltered,
  skipUnwatched,
  socketStorage,
  VALUE,
} from "./code.ts";
import { jumpIfDenied } from "./deny.ts";
import type { NetworkKernelLayout } from "./kernel.ts";
import {
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
  protocol: 36,
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

export type IpVersion = 4 | 6;

/** connect(2) to an address of this version. */
export function connectProgram(version: IpVersion) {
  return (kernel: NetworkKernelLayout, maps: NetworkMaps): Code => [
    beginPeer(kernel, "connect", version),
    jumpIfDenied(kernel, maps, "connect", socketLayout.peer, socketLayout.peerPort, "denied"),
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
    jumpIfDenied(kernel, maps, "send", socketLayout.peer, socketLayout.peerPort, "denied"),
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
    [loadMap(r1, maps.sessions), addTo(r2, fp, KEY), callHelper(helpers.mapLookup)],
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
  return copyWords(KEY, SAVED_KEY);
}

function restoreKey(): Code {
  return copyWords(SAVED_KEY, KEY);
}

function copyWords(from: number, to: number): Code {
  return [0, 8, 16, 24, 32].map((at) => [load(8, r1, fp, from + at), store(8, fp, to + at, r1)]);
}

/** Sets r0 to what is kept for the socket, from now on if nothing was; jumps to `missing` without memory for it. */
export function makeStorage(maps: NetworkMaps, missing: string): Code {
  return [
    [storeImm(8, fp, VALUE, 0), storeImm(8, fp, VALUE + 8, 0)],
    socketStorage(maps, load(8, r2, r6, socketAddress.socket), { value: VALUE }),
    jumpIfImm(r0, "==", 0, missing),
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
    version === 4
      ? [
          [load(4, r1, r6, socketAddress.userIp4), store(4, r7, socketLayout.peer, r1)],
          storeImm(1, r7, socketLayout.family, 4),
        ]
      : [
          [0, 4, 8, 12].map((at) => [
            load(4, r1, r6, socketAddress.userIp6 + at),
            store(4, r7, socketLayout.peer + at, r1),
          ]),
          normaliseIpv6(socketLayout.peer, "peer"),
        ],
    replaceUnspecified(socketLayout.peer),
    [load(4, r1, r6, socketAddress.userPort), swap16(r1), store(2, r7, socketLayout.peerPort, r1)],
    // Where the socket is bound, if it is.
    load(8, r2, r6, socketAddress.socket),
    [load(4, r1, r2, bpfSock.sourcePort), store(2, r7, socketLayout.localPort, r1)],
    (version === 4 ? [bpfSock.sourceIp4] : [0, 4, 8, 12].map((at) => bpfSock.sourceIp6 + at)).map(
      (from, i) => [load(4, r1, r2, from), store(4, r7, socketLayout.local + 4 * i, r1)],
    ),
    currentProcess(kernel, "allow"),
  ];
}

/** Writes the socket's cookie to the record. Loses r0 to r5. */
function cookie(): Code {
  return [mov(r1, r6), callHelper(helpers.socketCookie), store(8, r7, socketLayout.socket, r0)];
}

/** Reports the event as denied and makes the call fail. */
function refuse(maps: NetworkMaps): Code {
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
