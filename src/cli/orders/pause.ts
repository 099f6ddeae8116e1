// `pause` and `resume`: for a while nothing acts.
import type { Command } from "commander";
import { withPause } from "../../enforcement/override-edits.ts";
import type { PauseOrder } from "../../enforcement/overrides.ts";
import { localTimeOf } from "../../report/local-time.ts";
import { parseDuration } from "../../vocabulary/duration.ts";
import { endAfter } from "../../vocabulary/moment.ts";
import { type HostFlags, hostConfigOrLastGood } from "../host-settings.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import {
  forOption,
  giveOrder,
  orderBy,
  orderCommand,
  orderLength,
  ordersNow,
  reasonOption,
} from "./give-order.ts";

interface PauseFlags extends HostFlags {
  readonly for?: string;
  readonly reason?: string;
}

export function pauseCommand(): Command {
  return orderCommand("pause", "for a while let nothing act: verdicts are reported as would_kill")
    .addOption(forOption("how long, at most the configuration's pause.max").makeOptionMandatory())
    .addOption(reasonOption().makeOptionMandatory())
    .action((flags: PauseFlags) => pause(flags));
}

export function resumeCommand(): Command {
  return orderCommand("resume", "end a pause").action((flags: PauseFlags) => resume(flags));
}

async function pause(flags: PauseFlags): Promise<void> {
  const { config } = hostConfigOrLastGood(flags, "to decide");
  const length = orderLength(flags.for ?? "");
  const longest = parseDuration(config.pause.max) ?? 0;
  if (length > longest)
    throw new CommandError(
      exitCodes.usage,
      `--for ${flags.for}: a pause lasts at most ${config.pause.max}`,
      "it can be paused again; pause.max in the configuration is the limit",
    );
  if (flags.reason === undefined || flags.reason.trim() === "")
    throw new CommandError(exitCodes.usage, "a pause must have a reason", 'add --reason "..."');
  const given = await giveOrder(config, {
    kinds: ["pause"],
    change: (overrides, now) => {
      const order: PauseOrder = { ...orderBy(config, flags, now), end: endAfter(length, now) };
      return withPause(overrides, order, now);
    },
  });
  const until = Math.max(...given.pause.map(({ end }) => end.wall));
  warn(`enforcement is paused until ${localTimeOf(until * 1_000)}: nothing acts until then`);
  hint("treewarden resume ends it before");
}

async function resume(flags: PauseFlags): Promise<void> {
  const { config } = hostConfigOrLastGood(flags, "to decide");
  const wasPaused = ordersNow(config.state_directory).pause.length > 0;
  const given = await giveOrder(config, {
    kinds: ["pause"],
    change: (overrides) => ({ ...overrides, pause: [] }),
  });
  warn(wasPaused ? "the pause is over: what is armed acts again" : "enforcement was not paused");
  if (given.disarm.length > 0) hint("treewarden status shows what is disarmed");
}
