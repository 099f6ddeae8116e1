// What a run begins with: the files on disk, or, for a service whose files have errors, what was last in force.
import { defaultStateDirectory } from "../config/config.ts";
import { type ConfirmedRule, configuredArming } from "../enforcement/configured-arming.ts";
import { ruleDigests } from "../enforcement/rule-digest.ts";
import { isTerminal } from "../linux/terminal.ts";
import type { Policy } from "../policy/policy.ts";
import { localTimeOf } from "../report/local-time.ts";
import { readOtlpSettings } from "../reporter/read-otlp-settings.ts";
import { readConfirmedRules } from "../warden/confirmed-rules.ts";
import { type LastGood, originOf, readLastGood } from "../warden/last-good.ts";
import { momentNow, ordersInForce, readOverrides } from "../warden/overrides-store.ts";
import { readObservedRules } from "../warden/rule-observation.ts";
import type { RunSettings } from "../warden/warden-plan.ts";
import type { OutputErrors } from "./configuration.ts";
import { readEndpointSecurity } from "./endpoint-security.ts";
import { armedErrors, armedExample, printWhatMayAct } from "./enforcement.ts";
import { hostConfigFile } from "./host-settings.ts";
import { CommandError, type ExitCode, exitCodes, hint, warn } from "./output.ts";
import { policyOrError, policyRefusal } from "./policies.ts";
import { type RunConfig, runConfig } from "./run-config.ts";
import { filesOnDisk, keptFiles, type SettingFiles } from "./setting-files.ts";

/** What a run begins with. */
interface Start extends RunConfig {
  readonly policy: Policy;
}

/** Loads everything that a run needs, and throws a CommandError for the first thing that is wrong. */
function loadStart(
  settings: RunSettings,
  files: SettingFiles,
  outputErrors: OutputErrors = "refused",
): Start {
  const read = runConfig(settings, files, outputErrors);
  const { config, origin } = read;
  // Reports a broken policy before anything is started; the warden loads it again by itself.
  const { policy } = policyOrError(config, "to decide", files);
  const unarmed = armedErrors(config, policy, origin.file);
  if (unarmed.length > 0) throw policyRefusal("the configuration", unarmed);
  return { ...read, policy };
}

/**
 * The files on disk. An error in the section of an output turns that output off. If they have others, a service begins with what was last in force, because a typo must not leave
 * the host unwatched after its next boot; on a terminal, and if nothing was ever in force, that is an error.
 */
export function startWith(settings: RunSettings): Start & { readonly problems: readonly string[] } {
  try {
    return { ...loadStart(settings, filesOnDisk, "turn off"), problems: [] };
  } catch (error) {
    if (!(error instanceof CommandError) || error.code !== exitCodes.usage || isOnTerminal()) throw error;
    const kept = readLastGood(stateDirectoryOf(settings));
    const start = kept && startKept(settings, kept);
    if (kept === undefined || start === undefined) throw error;
    warn(...error.lines);
    if (error.hint !== undefined) hint(error.hint);
    const since = localTimeOf(kept.sinceMs);
    warn(`treewarden begins with the configuration and the policies that were last in force, since ${since}`);
    hint("correct the files, then: treewarden reload");
    return { ...start, origin: originOf(kept), problems: [...error.details, ...error.lines] };
  }
}

function startKept(settings: RunSettings, kept: LastGood): Start | undefined {
  try {
    return loadStart(settings, keptFiles(kept), "turn off");
  } catch {
    // The copies were made by another version, or of another configuration file.
    return undefined;
  }
}

function isOnTerminal(): boolean {
  return [0, 1, 2].some((fd) => isTerminal(fd));
}

/** The state directory; that of the options or the default if the configuration has an error. */
function stateDirectoryOf(settings: RunSettings): string {
  try {
    return hostConfigFile(settings, "to decide", filesOnDisk, "turn off").config.state_directory;
  } catch {
    return settings.stateDir ?? defaultStateDirectory;
  }
}

/** `run --check`: exit code 0, or a CommandError with what is wrong. */
export function checkFiles(settings: RunSettings): ExitCode {
  const start = loadStart(settings, filesOnDisk);
  const otlp = readOtlpSettings(start.config.otlp, process.env);
  for (const note of otlp.notes) warn(note);
  const endpoint = readEndpointSecurity(start.config.metrics.web_config);
  const problems = [...otlp.problems, ...endpoint.problems];
  if (problems.length > 0)
    throw new CommandError(
      exitCodes.usage,
      problems.map(({ text }) => text),
    );
  printEnforcement(start);
  warn(`${start.origin.file ?? "the defaults"} and the policy ${start.policy.role} have no errors`);
  return exitCodes.fine;
}

/** Prints what may act in this run; returns the rules that the configuration arms and that may act. */
export function printEnforcement({ config, origin: { why }, policy }: Start): readonly ConfirmedRule[] {
  if (why !== undefined) {
    warn(why);
    hint(`name the rules that may act: ${armedExample}`);
  }
  const stored = readOverrides(config.state_directory);
  for (const { text } of stored.problems) warn(text);
  const orders = ordersInForce(config.state_directory, stored, momentNow());
  const now = Date.now() / 1_000;
  // What root has confirmed since the last run ended.
  const digests = ruleDigests(policy);
  const byOrder = orders.confirm
    .filter(({ rule, digest }) => digests.get(rule) === digest)
    .map(({ rule }) => ({ rule, since: now, by: "order" as const }));
  // At the first start on a host nothing is newly named: the configuration is what root wants from the beginning.
  const isFirst = readLastGood(config.state_directory) === undefined;
  const arming = configuredArming({
    policy,
    settings: isFirst ? { ...config, armed_since_hours: 0 } : config,
    before: [...readConfirmedRules(config.state_directory), ...byOrder],
    observed: readObservedRules(config.state_directory),
    now,
    mayConfirm: true,
  });
  printWhatMayAct(config, policy, orders, arming);
  return arming.confirmed;
}
