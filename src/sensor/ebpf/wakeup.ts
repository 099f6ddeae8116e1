// Decides which execs wake the reader at once.
//
// Waking the reader is expensive, reading is not: the first event wakes it, and further events then wait for some
// milliseconds. If the policy may kill, an exec must not wait. But most execs of a server repeat an earlier exec, and
// the decision depends only on the lineage, the program, its arguments and its user. The programs hash these into a key
// in the record. After its decision, user space settles the key, and further execs with that key no longer wake the
// reader.
//
// The hash need not resist attacks: an exec that collides with a settled key is read, judged and killed as well, only
// some milliseconds later.
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
  store,
} from "../../linux/bpf/assembler.ts";
import { BPF_RB_FORCE_WAKEUP, helpers } from "../../linux/bpf/helpers.ts";
import type { ProgramMaps } from "./code.ts";
import { commonLayout, execLayout, recordFlags, sharedLayout, wakeupPolicies } from "./layout.ts";

/** 2^64 divided by the golden ratio, made odd: multiplication by it spreads every bit to the upper half. */
const SPREAD = 0x9e37_79b9_7f4a_7c15n;
/** Keys have 52 bits, so that they are exact as a JavaScript number. */
const KEY_SHIFT = 12;
/** Maximum bytes of filename and arguments in a key; longer execs are never settled. The verifier checks each round. */
const HASHED_BYTES = 8192;

// Words on the stack.
const PID = -16;
const VALUE = -24;

/** r6 = spread(r6 ^ value); r5 holds SPREAD. Loses r0. */
function mix(value: Register): Code {
  return [alu("xor", r6, value), alu("mul", r6, r5), mov(r0, r6), aluImm("rsh", r0, 32), alu("xor", r6, r0)];
}

function readShared(maps: ProgramMaps, dst: Register, field: number): Code {
  return [loadMapValue(dst, maps.shared, field), load(4, dst, dst, 0)];
}

/** r6 = the hash of the lineage of the pid at fp + PID; the pid itself if the sensor is younger. Loses r0 to r5. */
function findLineage(maps: ProgramMaps): Code {
  return [
    load(8, r6, fp, PID),
    loadMap(r1, maps.lineages),
    addTo(r2, fp, PID),
    callHelper(helpers.mapLookup),
    jumpIfImm(r0, "==", 0, "new lineage"),
    load(8, r6, r0, 0),
    labelHere("new lineage"),
  ];
}

/** Stores r6 as the hash of the lineage of the pid at fp + PID. Loses r0 to r5. */
function storeLineage(maps: ProgramMaps): Code {
  return [
    store(8, fp, VALUE, r6),
    loadMap(r1, maps.lineages),
    addTo(r2, fp, PID),
    addTo(r3, fp, VALUE),
    movImm(r4, 0), // BPF_ANY
    callHelper(helpers.mapUpdate),
  ];
}

/**
 * For the fork program: the child inherits its parent's lineage. `parent` and `child` are code that loads the pid into
 * r0. Loses r0 to r6 and fp - 24 to fp - 9.
 */
export function inheritLineage(maps: ProgramMaps, parent: Code, child: Code): Code {
  return [
    readShared(maps, r0, sharedLayout.wakeupPolicy),
    jumpIfImm(r0, "!=", wakeupPolicies.unsettled, "no lineage"),
    parent,
    store(8, fp, PID, r0),
    findLineage(maps),
    child,
    store(8, fp, PID, r0),
    storeLineage(maps),
    labelHere("no lineage"),
  ];
}

/** For an exec's record at r7: sets r8 to the flags of its output. Loses r0 to r6 and fp - 24 to fp - 9. */
export function execWakeup(maps: ProgramMaps): Code {
  return [
    movImm(r8, 0),
    readShared(maps, r0, sharedLayout.wakeupPolicy),
    jumpIfImm(r0, "==", wakeupPolicies.none, "wakeup decided"),
    jumpIfImm(r0, "==", wakeupPolicies.all, "wake at once"),

    // Add the file and its user to the lineage.
    load(4, r0, r7, commonLayout.pid),
    store(8, fp, PID, r0),
    findLineage(maps),
    loadImm64(r5, SPREAD),
    load(4, r1, r7, execLayout.device),
    mix(r1),
    load(8, r1, r7, execLayout.inode),
    mix(r1),
    load(4, r1, r7, execLayout.uid),
    mix(r1),
    storeLineage(maps),

    // An exec with incomplete arguments is never settled.
    load(4, r0, r7, execLayout.flags),
    jumpIfImm(r0, "set", recordFlags.argsTruncated | recordFlags.argsUnreadable, "wake at once"),
    load(4, r4, r7, execLayout.argsEnd),
    jumpIfImm(r4, ">", execLayout.texts + HASHED_BYTES, "wake at once"),
    hashTexts(),
    readShared(maps, r1, sharedLayout.epoch),
    loadImm64(r5, SPREAD),
    mix(r1),
    aluImm("rsh", r6, KEY_SHIFT),
    store(8, r7, execLayout.settleKey, r6),
    store(8, fp, VALUE, r6),
    loadMap(r1, maps.settled),
    addTo(r2, fp, VALUE),
    callHelper(helpers.mapLookup),
    jumpIfImm(r0, "!=", 0, "wakeup decided"),

    labelHere("wake at once"),
    movImm(r8, BPF_RB_FORCE_WAKEUP),
    labelHere("wakeup decided"),
  ];
}

/** Mixes the filename and the arguments, up to r4, into r6, a word at a time. Zeros fill the last word. */
function hashTexts(): Code {
  return [
    loadImm64(r5, SPREAD),
    movImm(r3, execLayout.texts),
    labelHere("hash"),
    jumpIf(r3, ">=", r4, "hashed"),
    jumpIfImm(r3, ">=", execLayout.texts + HASHED_BYTES, "hashed"),
    mov(r1, r7),
    alu("add", r1, r3),
    load(8, r1, r1, 0),
    mix(r1),
    aluImm("add", r3, 8),
    jump("hash"),
    labelHere("hashed"),
  ];
}
