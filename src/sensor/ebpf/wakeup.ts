// Decides which execs wake the reader at once.
//
// Waking the reader is expensive, reading is not: the first event wakes it, and further events then wait for some
// milliseconds. If the policy may kill, an exec must not wait. But most execs of a server repeat an earlier exec: the
// same file with the same arguments by the same user, from the same directory and control group, below the same
// ancestors. The programs hash all of that into a key in the record. After its decision, user space settles the key,
// and further execs with that key no longer wake the reader.
//
// An exec whose key collides with a settled one is read, judged and killed as well, only some milliseconds later. That
// delay must not be for sale, so the hash is keyed: its constants are drawn when the programs are loaded.
import {
  addTo,
  alu,
  aluImm,
  type Code,
  callHelper,
  fp,
  jump,
  jumpIf,
  jumpIfImm,
  labelHere,
  load,
  loadImm64,
  loadMap,
  loadMapValue,
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
} from "../../linux/bpf/assembler.ts";
import { BPF_RB_FORCE_WAKEUP, helpers } from "../../linux/bpf/helpers.ts";
import type { ProgramMaps } from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import {
  commonLayout,
  execLayout,
  forkLayout,
  lineageLayout,
  recordFlags,
  sharedLayout,
  wakeupPolicies,
} from "./layout.ts";

/** The secret constants of the hash: two odd multipliers of 64 bits and a start value. */
export interface HashKey {
  readonly first: bigint;
  readonly second: bigint;
  readonly start: bigint;
}

export function randomHashKey(): HashKey {
  const [first = 0n, second = 0n, start = 0n] = crypto.getRandomValues(new BigUint64Array(3));
  return { first: first | 1n, second: second | 1n, start };
}

/** Keys have 52 bits, so that they are exact as a JavaScript number. */
const KEY_SHIFT = 12;
/** Maximum bytes of texts in a key; longer execs are never settled. The verifier checks each round. */
const HASHED_BYTES = 8192;
/** What makes a record incomplete: two different execs could have it. Such an exec is never settled. */
const INCOMPLETE =
  recordFlags.argsTruncated |
  recordFlags.argsUnreadable |
  recordFlags.executableCut |
  recordFlags.cwdCut |
  recordFlags.cgroupCut;

// Words on the stack, below the scratch word of code.ts.
const PID = -16;
/** A value of the map of lineages, see `lineageLayout`. */
const VALUE = PID - lineageLayout.size;
/** Below this the stack is the calling program's. */
export const WAKEUP_STACK = VALUE;

/**
 * r6 = hash(r6, value). The difference of two values passes one multiplication unchanged if it is in the highest bit
 * alone; the second, by another secret, leaves no difference that could be cancelled by the next value. Loses r0, r5.
 */
function mix({ first, second }: HashKey, value: Register): Code {
  return [
    alu("xor", r6, value),
    loadImm64(r5, first),
    alu("mul", r6, r5),
    [mov(r0, r6), aluImm("rsh", r0, 29), alu("xor", r6, r0)],
    loadImm64(r5, second),
    alu("mul", r6, r5),
    [mov(r0, r6), aluImm("rsh", r0, 32), alu("xor", r6, r0)],
  ];
}

/** Loads a word of the shared page. */
export function readShared(maps: ProgramMaps, dst: Register, field: number): Code {
  return [loadMapValue(dst, maps.shared, field), load(4, dst, dst, 0)];
}

/**
 * r6 = the hash of the lineage of the process whose thread group is at fp + PID, which began at r8 (ns of
 * CLOCK_BOOTTIME). A process without an entry is older than the sensor, or the map was full when it was forked: what
 * stands for its lineage then is the process itself, which is no other's, and `image` (in r3), which no other program
 * that it ran has. Jumps to `found` if there is an entry, with r0 at its value. Loses r0 to r5.
 */
function findLineage(maps: ProgramMaps, found: string): Code {
  const { hashKey } = maps;
  return [
    store(8, fp, VALUE, r3),
    loadMap(r1, maps.lineages),
    addTo(r2, fp, PID),
    callHelper(helpers.mapLookup),
    jumpIfImm(r0, "==", 0, "not known"),
    load(8, r1, r0, lineageLayout.start),
    load(8, r6, r0, lineageLayout.hash),
    jumpIf(r1, "==", r8, found),
    labelHere("not known"),
    identityHash(hashKey),
  ];
}

/** r6 = a hash of the thread group at fp + PID, its start in r8, and its image at fp + VALUE. Loses r0, r1, r5. */
function identityHash(key: HashKey): Code {
  return [
    loadImm64(r6, key.start),
    [load(8, r1, fp, PID), mix(key, r1)],
    mix(key, r8),
    [load(8, r1, fp, VALUE), mix(key, r1)],
  ];
}

/** Stores r6 as the lineage of the thread group at fp + PID; its start and user are in VALUE. Loses r0 to r5. */
function storeLineage(maps: ProgramMaps): Code {
  return [
    store(8, fp, VALUE + lineageLayout.hash, r6),
    loadMap(r1, maps.lineages),
    addTo(r2, fp, PID),
    addTo(r3, fp, VALUE),
    movImm(r4, 0), // BPF_ANY
    callHelper(helpers.mapUpdate),
  ];
}

/**
 * For the fork program, with its record at r7: the child inherits its parent's lineage, and a change of the user since
 * the parent's exec is part of it. `parent` is the place on the stack where the program has stored its first argument,
 * the parent's task. Loses r0 to r6, r8 and the stack down to WAKEUP_STACK.
 */
export function inheritLineage({ task }: KernelLayout, maps: ProgramMaps, parent: number): Code {
  return [
    readShared(maps, r0, sharedLayout.wakeupPolicy),
    jumpIfImm(r0, "!=", wakeupPolicies.unsettled, "no lineage"),
    [load(4, r0, r7, forkLayout.parentPid), store(8, fp, PID, r0)],
    load(8, r1, fp, parent),
    load(8, r1, r1, task.groupLeader),
    load(8, r8, r1, task.startBoottime),
    load(4, r3, r1, task.selfExecId),
    findLineage(maps, "parent known"),
    jump("other user"),
    labelHere("parent known"),
    load(8, r1, r0, lineageLayout.uid),
    load(4, r2, r7, forkLayout.uid),
    jumpIf(r1, "==", r2, "same user"),
    labelHere("other user"),
    [load(4, r1, r7, forkLayout.uid), mix(maps.hashKey, r1)],
    labelHere("same user"),
    [load(4, r0, r7, commonLayout.pid), store(8, fp, PID, r0)],
    [load(8, r0, r7, forkLayout.start), store(8, fp, VALUE + lineageLayout.start, r0)],
    [load(4, r0, r7, forkLayout.uid), store(8, fp, VALUE + lineageLayout.uid, r0)],
    storeLineage(maps),
    labelHere("no lineage"),
  ];
}

/** For the exit program, with its record at r7: nobody inherits from the process any more. Loses r0 to r5. */
export function forgetLineage(maps: ProgramMaps): Code {
  return [
    readShared(maps, r0, sharedLayout.wakeupPolicy),
    jumpIfImm(r0, "!=", wakeupPolicies.unsettled, "nothing to forget"),
    [load(4, r0, r7, commonLayout.pid), store(8, fp, PID, r0)],
    loadMap(r1, maps.lineages),
    addTo(r2, fp, PID),
    callHelper(helpers.mapDelete),
    labelHere("nothing to forget"),
  ];
}

/**
 * For an exec's record at r7, which ends at offset r9: sets r8 to the flags of its output. `context` is the place on
 * the stack where the program has stored its context. Loses r0 to r6 and the stack down to WAKEUP_STACK.
 */
export function execWakeup({ task }: KernelLayout, maps: ProgramMaps, context: number): Code {
  const { hashKey } = maps;
  return [
    movImm(r8, 0),
    readShared(maps, r0, sharedLayout.wakeupPolicy),
    jumpIfImm(r0, "==", wakeupPolicies.none, "wakeup decided"),
    jumpIfImm(r0, "==", wakeupPolicies.all, "wake at once"),

    [load(4, r0, r7, commonLayout.pid), store(8, fp, PID, r0)],
    load(8, r8, r7, execLayout.start),
    load(8, r1, fp, context),
    load(8, r1, r1, 0),
    load(4, r3, r1, task.selfExecId),
    findLineage(maps, "lineage known"),
    labelHere("lineage known"),
    [load(4, r0, r7, execLayout.flags), jumpIfImm(r0, "set", INCOMPLETE, "incomplete")],
    jumpIfImm(r9, ">", execLayout.texts + HASHED_BYTES, "incomplete"),
    hashExec(hashKey),
    rememberExec(maps),

    // The session is not the children's business: a job that cron starts every minute has a new one each time.
    [load(8, r1, r7, execLayout.loginUid), mix(hashKey, r1)],
    [load(4, r1, r7, execLayout.sessionId), mix(hashKey, r1)],
    [readShared(maps, r1, sharedLayout.epoch), mix(hashKey, r1)],
    aluImm("rsh", r6, KEY_SHIFT),
    store(8, r7, execLayout.settleKey, r6),
    store(8, fp, VALUE, r6),
    loadMap(r1, maps.settled),
    addTo(r2, fp, VALUE),
    callHelper(helpers.mapLookup),
    movImm(r8, 0),
    jumpIfImm(r0, "!=", 0, "wakeup decided"),
    jump("wake at once"),

    // Nothing may be settled for its descendants either by what was cut off, so they descend from this process alone.
    labelHere("incomplete"),
    load(8, r1, fp, context),
    load(8, r1, r1, 0),
    [load(4, r1, r1, task.selfExecId), store(8, fp, VALUE, r1)],
    identityHash(hashKey),
    rememberExec(maps),

    labelHere("wake at once"),
    movImm(r8, BPF_RB_FORCE_WAKEUP),
    labelHere("wakeup decided"),
  ];
}

/** Stores r6 as the lineage of the process of the exec's record, which began at r8. Loses r0 to r5. */
function rememberExec(maps: ProgramMaps): Code {
  return [
    store(8, fp, VALUE + lineageLayout.start, r8),
    [load(4, r0, r7, execLayout.uid), store(8, fp, VALUE + lineageLayout.uid, r0)],
    storeLineage(maps),
  ];
}

/** Words of an exec's record that say what runs as whom. The process's own numbers and times are not among them. */
const hashedWords = [
  execLayout.realUid, // and the effective user
  execLayout.device, // and the mount namespace
  execLayout.pidNamespace, // and the nanoseconds of the file's change
  execLayout.inode,
  execLayout.changed,
] as const;
const hashedHalves = [execLayout.flags, execLayout.gid, execLayout.mode] as const;

/** Mixes the numbers of `hashedWords` and all texts, up to r9, into r6, a word at a time. Loses r0 to r5. */
function hashExec(key: HashKey): Code {
  return [
    hashedWords.map((field) => [load(8, r1, r7, field), mix(key, r1)]),
    hashedHalves.map((field) => [load(4, r1, r7, field), mix(key, r1)]),
    // Where each text ends, so that none can continue in the next.
    [load(8, r1, r7, execLayout.filenameEnd), mix(key, r1)],
    [load(8, r1, r7, execLayout.ttyEnd), mix(key, r1)],
    [load(8, r1, r7, execLayout.executableEnd), mix(key, r1)],
    // Zeros fill the last word.
    [mov(r1, r7), alu("add", r1, r9), storeImm(8, r1, 0, 0)],
    // Loaded again, so that the verifier's bounds of r9 do not differ from round to round.
    load(4, r2, r7, execLayout.cwdEnd),
    movImm(r3, execLayout.texts),
    labelHere("hash"),
    jumpIf(r3, ">=", r2, "hashed"),
    jumpIfImm(r3, ">=", execLayout.texts + HASHED_BYTES, "hashed"),
    mov(r4, r7),
    alu("add", r4, r3),
    load(8, r4, r4, 0),
    mix(key, r4),
    aluImm("add", r3, 8),
    jump("hash"),
    labelHere("hashed"),
  ];
}
