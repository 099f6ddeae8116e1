// `arm`: a rule may act besides what the configuration arms; `arm --confirm`: one that the configuration arms may act.
// Before that, it shows what the rule would hit of what this host is known to run.
import type { Command } from "commander";
import type { Config } from "../../config/config.ts";
import { observationText, observedAsItIs } from "../../enforcement/configured-arming.ts";
import { withArmed, withoutArmed } from "../../enforcement/override-edits.ts";
import type { ArmTarget } from "../../enforcement/overrides.ts";
import { ruleDigests } from "../../enforcement/rule-digest.ts";
import { ownArguments } from "../../linux/spawn.ts";
import { printable } from "../../linux/text.ts";
import type { Policy } from "../../policy/policy.ts";
import { ruleKey } from "../../policy/rule-state.ts";
import { actsOnTree, needsArming } from "../../policy/schema.ts";
import { readObservedRules } from "../../warden/rule-observation.ts";
import { enforcementOf } from "../enforcement.ts";
import { type HostFlags, hostConfigWithFile } from "../host-settings.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import { askWarden, noWardenRuns } from "../request-warden.ts";
import { userId } from "../user-option.ts";
import { giveOrder, orderBy, orderCommand, ordersNow, reasonOption, unitOption } from "./give-order.ts";
import { type ArmedRules, placeText, policyOrRefuse, ruleNamed, unitNamed } from "./targets.ts";

interface ArmFlags extends HostFlags {
  readonly unit?: string;
  readonly user?: string;
  readonly reason?: string;
  readonly anyway?: boolean;
  readonly confirm?: boolean;
  readonly end?: boolean;
}

/** Records that are judged, each in some 0.05 to 0.15 ms of CPU time: the journal may have millions. */
const JUDGED_RECORDS = 30_000;
/** A host whose CPUs others take, or whose disk does not answer, must not keep an order from being given. */
const IMPACT_SECONDS = 60;

const armHelp = `
Before it arms a rule, arm judges by it what the baseline and the newest 30000 records of the journal know this host to
run. If the rule would hit any of that, or was not observed for armed_since_hours (168) as it is now and without loss, arm
ends with exit code 1 and changes nothing; --anyway arms it all the same. This is advice: the journal belongs to the
reporter, and does not have every exec.

Examples:
  treewarden arm shop/shell --unit shop.service --reason CHG-41
  treewarden arm shop/shell --unit shop.service --end      the configuration alone decides again
  treewarden arm --confirm                                 rules that the configuration newly arms may act
`;

export function armCommand(): Command {
  return orderCommand("arm", "let a rule act on this host, besides what the configuration arms")
    .argument("[rule]", "ROLE/RULE")
    .addOption(unitOption())
    .option("--user <user>", "only for programs of this effective user, by name or number")
    .option("--anyway", "although it would hit what is known, or was not observed for long enough")
    .option("--end", "take back an order to arm: what the configuration says holds again")
    .option("--confirm", "let rules act that the configuration newly arms: this one, or all of them")
    .addOption(reasonOption())
    .addHelpText("after", armHelp)
    .action((rule: string | undefined, flags: ArmFlags) => arm(rule, flags));
}

async function arm(name: string | undefined, flags: ArmFlags): Promise<void> {
  const { config, file } = hostConfigWithFile(flags, "to decide");
  if (flags.confirm === true) return confirm(name, flags);
  if (name === undefined) throw new CommandError(exitCodes.usage, "name a rule", "treewarden arm web/shell");
  const policy = policyOrRefuse(config);
  const rule = ruleNamed(name, policy);
  const user = flags.user === undefined ? null : userId(flags.user);
  const target: ArmTarget = { rule, unit: unitNamed(flags.unit), user };
  if (flags.end === true) return endArm(target, config);
  const action = policy.rules.find((each) => ruleKey(each) === rule)?.action;
  const mayEnd = action === undefined || actsOnTree(action);
  if (mayEnd && flags.anyway !== true) await refuseUnlessHarmless(target, flags, config, policy);
  await giveOrder(config, {
    kinds: ["arm", "disarm"],
    change: (overrides, now) => withArmed(overrides, { ...orderBy(config, flags, now), ...target }),
  });
  warn(`${rule} is armed${placeText(target.unit, user)}`);
  if (!mayEnd && !needsArming[action]) hint(`its action is ${action}: it kills nothing`);
  const { enforcement } = enforcementOf(config, undefined, file);
  if (enforcement === "observe") hint("nothing will act: the configuration's enforcement is observe");
  if (ordersNow(config.state_directory).pause.length > 0)
    hint("nothing acts while enforcement is paused: treewarden resume ends that");
}

async function endArm(target: ArmTarget, config: Config): Promise<void> {
  const { rule, unit, user } = target;
  const where = placeText(unit, user);
  const isGiven = ordersNow(config.state_directory).arm.some(
    (order) => order.rule === rule && order.unit === unit && order.user === user,
  );
  if (!isGiven)
    throw new CommandError(
      exitCodes.no,
      `there is no order to arm ${rule}${where}`,
      "treewarden status shows the orders, each with its unit and user",
    );
  await giveOrder(config, {
    kinds: ["arm", "disarm"],
    change: (overrides) => withoutArmed(overrides, target),
  });
  warn(`the order to arm ${rule}${where} is taken back: what the configuration says holds`);
}

/** Shows what the rule would hit. Throws a CommandError if that is known, or the rule is too new to judge it. */
async function refuseUnlessHarmless(
  target: ArmTarget,
  flags: ArmFlags,
  config: Config,
  policy: Policy,
): Promise<void> {
  const { rule } = target;
  const hours = config.armed_since_hours;
  const seen = observedAsItIs(rule, ruleDigests(policy), readObservedRules(config.state_directory));
  warn(`${rule}: ${observationText(seen, hours)}`);
  const impact = await showImpact({ ...target, rules: [rule] }, flags);
  const reasons = [
    ...(impact === "unknown" ? ["what it would hit is not known"] : []),
    ...(impact === "hits" || seen.hits > 0 ? ["it would hit what this host is known to run"] : []),
    ...(seen.seconds < hours * 3_600 ? [`it must be observed for ${hours} hours`] : []),
  ];
  if (reasons.length > 0)
    throw new CommandError(
      exitCodes.no,
      [...reasons.map((reason) => `${rule}: ${reason}`), "nothing was changed"],
      "with --anyway it is armed all the same",
    );
}

/** Shows what the rules would hit of what the baseline and the newest records of the journal know. */
async function showImpact(
  { rules, unit, user }: ArmedRules,
  flags: ArmFlags,
): Promise<"none" | "hits" | "unknown"> {
  const words = ["policy", "impact", "--limit", String(JUDGED_RECORDS)];
  for (const rule of rules) words.push("--rule", rule);
  if (unit !== null) words.push("--unit", unit);
  if (user !== null) words.push("--user", String(user));
  if (flags.config !== undefined) words.push("--config", flags.config);
  if (flags.stateDir !== undefined) words.push("--state-dir", flags.stateDir);
  // A process of its own, because it gives up root's rights before it reads the journal.
  const impact = Bun.spawn(["/proc/self/exe", ...ownArguments(), ...words], {
    argv0: "treewarden",
    stdio: ["ignore", "inherit", "inherit"],
    timeout: IMPACT_SECONDS * 1_000,
    killSignal: "SIGKILL",
  });
  const code = await impact.exited;
  if (code > exitCodes.no) {
    const why =
      impact.signalCode === "SIGKILL" ? `judging took more than ${IMPACT_SECONDS} s` : "judging failed";
    warn(`what ${rules.join(", ")} would hit is not known: ${why}`);
    return "unknown";
  }
  hint("this is advice: the journal belongs to the reporter, and does not have every exec");
  return code === exitCodes.no ? "hits" : "none";
}

/** Confirms rules that the configuration newly arms: the one that is named, or all that wait for it. */
async function confirm(name: string | undefined, flags: ArmFlags): Promise<void> {
  if (flags.unit !== undefined || flags.user !== undefined)
    throw new CommandError(
      exitCodes.usage,
      "--confirm concerns the configuration, which knows no unit or user",
    );
  const { config } = hostConfigWithFile(flags, "to decide");
  const status = (await askWarden(config.state_directory, { kind: "status" }))?.status;
  if (!status) throw noWardenRuns(config.state_directory);
  const waiting = status.rules.flatMap(({ rule, held }) => (held === null ? [] : [{ rule, held }]));
  const wanted = waiting.filter(
    ({ rule }) => name === undefined || rule === name || rule.endsWith(`/${name}`),
  );
  if (wanted.length === 0)
    throw new CommandError(
      exitCodes.no,
      name === undefined
        ? "no rule waits to be confirmed"
        : `${printable(name)} does not wait to be confirmed`,
      "treewarden status shows what the configuration arms; treewarden reload reads it again",
    );
  for (const { rule, held } of wanted) warn(`${rule}: ${observationText(held, status.armedSinceHours)}`);
  await showImpact({ rules: wanted.map(({ rule }) => rule), unit: null, user: null }, flags);
  await giveOrder(config, {
    kinds: ["confirm"],
    change: (overrides, now) => ({
      ...overrides,
      confirm: [
        ...overrides.confirm,
        ...wanted.map(({ rule, held: { digest } }) => ({ ...orderBy(config, flags, now), rule, digest })),
      ],
    }),
  });
  for (const { rule } of wanted) warn(`${rule} is confirmed: it acts as the configuration arms it`);
}
