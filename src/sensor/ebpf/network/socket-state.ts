// How connections end, and which TCP sockets listen.
import {
  addTo,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jump,
  jumpIfImm,
  labelHere,
  load,
  mov,
  movImm,
  r0,
  r1,
  r2,
  r6,
  r7,
  r8,
  store,
  storeImm,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import { enter, leave } from "../code.ts";
import { commonLayout, recordKinds } from "../layout.ts";
import {
  beginSocketRecord,
  clearRecord,
  currentProcess,
  IPPROTO_TCP,
  type NetworkMaps,
  normaliseIpv6,
  offer,
  RECORD,
  setBits,
  socketStorage,
} from "./code.ts";
import type { NetworkKernelLayout } from "./kernel.ts";
import { closeLayout, socketLayout, socketStates, storageLayout, transportNumbers } from "./layout.ts";
import { skipUnlistened } from "./listen.ts";
import { bpfSock } from "./peer.ts";

// Arguments of the tracepoint.
const SOCK = 0;
const NEW_STATE = 16;

// include/net/tcp_states.h
const TCP_ESTABLISHED = 1;
const TCP_SYN_SENT = 2;
const TCP_CLOSE = 7;
const TCP_LISTEN = 10;

/** linux/socket.h */
const AF_INET6 = 10;

/**
 * tracepoint inet_sock_set_state(sk, old state, new state): runs in whatever process or interrupt causes it; in the
 * process that calls connect(2) and listen(2) only for SYN_SENT and LISTEN.
 */
export function socketStateProgram(kernel: NetworkKernelLayout, maps: NetworkMaps): Code {
  const { sock } = kernel;
  return [
    enter(kernel),
    load(8, r6, r1, SOCK),
    load(4, r8, r1, NEW_STATE),
    [load(2, r1, r6, sock.protocol), jumpIfImm(r1, "!=", IPPROTO_TCP, "end")],
    addTo(r7, fp, RECORD),
    jumpIfImm(r8, "==", TCP_LISTEN, "listen"),
    jumpIfImm(r8, "==", TCP_CLOSE, "watched state"),
    jumpIfImm(r8, "==", TCP_ESTABLISHED, "watched state"),
    jumpIfImm(r8, "!=", TCP_SYN_SENT, "end"),
    labelHere("watched state"),
    socketStorage(maps, mov(r2, r6)),
    jumpIfImm(r0, "==", 0, "end"),
    jumpIfImm(r8, "==", TCP_CLOSE, "closed"),
    jumpIfImm(r8, "==", TCP_ESTABLISHED, "established"),
    setBits(storageLayout.state, socketStates.sent),
    jump("end"),
    labelHere("established"),
    setBits(storageLayout.state, socketStates.established),
    jump("end"),

    labelHere("closed"),
    load(4, r1, r0, storageLayout.state),
    jumpIfImm(r1, "set", socketStates.ended, "end"),
    jumpIfImm(r1, "set", socketStates.sent, "connection ends"),
    jump("end"),
    labelHere("connection ends"),
    closeRecord(),
    [load(8, r1, r6, sock.cookie), store(8, r7, closeLayout.socket, r1)],
    [load(4, r1, r6, sock.error), store(4, r7, closeLayout.error, r1)],
    offer(maps, closeLayout.size, "end of a connection"),
    jump("end"),

    labelHere("listen"),
    listener(kernel, maps),
    labelHere("end"),
    leave(kernel),
  ];
}

/** The record of the socket at r6, which becomes LISTEN. If nobody has bound it, it has no port yet. */
function listener(kernel: NetworkKernelLayout, maps: NetworkMaps): Code {
  const { sock } = kernel;
  const { address6 } = sock;
  return [
    beginSocketRecord("listen"),
    [load(4, r1, r6, sock.address4), store(4, r7, socketLayout.local, r1)],
    storeImm(1, r7, socketLayout.family, 4),
    address6 === undefined
      ? []
      : [
          [load(2, r1, r6, sock.family), jumpIfImm(r1, "!=", AF_INET6, "IPv4")],
          [0, 8].map((at) => [load(8, r1, r6, address6 + at), store(8, r7, socketLayout.local + at, r1)]),
          normaliseIpv6(socketLayout.local, "local"),
          labelHere("IPv4"),
        ],
    [load(2, r1, r6, sock.port), store(2, r7, socketLayout.localPort, r1)],
    [mov(r1, r6), callHelper(helpers.socketCookie), store(8, r7, socketLayout.socket, r0)],
    currentProcess(kernel, "end"),
    skipUnlistened(kernel, maps, "end"),
    offer(maps, socketLayout.size, "listener"),
  ];
}

/**
 * Hook inet_sock_release, in the process that closes a socket for the last time: the end of UDP sockets, and of
 * connections that failed before a packet was sent.
 */
export function socketReleaseProgram(_kernel: NetworkKernelLayout, maps: NetworkMaps): Code {
  return [
    mov(r6, r1),
    addTo(r7, fp, RECORD),
    socketStorage(maps, mov(r2, r6)),
    jumpIfImm(r0, "==", 0, "end"),
    load(4, r1, r0, storageLayout.state),
    jumpIfImm(r1, "set", socketStates.sent | socketStates.ended, "end"),
    jumpIfImm(r1, "set", socketStates.connecting | socketStates.sessions, "report"),
    jump("end"),
    labelHere("report"),
    closeRecord(),
    load(4, r8, r6, bpfSock.protocol),
    jumpIfImm(r8, "==", IPPROTO_TCP, "TCP"),
    storeImm(4, r7, closeLayout.transport, transportNumbers.udp),
    labelHere("TCP"),
    [mov(r1, r6), callHelper(helpers.socketCookie), store(8, r7, closeLayout.socket, r0)],
    offer(maps, closeLayout.size, "end of a socket"),
    labelHere("end"),
    movImm(r0, 1),
    exitInstruction,
  ];
}

/** Begins the record of a close from what is kept for the socket at r0, and marks that as ended. Loses r0 to r5. */
function closeRecord(): Code {
  return [
    clearRecord(0, closeLayout.size),
    storeImm(4, r7, commonLayout.kind, recordKinds.close),
    [load(4, r1, r0, storageLayout.pid), store(4, r7, commonLayout.pid, r1)],
    [load(8, r1, r0, storageLayout.opened), store(8, r7, closeLayout.opened, r1)],
    [load(4, r1, r0, storageLayout.state), store(4, r7, closeLayout.state, r1)],
    setBits(storageLayout.state, socketStates.ended),
    [callHelper(helpers.ktimeGetNs), store(8, r7, commonLayout.time, r0)],
  ];
}
