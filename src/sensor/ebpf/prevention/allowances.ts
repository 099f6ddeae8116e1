// Limits how many different programs the kernel ends in a minute. More of them mean that a policy is wrong or is being abused:
// they are left to user space, which has a budget of its own. A program that was ended before costs nothing, and no user or
// container can use up more than its own allowance, which is half of the host's.
//
// An allowance works like a leaky bucket with one number: the time at which nothing is owed any more. A program adds an interval
// to it, and is refused if more than a minute would then be owed.
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

/** The bytes of stack that `chargeEnd` uses: the number of an allowance, and until when each of the three would owe. */
export const CHARGE_STACK = 8 + 3 * 8;

/** The allowances that a program is charged to: 0 is the host's, 1 and 2 are those of the two payers of an entry. */
const allowances = [0, 1, 2] as const;
type Allowance = (typeof allowances)[number];

/**
 * Charges the host, and the payers whose numbers are on the stack at `payers`, for ending the file whose key is on the stack at
 * `file`, and remembers the file in `ended`. r9 is the time now (ns, CLOCK_MONOTONIC). If an allowance is used up, nothing is
 * charged, the refusal is counted, and this jumps to `refused`. Uses CHARGE_STACK bytes from `scratch` on. Loses r0 to r5.
 *
 * Two CPUs that charge at the same moment may write the same value, so that two programs are paid for once. The limit may be
 * exceeded by that much.
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
    // Either all three have room, or none is charged.
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
