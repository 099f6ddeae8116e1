// Who listens. TCP: a socket that becomes LISTEN (socket-state.ts), which is seen without bind(2), too. UDP: bind(2), in
// the hooks post_bind4 and post_bind6, which know the port that was assigned. The hooks bind4 and bind6 refuse a bind of
// either transport to a port that the process may not listen on; the port then must be named by the process: a client may
// bind a socket to an address and leave its port to the kernel.
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
  swap16,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import {
  beginSocketRecord,
  clearBits,
  currentProcess,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
  type IpVersion,
  type NetworkMaps,
  offer,
  RECORD,
  readAddress,
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
import { bpfSock, cookie, makeStorage, refuse, socketAddress } from "./peer.ts";

// linux/net.h
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

/**
 * Hooks bind4 and bind6: refuse a port that the process names and may not listen on; and remember whether it left the port to
 * the kernel, which post_bind cannot tell. For that the last call counts, as one before may have failed; a socket that is
 * bound stays as it is. Refusing cannot wait for post_bind: other threads may call bind(2) with the same socket meanwhile,
 * and only here is the address that of the very call.
 */
export function bindProgram(version: IpVersion) {
  return (kernel: NetworkKernelLayout, maps: NetworkMaps): Code => [
    mov(r6, r1),
    load(8, r2, r6, socketAddress.socket),
    [load(4, r1, r6, socketAddress.userPort), jumpIfImm(r1, "!=", 0, "port is named")],
    [load(4, r1, r2, bpfSock.sourcePort), jumpIfImm(r1, "!=", 0, "allow")],
    makeStorage(maps, "allow"),
    setBits(storageLayout.state, socketStates.randomPort),
    jump("allow"),

    labelHere("port is named"),
    [load(4, r1, r2, bpfSock.sourcePort), jumpIfImm(r1, "!=", 0, "judge")],
    socketStorage(maps, load(8, r2, r6, socketAddress.socket)),
    jumpIfImm(r0, "==", 0, "judge"),
    clearBits(storageLayout.state, socketStates.randomPort),
    labelHere("judge"),
    [readPage(maps, r1, networkPage.denies), jumpIfImm(r1, "==", 0, "allow")],
    addTo(r7, fp, RECORD),
    beginSocketRecord("listen"),
    transportOf(socketAddress.protocol, socketAddress.type, "allow"),
    readAddress(
      version,
      { ip4: socketAddress.userIp4, ip6: socketAddress.userIp6 },
      socketLayout.local,
      "local",
    ),
    [load(4, r1, r6, socketAddress.userPort), swap16(r1), store(2, r7, socketLayout.localPort, r1)],
    currentProcess(kernel, "allow"),
    jumpIfDenied(kernel, maps, "listen", socketLayout.local, socketLayout.localPort, "denied"),
    labelHere("allow"),
    [movImm(r0, 1), exitInstruction],

    labelHere("denied"),
    cookie(),
    refuse(maps),
  ];
}

/** Writes the transport to the record; jumps to `other` for all but TCP and UDP: raw sockets bind as well. Loses r1. */
function transportOf(protocol: number, type: number, other: string): Code {
  return [
    load(4, r1, r6, protocol),
    jumpIfImm(r1, "==", IPPROTO_TCP, "TCP"),
    jumpIfImm(r1, "==", IPPROTO_UDP, "UDP"),
    jumpIfImm(r1, "!=", IPPROTO_UDPLITE, other),
    labelHere("UDP"),
    storeImm(1, r7, socketLayout.transport, transportNumbers.udp),
    [load(4, r1, r6, type), jumpIfImm(r1, "!=", SOCK_DGRAM, other)],
    jump("known transport"),
    labelHere("TCP"),
    [load(4, r1, r6, type), jumpIfImm(r1, "!=", SOCK_STREAM, other)],
    labelHere("known transport"),
  ];
}

/** Hooks post_bind4 and post_bind6. */
export function postBindProgram(version: IpVersion) {
  return (kernel: NetworkKernelLayout, maps: NetworkMaps): Code => [
    mov(r6, r1),
    addTo(r7, fp, RECORD),
    beginSocketRecord("listen"),
    transportOf(bpfSock.protocol, bpfSock.type, "allow"),
    readAddress(version, { ip4: bpfSock.sourceIp4, ip6: bpfSock.sourceIp6 }, socketLayout.local, "local"),
    [load(4, r1, r6, bpfSock.sourcePort), store(2, r7, socketLayout.localPort, r1)],
    // A TCP socket that is bound does not listen yet.
    [load(1, r1, r7, socketLayout.transport), jumpIfImm(r1, "==", transportNumbers.tcp, "allow")],
    currentProcess(kernel, "allow"),
    [mov(r1, r6), callHelper(helpers.socketCookie), store(8, r7, socketLayout.socket, r0)],
    socketStorage(maps, mov(r2, r6)),
    jumpIfImm(r0, "==", 0, "port is named"),
    load(4, r1, r0, storageLayout.state),
    jumpIfImm(r1, "set", socketStates.randomPort, "port is random"),
    jump("port is named"),
    labelHere("port is random"),
    readPage(maps, r1, networkPage.listen),
    jumpIfImm(r1, "set", listenFlags.ignoreRandomPorts, "allow"),
    labelHere("port is named"),
    skipUnlistened(kernel, maps, "allow"),
    offer(maps, socketLayout.size, "allowed"),
    labelHere("allow"),
    [movImm(r0, 1), exitInstruction],
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
