// Who listens. TCP: a socket that becomes LISTEN (socket-state.ts), which is seen without bind(2), too. UDP: bind(2), in
// the hooks post_bind4 and post_bind6, which know the port that was assigned. They also refuse a bind of either
// transport to a port that the process may not listen on; the port then must be named by the process: a client may bind a
// socket to an address and leave its port to the kernel.
import {
  addTo,
  type Code,
  callHelper,
  exitInstruction,
  fp,
  jump,
  jumpIf,
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
  r9,
  store,
  storeImm,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import {
  beginSocketRecord,
  clearBits,
  currentProcess,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  type NetworkMaps,
  normaliseIpv6,
  offer,
  RECORD,
  readPage,
  setBits,
  skipFiltered,
  skipUnwatched,
  socketStorage,
} from "./code.ts";
import { jumpIfDenied } from "./deny.ts";
import type { NetworkKernelLayout } from "./kernel.ts";
import {
  listenFlags,
  networkPage,
  socketLayout,
  socketStates,
  storageLayout,
  transportNumbers,
} from "./layout.ts";
import { bpfSock, type IpVersion, makeStorage, socketAddress } from "./peer.ts";

// linux/net.h
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

/**
 * Hooks bind4 and bind6: remembers whether the process left the port to the kernel, which post_bind cannot tell. The last
 * call counts, as one before may have failed; a socket that is bound stays as it is.
 */
export function bindProgram(_kernel: NetworkKernelLayout, maps: NetworkMaps): Code {
  return [
    mov(r6, r1),
    load(8, r2, r6, socketAddress.socket),
    [load(4, r1, r2, bpfSock.sourcePort), jumpIfImm(r1, "!=", 0, "end")],
    [load(4, r1, r6, socketAddress.userPort), jumpIfImm(r1, "!=", 0, "port is named")],
    makeStorage(maps, "end"),
    setBits(storageLayout.state, socketStates.randomPort),
    jump("end"),

    labelHere("port is named"),
    socketStorage(maps, load(8, r2, r6, socketAddress.socket)),
    jumpIfImm(r0, "==", 0, "end"),
    clearBits(storageLayout.state, socketStates.randomPort),
    labelHere("end"),
    movImm(r0, 1),
    exitInstruction,
  ];
}

/** Hooks post_bind4 and post_bind6. */
export function postBindProgram(version: IpVersion) {
  return (kernel: NetworkKernelLayout, maps: NetworkMaps): Code => [
    mov(r6, r1),
    addTo(r7, fp, RECORD),
    beginSocketRecord("listen"),
    // Raw sockets bind as well.
    load(4, r1, r6, bpfSock.protocol),
    jumpIfImm(r1, "==", IPPROTO_TCP, "TCP"),
    jumpIfImm(r1, "==", IPPROTO_UDP, "UDP"),
    jumpIfImm(r1, "!=", IPPROTO_UDPLITE, "allow"),
    labelHere("UDP"),
    storeImm(1, r7, socketLayout.transport, transportNumbers.udp),
    [load(4, r1, r6, bpfSock.type), jumpIfImm(r1, "!=", SOCK_DGRAM, "allow")],
    jump("known transport"),
    labelHere("TCP"),
    [load(4, r1, r6, bpfSock.type), jumpIfImm(r1, "!=", SOCK_STREAM, "allow")],
    labelHere("known transport"),
    version === 4
      ? [
          [load(4, r1, r6, bpfSock.sourceIp4), store(4, r7, socketLayout.local, r1)],
          storeImm(1, r7, socketLayout.family, 4),
        ]
      : [
          [0, 4, 8, 12].map((at) => [
            load(4, r1, r6, bpfSock.sourceIp6 + at),
            store(4, r7, socketLayout.local + at, r1),
          ]),
          normaliseIpv6(socketLayout.local, "local"),
        ],
    [load(4, r1, r6, bpfSock.sourcePort), store(2, r7, socketLayout.localPort, r1)],
    currentProcess(kernel, "allow"),
    [mov(r1, r6), callHelper(helpers.socketCookie), store(8, r7, socketLayout.socket, r0)],

    socketStorage(maps, mov(r2, r6)),
    jumpIfImm(r0, "==", 0, "port is named"),
    load(4, r1, r0, storageLayout.state),
    jumpIfImm(r1, "set", socketStates.randomPort, "port is random"),
    labelHere("port is named"),
    jumpIfDenied(kernel, maps, "listen", socketLayout.local, socketLayout.localPort, "denied"),
    jump("judged"),
    labelHere("port is random"),
    readPage(maps, r1, networkPage.listen),
    jumpIfImm(r1, "set", listenFlags.ignoreRandomPorts, "allow"),
    labelHere("judged"),

    // A TCP socket that is bound does not listen yet.
    [load(1, r1, r7, socketLayout.transport), jumpIfImm(r1, "==", transportNumbers.tcp, "allow")],
    skipUnlistened(kernel, maps, "allow"),
    offer(maps, socketLayout.size, "allowed"),
    labelHere("allow"),
    [movImm(r0, 1), exitInstruction],

    labelHere("denied"),
    storeImm(1, r7, socketLayout.denied, 1),
    offer(maps, socketLayout.size, "refused"),
    [movImm(r0, 0), exitInstruction],
  ];
}

/** Jumps to `skip` if the listener of the record at r7, by the task r9, is not reported. Loses r0 to r5. */
export function skipUnlistened(
  { task, nsproxy, net }: NetworkKernelLayout,
  maps: NetworkMaps,
  skip: string,
): Code {
  return [
    skipUnwatched(maps, "listen", skip),
    readPage(maps, r1, networkPage.listen),
    jumpIfImm(r1, "set", listenFlags.hostNamespaceOnly, "compare namespaces"),
    jump("right namespace"),
    labelHere("compare namespaces"),
    [load(8, r1, r9, task.nsproxy), load(8, r1, r1, nsproxy.net), load(4, r1, r1, net.inum)],
    readPage(maps, r2, networkPage.hostNamespace),
    jumpIf(r1, "!=", r2, skip),
    labelHere("right namespace"),
    skipFiltered(maps, "listen", socketLayout.local, socketLayout.localPort, skip),
  ];
}
