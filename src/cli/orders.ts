// `arm`, `disarm`, `pause`, `resume` and `silence`: orders of root to the warden, which hold until they are taken back.
import { closeSync, constants, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import type { Config } from "../config/config.ts";
import { parseDuration } from "../config/duration.ts";
import { defaultRulesetOf } from "../enforcement/arming.ts";
import {
  nextNumber,
  withArmed,
  withDisarmed,
  withPause,
  withSilence,
} from "../enforcement/override-edits.ts";
import {
  formatOrders,
  LONGEST_ORDER,
  ORDERS_LIMIT,
  OVERRIDES_FOLDER,
  type OverrideKind,
  type Overrides,
  overrideKinds,
  type PauseOrder,
  type SilenceOrder,
} from "../enforcement/overrides.ts";
import { unitOf } from "../linux/cgroup-names.ts";
import { tryLock } from "../linux/flock.ts";
import { printable } from "../linux/text.ts";
import { compileTreeGlob } from "../policy/glob.ts";
import type { Policy } from "../policy/policy.ts";
import { ruleKey } from "../policy/rule-state.ts";
import { DEFAULT_RULE } from "../policy/schema.ts";
import { localTimeOf } from "../report/local-time.ts";
import { messageOf } from "../vocabulary/errors.ts";
import { endAfter, type Moment } from "../vocabulary/moment.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { momentNow, ordersInForce, overridePath, readOverrides } from "../warden/overrides-store.ts";
import { writeWhole } from "./baseline/store.ts";
import { wholeSeconds } from "./duration-options.ts";
import { enforcementOf } from "./enforcement.ts";
import {
  type HostFlags,
  hostConfigFile,
  hostConfigOrLastGood,
  type UsableConfig,
  withHostOptions,
} from "./host-settings.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";
import { loadSettings } from "./policies.ts";
import { askWarden } from "./request-warden.ts";
import { requester } from "./requester.ts";
import { userId } from "./user-option.ts";

interface OrderFlags extends HostFlags {
  readonly unit?: string;
  readonly user?: string;
  readonly tree?: string;
  readonly for?: string;
  readonly reason?: string;
  readonly all?: boolean;
  readonly list?: boolean;
  readonly end?: string;
}

/** What a command changes. */
interface Edit {
  readonly kinds: readonly OverrideKind[];
  readonly change: (overrides: Overrides, now: Moment) => Overrides;
}

function command(name: string, description: string): Command {
  return withHostOptions(new Command(name).description(description));
}

const forOption = (what: string): Option => new Option("--for <duration>", what);
const reasonOption = (): Option => new Option("--reason <text>", "why, for those who read the records");
const unitOption = (): Option => new Option("--unit <unit>", "only in this systemd unit");

export function armCommand(): Command {
  return command("arm", "let a rule act on this host, besides what the configuration arms")
    .argument("<rule>", "ROLE/RULE")
    .addOption(unitOption())
    .option("--user <user>", "only for programs of this effective user, by name or number")
    .addOption(reasonOption())
    .action((rule: string, flags: OrderFlags) => arm(rule, flags));
}

export function disarmCommand(): Command {
  return command("disarm", "keep a rule from acting on this host, whatever the configuration arms")
    .argument("[rule]", "ROLE/RULE")
    .option("--all", "every rule, also those that are armed later")
    .addOption(unitOption())
    .addOption(forOption("only for this long (default: until it is armed again by hand)"))
    .addOption(reasonOption())
    .action((rule: string | undefined, flags: OrderFlags) => disarm(rule, flags));
}

export function pauseCommand(): Command {
  return command("pause", "for a while let nothing act: verdicts are reported as would_kill")
    .addOption(forOption("how long, at most the configuration's pause.max").makeOptionMandatory())
    .addOption(reasonOption().makeOptionMandatory())
    .action((flags: OrderFlags) => pause(flags));
}

export function resumeCommand(): Command {
  return command("resume", "end a pause").action((flags: OrderFlags) => resume(flags));
}

export function silenceCommand(): Command {
  return command("silence", "for a while do not alert by a rule; its verdicts are counted and journaled")
    .argument("[rule]", "ROLE/RULE")
    .option("--tree <glob>", "only for trees, or exact trees, that fit, such as /**/backup.sh/**")
    .addOption(unitOption())
    .addOption(forOption("how long"))
    .addOption(reasonOption())
    .option("--list", "show the silences in force")
    .option("--end <number>", "end the silence of this number")
    .action((rule: string | undefined, flags: OrderFlags) => silence(rule, flags));
}

async function arm(name: string, flags: OrderFlags): Promise<void> {
  const { config, file } = hostConfigFile(flags, "to decide");
  const policy = policyOrRefuse(config);
  const rule = ruleNamed(name, policy);
  const unit = unitNamed(flags);
  const user = flags.user === undefined ? null : userId(flags.user);
  await give(config, {
    kinds: ["arm", "disarm"],
    change: (overrides, now) => withArmed(overrides, { ...orderBy(config, flags, now), rule, unit, user }),
  });
  const where = placeText(unit, user);
  warn(`${rule} is armed${where}`);
  const action = policy.rules.find((each) => ruleKey(each) === rule)?.action;
  if (action !== undefined && action !== "kill") hint(`its action is ${action}: it kills nothing`);
  const { enforcement } = enforcementOf(config, undefined, file);
  if (enforcement === "observe") hint("nothing will act: the configuration's enforcement is observe");
  const { pause: pauses } = inForce(config.state_directory);
  if (pauses.length > 0) hint("nothing acts while enforcement is paused: treewarden resume ends that");
}

async function disarm(name: string | undefined, flags: OrderFlags): Promise<void> {
  if ((name === undefined) !== (flags.all === true))
    throw new CommandError(
      exitCodes.usage,
      "name a rule or --all, one of both",
      "treewarden disarm web/shell",
    );
  const usable = hostConfigOrLastGood(flags, "to decide");
  const { config } = usable;
  const rule = name === undefined ? null : ruleToHold(name, usable);
  const unit = unitNamed(flags);
  const length = flags.for === undefined ? null : orderLength(flags.for);
  await give(config, {
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

async function pause(flags: OrderFlags): Promise<void> {
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
  const given = await give(config, {
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

async function resume(flags: OrderFlags): Promise<void> {
  const { config } = hostConfigOrLastGood(flags, "to decide");
  const wasPaused = inForce(config.state_directory).pause.length > 0;
  const given = await give(config, {
    kinds: ["pause"],
    change: (overrides) => ({ ...overrides, pause: [] }),
  });
  warn(wasPaused ? "the pause is over: what is armed acts again" : "enforcement was not paused");
  if (given.disarm.length > 0) hint("treewarden status shows what is disarmed");
}

async function silence(name: string | undefined, flags: OrderFlags): Promise<void> {
  const modes = [name !== undefined, flags.list === true, flags.end !== undefined].filter(Boolean);
  if (modes.length !== 1)
    throw new CommandError(exitCodes.usage, "name a rule, or give --list or --end, one of them");
  const usable = hostConfigOrLastGood(flags, "to decide");
  const { config } = usable;
  if (flags.list) {
    process.stdout.write(silencesText(inForce(config.state_directory)));
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
  const unit = unitNamed(flags);
  const tree = flags.tree === undefined ? null : treeGlob(flags.tree);
  const given = await give(config, {
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
  const isThere = inForce(config.state_directory).silence.some(({ number }) => String(number) === text);
  if (!isThere)
    throw new CommandError(
      exitCodes.no,
      `there is no silence ${text}`,
      "treewarden silence --list shows them",
    );
  await give(config, {
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

/** Orders that have not ended. */
function inForce(stateDirectory: string): Overrides {
  return ordersInForce(stateDirectory, readOverrides(stateDirectory), momentNow());
}

/**
 * Writes what an edit changes, has the warden read it, and returns the orders in force. The files hold whether a warden
 * runs or not; with one it ends only when the warden has put them into force.
 */
async function give(config: Config, { kinds, change }: Edit): Promise<Overrides> {
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

function orderBy(
  { state_directory: stateDirectory }: Config,
  { reason }: OrderFlags,
  now: Moment,
): Pick<PauseOrder, "id" | "since" | "by" | "reason"> {
  const id = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex");
  const why = reason === undefined || reason.trim() === "" ? null : printable(reason).slice(0, 1_000);
  return { id, since: now.wall, by: requester(stateDirectory), reason: why };
}

function orderLength(text: string): number {
  const seconds = wholeSeconds(text, "--for");
  if (seconds > LONGEST_ORDER) throw new CommandError(exitCodes.usage, `--for ${text}: longer than a year`);
  return seconds;
}

function policyOrRefuse(config: Config): Policy {
  const result = loadSettings(config, "to decide");
  if (result.ok) return result.policy;
  throw new CommandError(
    exitCodes.usage,
    "the policy has errors, so that nothing can be armed",
    "treewarden policy check shows them",
  );
}

/** The rule's full name. A name that the policy does not have is an error with the nearest one. */
function ruleNamed(name: string, policy: Policy): string {
  const byDefault = { ruleset: defaultRulesetOf(policy), id: DEFAULT_RULE };
  const keys = [...policy.rules, byDefault].map(ruleKey);
  const found = keys.filter((key) => key === name || key.endsWith(`/${name}`));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const meant = nearest(name, keys);
  throw new CommandError(
    exitCodes.usage,
    found.length > 1
      ? `${printable(name)} can be ${found.join(" or ")}`
      : `there is no rule ${printable(name)}`,
    meant === undefined ? "treewarden policy show lists the rules" : `did you mean ${meant}?`,
  );
}

/** As `ruleNamed`, but with a policy that has errors the name is believed: less must always be possible. */
function ruleToHold(name: string, { config, files }: UsableConfig): string {
  const result = loadSettings(config, "to decide", files);
  if (result.ok) return ruleNamed(name, result.policy);
  if (!/^[A-Za-z0-9][\w.+-]*\/[A-Za-z0-9][\w.-]*$/.test(name))
    throw new CommandError(exitCodes.usage, `${printable(name)} must be ROLE/RULE`);
  warn("the policy has errors, so that the rule's name cannot be checked");
  return name;
}

/** The unit as processes show it: without the name of an instance. */
function unitNamed({ unit }: OrderFlags): string | null {
  if (unit === undefined) return null;
  const folded = unitOf(`/system.slice/${unit}`);
  if (folded === null || unit.includes("/"))
    throw new CommandError(
      exitCodes.usage,
      `--unit must be a unit such as nginx.service, not ${printable(unit)}`,
      "process.unit in the records names them",
    );
  return folded;
}

function treeGlob(pattern: string): string {
  try {
    compileTreeGlob(pattern);
    return pattern;
  } catch (error) {
    throw new CommandError(exitCodes.usage, `--tree ${printable(pattern)}: ${messageOf(error)}`);
  }
}

function placeText(unit: string | null, user: number | null): string {
  return `${unit === null ? "" : ` in ${unit}`}${user === null ? "" : ` for user ${user}`}`;
}
