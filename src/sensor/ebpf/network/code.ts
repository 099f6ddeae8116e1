// Code that the network programs share. They run in the process that uses the socket, and most of them can be preempted:
// unlike those of exec, they have no scratch memory of their CPU, and build their records on the stack.
//
// In all of them r6 is the context or the socket, r7 points to the record, and r9 is the current task.
import {
  addTo,
  alu,
  aluImm,
  atomicAdd,
  type Code,
  callHelper,
  fp,
  jump,
  jump32IfImm,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadMap,
  loadMapValue,
  type MapReference,
  mov,
  movImm,
  type Register,
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
import {
  BPF_RB_AVAIL_DATA,
  BPF_RB_FORCE_WAKEUP,
  BPF_SK_STORAGE_GET_F_CREATE,
  helpers,
} from "../../../linux/bpf/helpers.ts";
import { type NetworkKind, networkKinds } from "../../../vocabulary/event-kinds.ts";
import { PORT_BITMAP_BYTES, trieKey, trieValue } from "../../network/filter-maps.ts";
import { commonLayout, recordKinds } from "../layout.ts";
import type { NetworkKernelLayout } from "./kernel.ts";
import { networkPage, socketLayout } from "./layout.ts";

export interface NetworkMaps {
  readonly ring: MapReference;
  /** If this number of bytes waits in the ring, the next record wakes the reader. */
  readonly fillLevel: number;
  /**
   * With this number of bytes waiting, no further record is written: whoever floods the network must not displace the
   * execs of others, for which the rest of the ring remains.
   */
  readonly shareOfRing: number;
  /** The page: an array of one value, see `networkPage`. */
  readonly page: MapReference;
  /** Trie of the networks whose events are not reported, see `trieKey`. */
  readonly networks: MapReference;
  /** An array of one value: a bitmap for each kind of the ports whose events are not reported. */
  readonly ports: MapReference;
  /** What is kept for each socket, see `storageLayout`. */
  readonly storage: MapReference;
  /** LRU hash of UDP sessions. */
  readonly sessions: MapReference;
  /** Hash of processes that may not do everything, and trie of what they may not. */
  readonly deniedProcesses: MapReference;
  readonly deniedNetworks: MapReference;
}

// linux/in.h
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_UDPLITE = 136;

/** Stack below this is free for each program; the record is the first thing there. */
export const SCRATCH = -8;
/** Where the record of a socket event is built. */
export const RECORD = SCRATCH - socketLayout.size;
/** A key of a map. */
export const KEY = RECORD - 40;
/** A value of a map. */
export const VALUE = KEY - 32;

/** Zeros the record's bytes from `from` to `size`, both multiples of 8. */
export function clearRecord(from: number, size: number): Code {
  const words: Code[] = [];
  for (let at = from; at < size; at += 8) words.push(storeImm(8, r7, at, 0));
  return words;
}

/** Begins the record of a socket event at r7. Loses r0 to r5. */
export function beginSocketRecord(kind: NetworkKind): Code {
  return [
    clearRecord(0, socketLayout.size),
    storeImm(4, r7, commonLayout.kind, recordKinds[kind]),
    callHelper(helpers.ktimeGetNs),
    store(8, r7, commonLayout.time, r0),
  ];
}

/**
 * Writes the process of the current task to the record, and sets r9 to the task. Jumps to `missing` if it has no
 * credentials, which does not happen. Loses r0 to r5.
 */
export function currentProcess({ task, cred }: NetworkKernelLayout, missing: string): Code {
  return [
    callHelper(helpers.currentTask),
    mov(r9, r0),
    [load(4, r1, r9, task.tgid), store(4, r7, commonLayout.pid, r1)],
    [load(4, r1, r9, task.selfExecId), store(4, r7, socketLayout.execId, r1)],
    load(8, r1, r9, task.groupLeader),
    [load(8, r1, r1, task.startBoottime), store(8, r7, socketLayout.start, r1)],
    load(8, r1, r9, task.cred),
    // The verifier demands a check of a pointer that is protected by RCU.
    jumpIfImm(r1, "==", 0, missing),
    [load(4, r1, r1, cred.euid), store(4, r7, socketLayout.uid, r1)],
  ];
}

/** The third word of an IPv4 address mapped into IPv6: the bytes 00 00 ff ff, read as a little-endian number. */
export const MAPPED_WORD = 0xffff_0000;

/**
 * If the 16 bytes at r7 + `address` are an IPv4 address mapped into IPv6 (::ffff:0:0/96), replaces them by that address;
 * and writes the family to the record. Loses r1.
 */
export function normaliseIpv6(address: number, name: string): Code {
  return [
    storeImm(1, r7, socketLayout.family, 6),
    load(8, r1, r7, address),
    jumpIfImm(r1, "!=", 0, `${name}: IPv6`),
    load(4, r1, r7, address + 8),
    jump32IfImm(r1, "!=", MAPPED_WORD, `${name}: IPv6`),
    load(4, r1, r7, address + 12),
    storeImm(8, r7, address + 8, 0),
    store(4, r7, address, r1),
    storeImm(1, r7, socketLayout.family, 4),
    labelHere(`${name}: IPv6`),
  ];
}

export type IpVersion = 4 | 6;

/**
 * Copies the address at r6 + `from` of the hook's version to the record's `address`, and writes the family to the record.
 * A mapped address becomes the IPv4 address that it is. Loses r1.
 */
export function readAddress(
  version: IpVersion,
  from: { readonly ip4: number; readonly ip6: number },
  address: number,
  name: string,
): Code {
  const copied = copyWords(version, r6, version === 4 ? from.ip4 : from.ip6, address);
  return [copied, version === 4 ? storeImm(1, r7, socketLayout.family, 4) : normaliseIpv6(address, name)];
}

/** Copies an address as it is from `base` + `from` to the record's `address`. Loses r1. */
export function copyWords(version: IpVersion, base: Register, from: number, address: number): Code {
  const words = version === 4 ? [0] : [0, 4, 8, 12];
  return words.map((at) => [load(4, r1, base, from + at), store(4, r7, address + at, r1)]);
}

/** Loads a word of the page. */
export function readPage(maps: NetworkMaps, dst: Register, field: number): Code {
  return [loadMapValue(dst, maps.page, field), load(4, dst, dst, 0)];
}

/** Jumps to `skip` if events of `kind` with the record's transport are not reported. Loses r1 to r3. */
export function skipUnwatched(maps: NetworkMaps, kind: NetworkKind, skip: string): Code {
  return [
    readPage(maps, r1, networkPage.transports + 4 * networkKinds.indexOf(kind)),
    load(1, r2, r7, socketLayout.transport),
    // The verifier does not know that it is 0 or 1.
    aluImm("and", r2, 1),
    alu("rsh", r1, r2),
    aluImm("and", r1, 1),
    jumpIfImm(r1, "==", 0, skip),
  ];
}

/**
 * Jumps to `skip` if the filters leave out an event of `kind` with the address and port at these places of the record.
 * Loses r0 to r5 and the key.
 */
export function skipFiltered(
  maps: NetworkMaps,
  kind: NetworkKind,
  address: number,
  port: number,
  skip: string,
): Code {
  return [
    [load(2, r1, r7, port), mov(r3, r1)],
    aluImm("rsh", r1, 3),
    loadMapValue(r2, maps.ports, networkKinds.indexOf(kind) * PORT_BITMAP_BYTES),
    [alu("add", r2, r1), load(1, r2, r2, 0)],
    aluImm("and", r3, 7),
    [alu("rsh", r2, r3), aluImm("and", r2, 1), jumpIfImm(r2, "!=", 0, skip)],

    storeImm(2, fp, KEY + trieKey.kind, networkKinds.indexOf(kind)),
    [load(1, r1, r7, socketLayout.family), store(2, fp, KEY + trieKey.family, r1)],
    copyAddress(KEY + trieKey.address, address),
    prefixLength(KEY + trieKey.prefixLength, 8 * (trieKey.address - trieKey.kind)),
    jumpIfListed(maps.networks, port, "filter", skip),
  ];
}

/** Copies the record's address to the stack. Loses r1. */
export function copyAddress(place: number, address: number): Code {
  return [0, 4, 8, 12].map((at) => [load(4, r1, r7, address + at), store(4, fp, place + at, r1)]);
}

/** Writes the prefix length of a lookup of the record's family: `head` bits and all of the address. Loses r1. */
export function prefixLength(place: number, head: number): Code {
  // 4 becomes 32 bits and 6 becomes 128: 48 for each of the two above 4.
  return [
    load(1, r1, r7, socketLayout.family),
    aluImm("sub", r1, 4),
    aluImm("mul", r1, 48),
    aluImm("add", r1, 32 + head),
    store(4, fp, place, r1),
  ];
}

/** Ranges of ports in a value of a trie. */
const RANGES = (trieValue.size - trieValue.ranges) / 4;

/**
 * Looks up the key on the stack in a trie whose values are as `trieValue`, and jumps to `listed` if the port at `port` of
 * the record is meant by what it finds. Loses r0 to r5.
 */
export function jumpIfListed(trie: MapReference, port: number, name: string, listed: string): Code {
  const ranges: Code[] = [];
  for (let i = 0; i < RANGES; i += 1) {
    const at = trieValue.ranges + 4 * i;
    ranges.push([
      jumpIfImm(r2, "<=", i, `${name}: in none`),
      load(2, r4, r0, at),
      load(2, r5, r0, at + 2),
      jumpIf(r3, "<", r4, `${name}: not in ${i}`),
      jumpIf(r3, "<=", r5, `${name}: in one`),
      labelHere(`${name}: not in ${i}`),
    ]);
  }
  return [
    loadMap(r1, trie),
    addTo(r2, fp, KEY),
    callHelper(helpers.mapLookup),
    jumpIfImm(r0, "==", 0, `${name}: not listed`),
    load(2, r1, r0, trieValue.onlyRanges),
    load(2, r2, r0, trieValue.count),
    load(2, r3, r7, port),
    ranges,
    labelHere(`${name}: in none`),
    jumpIfImm(r1, "==", 0, listed),
    jump(`${name}: not listed`),
    labelHere(`${name}: in one`),
    jumpIfImm(r1, "!=", 0, listed),
    labelHere(`${name}: not listed`),
  ];
}

/** Sets r0 to what is kept for the socket at `socket`. `value`: the stack has one to begin with. Loses r1 to r5. */
export function socketStorage(maps: NetworkMaps, socket: Code, create?: { readonly value: number }): Code {
  return [
    socket,
    loadMap(r1, maps.storage),
    create === undefined ? movImm(r3, 0) : addTo(r3, fp, create.value),
    movImm(r4, create === undefined ? 0 : BPF_SK_STORAGE_GET_F_CREATE),
    callHelper(helpers.socketStorageGet),
  ];
}

/** ORs `bits` into the word at r0 + `field`. Loses r1. */
export function setBits(field: number, bits: number): Code {
  return [load(4, r1, r0, field), aluImm("or", r1, bits), store(4, r0, field, r1)];
}

/** Clears `bits` of the word at r0 + `field`. Loses r1. */
export function clearBits(field: number, bits: number): Code {
  return [load(4, r1, r0, field), aluImm("and", r1, ~bits), store(4, r0, field, r1)];
}

/** Adds 1 to a 64-bit counter of the page. Loses r1 and r2. */
export function countInPage({ page }: NetworkMaps, counter: number): Code {
  return [loadMapValue(r1, page, counter), movImm(r2, 1), atomicAdd(8, r1, 0, r2)];
}

/**
 * Writes `size` bytes of the record at r7 to the ring, or counts it as lost. The reader is woken as `emit` of the exec
 * programs does, but only once while the ring stays filled: each wake-up costs more than the rest of the program. `name` makes the labels unique. Loses r0 to r5 and r8.
 */
export function offer(maps: NetworkMaps, size: number, name: string): Code {
  return [
    movImm(r8, 0),
    loadMap(r1, maps.ring),
    movImm(r2, BPF_RB_AVAIL_DATA),
    callHelper(helpers.ringbufQuery),
    jumpIfImm(r0, "<", maps.fillLevel, `${name}: output`),
    jumpIfImm(r0, ">=", maps.shareOfRing, `${name}: no room`),
    loadMapValue(r1, maps.page, networkPage.woken),
    [load(4, r2, r1, 0), jumpIfImm(r2, "!=", 0, `${name}: output`)],
    storeImm(4, r1, 0, 1),
    movImm(r8, BPF_RB_FORCE_WAKEUP),
    labelHere(`${name}: output`),
    loadMap(r1, maps.ring),
    mov(r2, r7),
    movImm(r3, size),
    mov(r4, r8),
    callHelper(helpers.ringbufOutput),
    jumpIfImm(r0, "==", 0, `${name}: done`),
    labelHere(`${name}: no room`),
    countInPage(maps, networkPage.lost),
    labelHere(`${name}: done`),
  ];
}
