// Writes the orders of root's commands, and has the warden put them into force.
import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import type { Config } from "../../config/config.ts";
import {
  formatOrders,
  LONGEST_ORDER,
  ORDERS_LIMIT,
  OVERRIDES_FOLDER,
  type OverrideKind,
  type Overrides,
  overrideKinds,
  type PauseOrder,
} from "../../enforcement/overrides.ts";
import { tryLock } from "../../linux/flock.ts";
import { printable } from "../../linux/text.ts";
import { messageOf } from "../../vocabulary/errors.ts";
import type { Moment } from "../../vocabulary/moment.ts";
import { momentNow, ordersInForce, overridePath, readOverrides } from "../../warden/overrides-store.ts";
import { writeWhole } from "../baseline/store.ts";
import { wholeSeconds } from "../duration-options.ts";
import { withHostOptions } from "../host-settings.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import { askWarden } from "../request-warden.ts";
import { requester } from "../requester.ts";

/** What a command changes. */
interface OrderEdit {
  readonly kinds: readonly OverrideKind[];
  readonly change: (overrides: Overrides, now: Moment) => Overrides;
}

/** A command that gives an order. */
export function orderCommand(name: string, description: string): Command {
  return withHostOptions(new Command(name).description(description));
}

export const forOption = (what: string): Option => new Option("--for <duration>", what);
export const reasonOption = (): Option =>
  new Option("--reason <text>", "why, for those who read the records");
export const unitOption = (): Option => new Option("--unit <unit>", "only in this systemd unit");

/** Orders that have not ended. */
export function ordersNow(stateDirectory: string): Overrides {
  return ordersInForce(stateDirectory, readOverrides(stateDirectory), momentNow());
}

/**
 * Writes what an edit changes, has the warden read it, and returns the orders in force. The files hold whether a warden
 * runs or not; with one it ends only when the warden has put them into force.
 */
export async function giveOrder(config: Config, { kinds, change }: OrderEdit): Promise<Overrides> {
  const { state_directory: stateDirectory } = config;
  const now = momentNow();
  const edited = locked(stateDirectory, () => {
    const stored = readOverrides(stateDirectory);
    const broken = stored.problems.find(({ kind }) => kinds.includes(kind));
    // Whatever it held would be forgotten, and what was disarmed might act again.
    if (broken !== undefined)
      throw new CommandError(
        exitCodes.usage,
        `${broken.text}; nothing was changed`,
        `after a look at it, remove it: rm ${overridePath(stateDirectory, broken.kind)}`,
      );
    const changed = change(ordersInForce(stateDirectory, stored, now), now);
    for (const kind of overrideKinds)
      if (changed[kind].length > ORDERS_LIMIT)
        throw new CommandError(exitCodes.usage, `there are already ${ORDERS_LIMIT} orders of this kind`);
    for (const kind of kinds) writeWhole(overridePath(stateDirectory, kind), formatOrders(kind, changed));
    return changed;
  });
  const answer = await askWarden(stateDirectory, { kind: "reload-overrides" });
  if (answer === undefined) {
    warn(`no treewarden runs on ${stateDirectory}: the order holds as soon as one starts`);
    return edited;
  }
  for (const problem of answer.problems) warn(problem);
  return edited;
}

/** How long a command waits for another one that gives an order. */
const LOCK_MS = 5_000;

/** Runs `work` while no other command changes the orders. */
function locked<T>(stateDirectory: string, work: () => T): T {
  const folder = join(stateDirectory, OVERRIDES_FOLDER);
  let fd: number;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    fd = openSync(join(folder, "lock"), constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw new CommandError(
      exitCodes.notAllowed,
      `cannot write ${folder}: ${messageOf(error)}`,
      "run it with sudo",
    );
  }
  try {
    const end = performance.now() + LOCK_MS;
    while (!tryLock(fd)) {
      if (performance.now() > end)
        throw new CommandError(exitCodes.fault, `another command holds ${folder}/lock`);
      Bun.sleepSync(5);
    }
    return work();
  } finally {
    closeSync(fd);
  }
}

/** What every order has: a new id, when, who and why. */
export function orderBy(
  { state_directory: stateDirectory }: Config,
  { reason }: { readonly reason?: string },
  now: Moment,
): Pick<PauseOrder, "id" | "since" | "by" | "reason"> {
  const id = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex");
  const why = reason === undefined || reason.trim() === "" ? null : printable(reason).slice(0, 1_000);
  return { id, since: now.wall, by: requester(stateDirectory), reason: why };
}

/** The length of an order in seconds, of `--for`. */
export function orderLength(text: string): number {
  const seconds = wholeSeconds(text, "--for");
  if (seconds > LONGEST_ORDER) throw new CommandError(exitCodes.usage, `--for ${text}: longer than a year`);
  return seconds;
}
