// The environment of an exec, at the end of its record. Only read when a rule asks for it, as the shared page says.
import {
  alu,
  type Code,
  fp,
  jump,
  jumpIfImm,
  labelHere,
  load,
  r0,
  r1,
  r2,
  r3,
  r7,
  r9,
  store,
} from "../../linux/bpf/assembler.ts";
import { appendUserMemory, type ProgramMaps, setFlag } from "./code.ts";
import type { KernelLayout } from "./kernel.ts";
import { ENVIRONMENT_BYTES, execLayout, recordFlags, sharedLayout } from "./layout.ts";
import { readShared } from "./wakeup.ts";

/** The scratch word of code.ts. */
const BYTES = -8;

/**
 * Appends the environment to the record at r7, which ends at offset r9, and moves r9. It is read whole or not at all:
 * from a part nobody can tell that a variable is not set. Its pages are present, because the kernel has just written
 * them. `context` is the place on the stack where the program has stored its context. Loses r0 to r5.
 */
export function readEnvironment({ task, mm }: KernelLayout, maps: ProgramMaps, context: number): Code {
  return [
    readShared(maps, r0, sharedLayout.environment),
    jumpIfImm(r0, "==", 0, "environment done"),
    load(8, r1, fp, context),
    load(8, r1, r1, 0),
    load(8, r1, r1, task.mm),
    load(8, r3, r1, mm.envStart),
    load(8, r2, r1, mm.envEnd),
    alu("sub", r2, r3),
    jumpIfImm(r2, ">", ENVIRONMENT_BYTES, "environment unread"),
    appendUserMemory(BYTES, ENVIRONMENT_BYTES, "environment unread"),
    store(4, r7, execLayout.environmentEnd, r9),
    jump("environment done"),
    labelHere("environment unread"),
    setFlag(execLayout.flags, recordFlags.environmentUnread),
    labelHere("environment done"),
  ];
}
