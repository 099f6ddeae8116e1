// Which execs wake the reader at once.
//
// Reading costs little, waking up costs much: the reader is woken by the first event and then lets more gather for
// some milliseconds. Where a policy may kill, an exec must not wait so long. Most of what a server starts was decided
// before, though, and will be decided the same way: what counts is the lineage, the program, its arguments and its
// user. So the programs hash just these into a key that travels with the record; user space, having decided, gives
// the key back as settled, and the next exec with that key gathers like everything else.
//
// The hash need not withstand an attacker: an exec taken for a settled one is read, decided and killed all the same,
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

/** 2^64 divided by the golden ratio, odd: multiplied with it, every bit reaches the upper half. */
const SPREAD = 0x9e37_79b9_7f4a_7c15n;
/** Keys keep 52 bits, so that they are exact as a number. */
const KEY_SHIFT = 12;
/** Filename and arguments that go into a key; with more an exec is never settled. The verifier follows each round. */
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

/** r6 = what the lineage of the process at fp + PID hashes to; for one that ran before the sensor, its pid. Loses r0 to r5. */
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

/** Notes r6 for the process at fp + PID. Loses r0 to r5. */
function noteLineage(maps: ProgramMaps): Code {
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
 * For the fork program: the child begins with its parent's lineage. `parent`, `child`: code that loads the pid into
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
    noteLineage(maps),
    labelHere("no lineage"),
  ];
}

/** For the end of an exec, r7 the record: r8 = the flags to hand it over with. Loses r0 to r6 and fp - 24 to fp - 9. */
export function execWakeup(maps: ProgramMaps): Code {
  return [
    movImm(r8, 0),
    readShared(maps, r0, sharedLayout.wakeupPolicy),
    jumpIfImm(r0, "==", wakeupPolicies.none, "wakeup decided"),
    jumpIfImm(r0, "==", wakeupPolicies.all, "wake at once"),

    // The new link of the lineage: the file and the user it runs as.
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
    noteLineage(maps),

    // What was not read whole is never settled.
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

/** Mixes the filename and the arguments, up to r4, into r6, a word at a time; behind them lie zeros up to a whole word. */
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
