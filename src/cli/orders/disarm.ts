// `disarm`: a rule, or every rule, does not act whatever is armed.
import type { Command } from "commander";
import { withDisarmed } from "../../enforcement/override-edits.ts";
import { localTimeOf } from "../../report/local-time.ts";
import { endAfter } from "../../vocabulary/moment.ts";
import { type HostFlags, hostConfigOrLastGood } from "../host-settings.ts";
import { CommandError, exitCodes, warn } from "../output.ts";
import {
  forOption,
  giveOrder,
  orderBy,
  orderCommand,
  orderLength,
  reasonOption,
  unitOption,
} from "./give-order.ts";
import { placeText, ruleToHold, unitNamed } from "./targets.ts";

interface DisarmFlags extends HostFlags {
  readonly all?: boolean;
  readonly unit?: string;
  readonly for?: string;
  readonly reason?: string;
}

export function disarmCommand(): Command {
  return orderCommand("disarm", "keep a rule from acting on this host, whatever the configuration arms")
    .argument("[rule]", "ROLE/RULE")
    .option("--all", "every rule, also those that are armed later")
    .addOption(unitOption())
    .addOption(forOption("only for this long (default: until it is armed again by hand)"))
    .addOption(reasonOption())
    .action((rule: string | undefined, flags: DisarmFlags) => disarm(rule, flags));
}

async function disarm(name: string | undefined, flags: DisarmFlags): Promise<void> {
  if ((name === undefined) !== (flags.all === true))
    throw new CommandError(
      exitCodes.usage,
      "name a rule or --all, one of both",
      "treewarden disarm web/shell",
    );
  const usable = hostConfigOrLastGood(flags, "to decide");
  const { config } = usable;
  const rule = name === undefined ? null : ruleToHold(name, usable);
  const unit = unitNamed(flags.unit);
  const length = flags.for === undefined ? null : orderLength(flags.for);
  await giveOrder(config, {
    kinds: ["arm", "disarm"],
    change: (overrides, now) => {
      const end = length === null ? null : endAfter(length, now);
      const order = { ...orderBy(config, flags, now), rule, unit, except: [], end };
      return withDisarmed(overrides, order, now);
    },
  });
  const until =
    length === null ? "until it is armed by hand" : `until ${localTimeOf(Date.now() + length * 1_000)}`;
  warn(`${rule === null ? "every rule" : rule} is disarmed${placeText(unit, null)} ${until}`);
}
