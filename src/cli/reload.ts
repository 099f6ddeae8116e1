// `treewarden reload`: has the running warden read configuration, policies and baselines again, and shows what changed.
import { Command } from "commander";
import { defaultStateDirectory } from "../config/config.ts";
import type { WardenStatus } from "../warden/warden-status.ts";
import { CONFIRM_HINT } from "./enforcement.ts";
import { configOption, type HostFlags, hostConfig, stateDirOption } from "./host-settings.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";
import { type AnswerWait, askWarden, isWardenRunning, noWardenRuns } from "./request-warden.ts";
import { rulesText } from "./rules-text.ts";
import { heldRules } from "./status.ts";

export function reloadCommand(): Command {
  return new Command("reload")
    .description(
      "have the running warden read its configuration, policies and baselines again; exit code 2 if it refuses them",
    )
    .addOption(configOption())
    .addOption(stateDirOption())
    .action((flags: HostFlags) => reload(flags));
}

/**
 * A reload that changes `enforcement` is answered by the warden's successor. A warden waits 20 s for that, and is then
 * started again, which answers too. systemd gives ExecReload 90 s.
 */
const LIMIT_S = 60;

const wait: AnswerWait = {
  limitMs: LIMIT_S * 1_000,
  intervalMs: 5_000,
  onWaiting: (seconds) =>
    warn(`waiting for the warden, which may be replaced: ${seconds} s of at most ${LIMIT_S}`),
};

async function reload(flags: HostFlags): Promise<void> {
  const stateDirectory = stateDirectoryOf(flags);
  const before = (await askWarden(stateDirectory, { kind: "status" }, wait))?.status;
  const answer = await askWarden(stateDirectory, { kind: "reload" }, wait);
  if (answer === undefined) throw noWardenRuns(stateDirectory);
  const { problems, notes } = answer;
  if (problems.length > 0)
    throw new CommandError(
      exitCodes.usage,
      [...problems, "the files were refused: what was in force stays in force"],
      "correct them and reload again; treewarden run --check checks them",
    );
  // A warden that has capabilities to give up is replaced after it has answered.
  const after = (await askWarden(stateDirectory, { kind: "status" }, wait))?.status;
  if (before && after) {
    const held = after.enforcement === "observe" ? [] : heldRules(after);
    warn(...changesOf(before, after), ...held);
    if (held.length > 0) hint(CONFIRM_HINT);
  }
  if (notes.length > 0) warn(...notes);
}

/** A configuration with errors is refused by the warden, so that the journal and `status` have it too. */
function stateDirectoryOf(flags: HostFlags): string {
  try {
    return hostConfig(flags, "to decide").state_directory;
  } catch (error) {
    const likely = flags.stateDir ?? defaultStateDirectory;
    if (error instanceof CommandError && isWardenRunning(likely)) return likely;
    throw error;
  }
}

function changesOf(before: WardenStatus, after: WardenStatus): readonly string[] {
  const changes: string[] = [];
  const compare = (what: string, was: string, is: string): void => {
    if (was !== is) changes.push(`${what}: ${was} -> ${is}`);
  };
  compare("enforcement", before.enforcement, after.enforcement);
  compare("policy", policyText(before), policyText(after));
  compare(
    "configuration",
    before.configuration.digest ?? "defaults",
    after.configuration.digest ?? "defaults",
  );
  compare("baseline", baselineText(before), baselineText(after));
  const armed = ({ enforcement, rules }: WardenStatus): ReadonlyMap<string, string> =>
    new Map(
      enforcement === "observe"
        ? []
        : rules.filter((rule) => rule.armed !== "nowhere").map(({ rule, action }) => [rule, action]),
    );
  for (const [rule, action] of armed(after))
    if (armed(before).get(rule) !== action) changes.push(`may ${action} now: ${rule}`);
  for (const [rule, action] of armed(before))
    if (armed(after).get(rule) !== action) changes.push(`may not ${action} any more: ${rule}`);
  const named = ({ rules }: WardenStatus): ReadonlySet<string> =>
    new Set(rules.filter(({ byConfiguration }) => byConfiguration).map(({ rule }) => rule));
  if (after.enforcement !== "observe")
    for (const { rule, armed: where, held } of after.rules)
      if (named(after).has(rule) && !named(before).has(rule) && where === "nowhere" && held === null)
        changes.push(`stays disarmed by hand: ${rule}`);
  return changes.length === 0 ? ["reloaded: nothing has changed"] : changes;
}

function policyText({ policy }: WardenStatus): string {
  return `${policy.role} ${policy.version}, ${rulesText(policy.rules)}`;
}

function baselineText({ baseline }: WardenStatus): string {
  return baseline === null
    ? "none"
    : `${baseline.trees} trees${baseline.digest === null ? "" : ` ${baseline.digest}`}`;
}
