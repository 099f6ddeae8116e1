// How many different programs the kernel ends in a minute: more of them mean that a policy is wrong or is being abused, and
// are left to user space, which has a budget of its own. A program that was ended before costs nothing, and no user or
// container can use up more than its own allowance, which is half of the host's.
import {
  addTo,
  alu,
  atomicAdd,
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
  r0,
  r1,
  r2,
  r3,
  r4,
  r9,
  store,
  storeImm,
} from "../../../linux/bpf/assembler.ts";
import { helpers } from "../../../linux/bpf/helpers.ts";
import { lookUp } from "../code.ts";
import { addToCounter, type PreventionMaps } from "./entries.ts";
import { allowanceLayout, preventionPage } from "./layout.ts";
import { ALLOWANCE_NS } from "./maps.ts";

/** The bytes of stack that `chargeEnd` uses: the number of an allowance, and what each then owes. */
export const CHARGE_STACK = 8 + 3 * 8;

/** The host's allowance, and those of the two payers of an entry. */
const allowances = [0, 1, 2] as const;
type Allowance = (typeof allowances)[number];

/**
 * Charges the end of the file whose key is on the stack at `file` to the payers at `payers`, at the time in r9 (ns,
 * CLOCK_MONOTONIC), and remembers the file. Jumps to `refused`, with the refusal counted, if an allowance is used up. Uses
 * CHARGE_STACK bytes from `scratch` on. Loses r0 to r5.
 *
 * Two CPUs that charge at the same time may pay once for both: that many more are ended.
 */
export function chargeEnd(
  maps: PreventionMaps,
  { payers, file, scratch }: { readonly payers: number; readonly file: number; readonly scratch: number },
  refused: string,
): Code {
  const number = scratch;
  const owed = (allowance: Allowance): number => scratch + 8 + 8 * allowance;
  /** Looks up the allowance; jumps to `nobody` if the entry has no such payer. */
  const find = (allowance: Allowance, nobody: string): Code => [
    allowance === 0
      ? storeImm(4, fp, number, 0)
      : [
          load(2, r1, fp, payers + 2 * (allowance - 1)),
          jumpIfImm(r1, "==", 0, nobody),
          store(4, fp, number, r1),
        ],
    [lookUp(maps.allowances, number), jumpIfImm(r0, "==", 0, nobody)],
  ];
  const check = (allowance: Allowance): Code => [
    // Kernels before 6.3 let no program read what it may not have written.
    storeImm(8, fp, owed(allowance), 0),
    find(allowance, `charge ${allowance}: nobody`),
    load(8, r1, r0, allowanceLayout.owedUntil),
    jumpIf(r1, ">=", r9, `charge ${allowance}: owes`),
    mov(r1, r9),
    labelHere(`charge ${allowance}: owes`),
    loadMapValue(r2, maps.page, allowance === 0 ? preventionPage.interval : preventionPage.intervalOfPayer),
    [load(8, r2, r2, 0), alu("add", r1, r2), store(8, fp, owed(allowance), r1)],
    [alu("sub", r1, r9), loadImm64(r2, BigInt(ALLOWANCE_NS)), jumpIf(r1, ">", r2, "charge: refused")],
    labelHere(`charge ${allowance}: nobody`),
  ];
  const charge = (allowance: Allowance): Code => [
    find(allowance, `charged ${allowance}`),
    [load(8, r1, fp, owed(allowance)), store(8, r0, allowanceLayout.owedUntil, r1)],
    labelHere(`charged ${allowance}`),
  ];
  return [
    // All of them have room, or none pays.
    allowances.map(check),
    allowances.map(charge),
    [loadMap(r1, maps.ended), addTo(r2, fp, file), addTo(r3, fp, scratch + 8), movImm(r4, 0)],
    callHelper(helpers.mapUpdate),
    jump("charge: done"),
    labelHere("charge: refused"),
    [movImm(r1, 1), atomicAdd(8, r0, allowanceLayout.refused, r1)],
    [addToCounter(maps, preventionPage.refused), jump(refused)],
    labelHere("charge: done"),
  ];
}
