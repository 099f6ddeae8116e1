// `treewarden reload`: has the running warden read configuration, policies and baselines again, and shows what changed.
import { Command } from "commander";
import { defaultStateDirectory } from "../config/config.ts";
import type { WardenAnswer } from "../warden/warden-answer.ts";
import type { WardenStatus } from "../warden/warden-status.ts";
import { CONFIRM_HINT } from "./enforcement.ts";
import { configOption, type HostFlags, hostConfig, stateDirOption } from "./host-settings.ts";
import { CommandError, exitCodes, hint, warn } from "./output.ts";
import { askWarden, isWardenRunning, noWardenRuns } from "./request-warden.ts";
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
 * The longest time, in ms, that the command takes. A reload that changes `enforcement` is answered by the warden's successor:
 * a warden waits 20 s for one, and is then started again, and that answers. The unit gives ExecReload 60 s.
 */
const LIMIT_MS = 45_000;
const NOTICE_MS = 5_000;

async function reload(flags: HostFlags): Promise<void> {
  const stateDirectory = stateDirectoryOf(flags);
  const end = performance.now() + LIMIT_MS;
  const ask = (kind: "status" | "reload"): Promise<WardenAnswer | undefined> =>
    askWarden(
      stateDirectory,
      { kind },
      { limitMs: end - performance.now(), intervalMs: NOTICE_MS, onWaiting: warnOfWaiting },
    );
  const before = (await ask("status"))?.status;
  const answer = await ask("reload");
  if (answer === undefined) throw noWardenRuns(stateDirectory);
  const { problems, notes } = answer;
  if (problems.length > 0)
    throw new CommandError(
      exitCodes.usage,
      [...problems, "the files were refused: what was in force stays in force"],
      "correct them and reload again; treewarden run --check checks them",
    );
  // A warden that has capabilities to give up is replaced after it has answered.
  const after = (await ask("status"))?.status;
  if (before && after) {
    const held = after.enforcement === "observe" ? [] : heldRules(after);
    warn(...changesOf(before, after), ...held);
    if (held.length > 0) hint(CONFIRM_HINT);
  }
  if (notes.length > 0) warn(...notes);
}

function warnOfWaiting(seconds: number): void {
  warn(`the warden has not answered for ${seconds} s: it may be starting or being replaced; waiting`);
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
