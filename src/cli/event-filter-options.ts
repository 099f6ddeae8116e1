// The options that choose records of the journal.
import { type Command, InvalidArgumentError, Option } from "commander";
import { unitOf } from "../linux/cgroup-names.ts";
import { compileTreeGlob, GlobError } from "../policy/glob.ts";
import { actions } from "../policy/schema.ts";
import type { EventFilter } from "../reporter/event-filter.ts";
import { eitherOf, shownValue } from "../vocabulary/error-text.ts";
import { nearest } from "../vocabulary/nearest.ts";
import { severities } from "../vocabulary/severities.ts";
import { CommandError, exitCodes } from "./output.ts";
import { timeArgument, timeHelp } from "./times.ts";

export interface FilterFlags {
  readonly since?: string;
  readonly until?: string;
  readonly rule?: EventFilter["rule"];
  readonly action?: EventFilter["actions"];
  readonly severity?: EventFilter["severities"];
  readonly pid?: number;
  readonly under?: number;
  readonly tree?: EventFilter["tree"];
  readonly unit?: string;
}

/** Adds the options of a filter to `command`. */
export function withFilterOptions(command: Command): Command {
  const option = <T>(flags: string, help: string, parse: (text: string) => T): Option =>
    new Option(flags, help).argParser(parse);
  return command
    .option("--since <time>", `only events from then on: ${timeHelp}`)
    .option("--until <time>", "only events up to then, given like --since")
    .addOption(option("--rule <rule>", "only verdicts of this rule: RULE or ROLE/RULE", ruleArgument))
    .addOption(option("--action <action>", `only ${actions.join(", ")}; several: a,b`, choiceOf(actions)))
    .addOption(
      option("--severity <severity>", `only ${severities.join(", ")}; several: a,b`, choiceOf(severities)),
    )
    .addOption(option("--pid <pid>", "only events of this process", pidArgument))
    .addOption(option("--under <pid>", "only events of this process and of its descendants", pidArgument))
    .addOption(option("--tree <glob>", "only events of these trees, such as '/**/nginx/**'", treeArgument))
    .addOption(option("--unit <unit>", "only events of this systemd unit, such as nginx", unitArgument));
}

/** The filter that the options ask for. `now`: milliseconds since the epoch. Throws a CommandError. */
export function filterOf(flags: FilterFlags, now: number): EventFilter {
  const { rule, action: chosen, severity, pid, under, tree, unit } = flags;
  const since = flags.since === undefined ? undefined : timeArgument(flags.since, "--since", now);
  const until = flags.until === undefined ? undefined : timeArgument(flags.until, "--until", now);
  if (since !== undefined && until !== undefined && since > until)
    throw new CommandError(
      exitCodes.usage,
      `--since ${flags.since} must be before --until ${flags.until}`,
      "exchange the two",
    );
  return { since, until, rule, actions: chosen, severities: severity, pid, under, tree, unit };
}

function ruleArgument(text: string): NonNullable<EventFilter["rule"]> {
  const [first = "", second, ...rest] = text.split("/");
  if (first === "" || second === "" || rest.length > 0)
    throw new InvalidArgumentError("must be RULE or ROLE/RULE");
  return second === undefined ? { ruleset: undefined, name: first } : { ruleset: first, name: second };
}

function choiceOf<const T extends string>(choices: readonly T[]): (text: string) => readonly T[] {
  return (text) =>
    text.split(",").map((word) => {
      const found = choices.find((choice) => choice === word);
      if (found !== undefined) return found;
      const near = nearest(word, choices);
      const guess = near === undefined ? "" : `: did you mean ${near}?`;
      throw new InvalidArgumentError(`must be ${eitherOf(choices)}, not ${shownValue(word)}${guess}`);
    });
}

/** A process id from an argument, for commander. */
function pidArgument(text: string): number {
  // PID_MAX_LIMIT (linux/threads.h) has seven digits.
  if (!/^[1-9][0-9]{0,6}$/.test(text)) throw new InvalidArgumentError("must be a process id");
  return Number(text);
}

function treeArgument(pattern: string): NonNullable<EventFilter["tree"]> {
  try {
    return { pattern, matches: compileTreeGlob(pattern) };
  } catch (error) {
    if (error instanceof GlobError)
      throw new InvalidArgumentError(`must be a glob over trees: ${error.message}`);
    throw error;
  }
}

/** The unit as it is in records: `nginx` means nginx.service, and an instance loses its name (`getty@.service`). */
function unitArgument(text: string): string {
  const name = /\.(?:service|scope)$/.test(text) ? text : `${text}.service`;
  return unitOf(`/${name}`) ?? name;
}
