// Drops packets with a source route that processes send to which something is denied.
//
// A source route (an option of the socket, or the control data of a datagram) has a packet for one peer go to another one first.
// The hooks that judge a call see the peer alone. So the hook that sees packets drops those with a source route, if the socket
// was last used by a process to which a rule denies anything (`storageLayout.restricted`).
import {
  addTo,
  aluImm,
  type Code,
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
  r3,
  r4,
  r5,
  r6,
  r7,
  r8,
  r9,
  store,
  storeImm,
} from "../../../linux/bpf/assembler.ts";
import { commonLayout, recordKinds } from "../layout.ts";
import {
  beginSocketRecord,
  currentProcess,
  IPPROTO_TCP,
  KEY,
  type NetworkMaps,
  RECORD,
  socketStorage,
} from "./code.ts";
import type { NetworkKernelLayout } from "./kernel.ts";
import { restrictions, socketLayout, storageLayout, transportNumbers } from "./layout.ts";
import { cookie, refuse } from "./peer.ts";

/** Offsets in struct __sk_buff of include/uapi/linux/bpf.h */
const packet = { data: 76, dataEnd: 80, socket: 168 } as const;

/** Offsets in struct iphdr, linux/ip.h. The first option follows the header. */
const ipv4 = { protocol: 9, destination: 16, option: 20 } as const;
/** The first byte of a header without options: version 4, length 5 words. */
const IPV4_PLAIN = 0x45;
/** Security labels, which need CAP_NET_RAW: whoever has them has put no other option there. linux/ip.h */
const IPOPT_CIPSO = 134;

/** Offsets in struct ipv6hdr, linux/ipv6.h. The first extension header follows; its first byte is the type of the next one. */
const ipv6 = { next: 6, destination: 24, extension: 40 } as const;
/** linux/in6.h. Users without CAP_NET_RAW can set the routing header alone; the others may precede it. */
const NEXTHDR_HOP = 0;
const NEXTHDR_ROUTING = 43;
const NEXTHDR_DEST = 60;

/**
 * Hook egress (BPF_CGROUP_INET_EGRESS): runs for each packet that a socket sends, and returns 1 to pass it, 0 to drop it. The
 * first packet that is dropped of a socket is reported, with the address that it was to go to. r6 is the struct __sk_buff, r8
 * the IP header, r9 the IP version.
 */
export function egressProgram(kernel: NetworkKernelLayout, maps: NetworkMaps): Code {
  return [
    mov(r6, r1),
    [load(4, r8, r6, packet.data), load(4, r3, r6, packet.dataEnd)],
    [addTo(r4, r8, ipv4.option + 1), jumpIf(r4, ">", r3, "pass")],
    [load(1, r5, r8, 0), jumpIfImm(r5, "==", IPV4_PLAIN, "pass")],
    aluImm("rsh", r5, 4),
    movImm(r9, 6),
    jumpIfImm(r5, "==", 6, "IPv6"),
    jumpIfImm(r5, "!=", 4, "pass"),
    [load(1, r5, r8, ipv4.option), jumpIfImm(r5, "==", IPOPT_CIPSO, "pass")],
    movImm(r9, 4),
    jump("routed"),

    labelHere("IPv6"),
    [addTo(r4, r8, ipv6.extension + 1), jumpIf(r4, ">", r3, "pass")],
    [load(1, r5, r8, ipv6.next), jumpIfImm(r5, "==", NEXTHDR_ROUTING, "routed")],
    [jumpIfImm(r5, "==", NEXTHDR_HOP, "extension"), jumpIfImm(r5, "!=", NEXTHDR_DEST, "pass")],
    labelHere("extension"),
    [load(1, r5, r8, ipv6.extension), jumpIfImm(r5, "!=", NEXTHDR_ROUTING, "pass")],

    labelHere("routed"),
    [load(8, r2, r6, packet.socket), jumpIfImm(r2, "==", 0, "pass")],
    socketStorage(maps, []),
    jumpIfImm(r0, "==", 0, "pass"),
    [load(4, r1, r0, storageLayout.restricted), jumpIfImm(r1, "==", 0, "pass")],
    jumpIfImm(r1, "!=", restrictions.ofSocket, "drop"),
    storeImm(4, r0, storageLayout.restricted, restrictions.reported),
    [load(4, r1, r0, storageLayout.restrictedPid), store(4, fp, KEY, r1)],
    report(kernel, maps),

    labelHere("drop"),
    [movImm(r0, 0), exitInstruction],
    labelHere("pass"),
    [movImm(r0, 1), exitInstruction],
  ];
}

/**
 * Reports the packet at r8, of the IP version in r9, as a refused call. Jumps to `drop` without a record if another process runs
 * than the one that used the socket last.
 */
function report(kernel: NetworkKernelLayout, maps: NetworkMaps): Code {
  const copied = (from: number, words: readonly number[]): Code =>
    words.map((at) => [load(4, r1, r8, from + at), store(4, r7, socketLayout.peer + at, r1)]);
  return [
    addTo(r7, fp, RECORD),
    beginSocketRecord("send"),
    store(1, r7, socketLayout.family, r9),
    jumpIfImm(r9, "==", 6, "to IPv6"),
    copied(ipv4.destination, [0]),
    load(1, r5, r8, ipv4.protocol),
    jump("protocol"),
    labelHere("to IPv6"),
    copied(ipv6.destination, [0, 4, 8, 12]),
    load(1, r5, r8, ipv6.extension),
    labelHere("protocol"),
    storeImm(1, r7, socketLayout.transport, transportNumbers.udp),
    jumpIfImm(r5, "!=", IPPROTO_TCP, "begun"),
    storeImm(1, r7, socketLayout.transport, transportNumbers.tcp),
    storeImm(4, r7, commonLayout.kind, recordKinds.connect),
    labelHere("begun"),
    currentProcess(kernel, "drop"),
    [load(4, r1, r7, commonLayout.pid), load(4, r2, fp, KEY), jumpIf(r1, "!=", r2, "drop")],
    cookie(),
    refuse(maps),
  ];
}
