// `silence`: for a while the verdicts of a rule alert nobody.
import type { Command } from "commander";
import type { Config } from "../../config/config.ts";
import { nextNumber, withSilence } from "../../enforcement/override-edits.ts";
import type { Overrides, SilenceOrder } from "../../enforcement/overrides.ts";
import { printable } from "../../linux/text.ts";
import { localTimeOf } from "../../report/local-time.ts";
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
  unitOption,
} from "./give-order.ts";
import { placeText, ruleToHold, treeGlob, unitNamed } from "./targets.ts";

interface SilenceFlags extends HostFlags {
  readonly unit?: string;
  readonly tree?: string;
  readonly for?: string;
  readonly reason?: string;
  readonly list?: boolean;
  readonly end?: string;
}

export function silenceCommand(): Command {
  return orderCommand("silence", "for a while do not alert by a rule; its verdicts are counted and journaled")
    .argument("[rule]", "ROLE/RULE")
    .option("--tree <glob>", "only for trees, or exact trees, that fit, such as /**/backup.sh/**")
    .addOption(unitOption())
    .addOption(forOption("how long"))
    .addOption(reasonOption())
    .option("--list", "show the silences in force")
    .option("--end <number>", "end the silence of this number")
    .action((rule: string | undefined, flags: SilenceFlags) => silence(rule, flags));
}

async function silence(name: string | undefined, flags: SilenceFlags): Promise<void> {
  const modes = [name !== undefined, flags.list === true, flags.end !== undefined].filter(Boolean);
  if (modes.length !== 1)
    throw new CommandError(exitCodes.usage, "name a rule, or give --list or --end, one of them");
  const usable = hostConfigOrLastGood(flags, "to decide");
  const { config } = usable;
  if (flags.list) {
    process.stdout.write(silencesText(ordersNow(config.state_directory)));
    return;
  }
  if (flags.end !== undefined) return endSilence(flags.end, config);
  if (flags.for === undefined || flags.reason === undefined || flags.reason.trim() === "")
    throw new CommandError(
      exitCodes.usage,
      "a silence must have an end and a reason",
      'add --for 1h --reason "..."',
    );
  const length = orderLength(flags.for);
  const rule = ruleToHold(name ?? "", usable);
  const unit = unitNamed(flags.unit);
  const tree = flags.tree === undefined ? null : treeGlob(flags.tree);
  const given = await giveOrder(config, {
    kinds: ["silence"],
    change: (overrides, now) => {
      const end = endAfter(length, now);
      const number = nextNumber(overrides);
      return withSilence(overrides, { ...orderBy(config, flags, now), number, rule, tree, unit, end });
    },
  });
  const order = given.silence.at(-1);
  if (order === undefined) return;
  warn(`${rule} is silenced${silencePlace(order)} until ${localTimeOf(order.end.wall * 1_000)}`);
  hint(`it still acts where it is armed; treewarden silence --end ${order.number} ends the silence`);
}

async function endSilence(text: string, config: Config): Promise<void> {
  const isThere = ordersNow(config.state_directory).silence.some(({ number }) => String(number) === text);
  if (!isThere)
    throw new CommandError(
      exitCodes.no,
      `there is no silence ${text}`,
      "treewarden silence --list shows them",
    );
  await giveOrder(config, {
    kinds: ["silence"],
    change: (overrides) => ({
      ...overrides,
      silence: overrides.silence.filter(({ number }) => String(number) !== text),
    }),
  });
  warn(`silence ${text} is over`);
}

function silencesText({ silence: orders }: Overrides): string {
  if (orders.length === 0) return "nothing is silenced\n";
  return orders
    .map((order) => {
      const { number, rule, end, reason } = order;
      return `${number}  ${rule}${silencePlace(order)}  until ${localTimeOf(end.wall * 1_000)}  ${printable(reason ?? "-")}\n`;
    })
    .join("");
}

/** The trees and the unit that a silence is for; empty if it is for all. */
function silencePlace({ tree, unit }: SilenceOrder): string {
  return printable(`${tree === null ? "" : ` in ${tree}`}${placeText(unit, null)}`);
}
