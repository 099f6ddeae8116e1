// `baseline exclude`: adds, lists and tests the exclusions, which hide unknown trees during maintenance.
import { parseTime, timeText } from "../../baseline/baseline-file.ts";
import {
  type Exclusion,
  formatExclusion,
  formatExclusions,
  hasEnded,
  hiddenBy,
  parseExclusion,
} from "../../baseline/exclusions.ts";
import { printable } from "../../linux/text.ts";
import { globCompilers } from "../../policy/glob.ts";
import { localTimeOf } from "../../report/local-time.ts";
import { shownValue } from "../../vocabulary/error-text.ts";
import { nearest } from "../../vocabulary/nearest.ts";
import { momentNow } from "../../warden/overrides-store.ts";
import { wholeSeconds } from "../duration-options.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { loadExclusions } from "../request-warden.ts";
import { userId } from "../user-option.ts";
import { excludedText, findUnknown } from "./compare.ts";
import { jsonLine, nowSeconds } from "./entry-output.ts";
import { exclusionEnd } from "./exclusion-end.ts";
import type { BaselineHost } from "./host.ts";
import { appendExclusions, compiledExclusions, readExclusions, replaceExclusions } from "./store.ts";

export interface PatternFlags {
  readonly user?: string;
  readonly scope?: string;
  readonly for?: string;
  readonly until?: string;
  readonly reason?: string;
  readonly output: OutputFormat;
}

/** Returns once the exclusion is in force. */
export async function addExclusion(tree: string, flags: PatternFlags, host: BaselineHost): Promise<void> {
  const added = exclusionOf(tree, flags);
  if (added.reason === "")
    throw new CommandError(exitCodes.usage, "an exclusion must have a reason", 'add --reason "..."');
  appendExclusions(host.stateDirectory, [added]);
  await loadExclusions(host.stateDirectory);
  warn(
    `${added.tree} is excluded ${added.until === undefined ? "permanently" : `until ${localTimeOf(added.until * 1_000)}`}`,
  );
  hint("show what it hides: treewarden baseline exclude test");
}

export interface RemoveFlags {
  readonly user?: string;
  readonly scope?: string;
  readonly all?: boolean;
  readonly ended?: boolean;
}

/**
 * Removes the exclusion of this pattern; of several with the same pattern those that `--user` and `--scope` select, or
 * all of them. `--ended` removes every exclusion that has ended. Returns once the others are in force alone.
 */
export async function removeExclusions(
  tree: string | undefined,
  flags: RemoveFlags,
  host: BaselineHost,
): Promise<void> {
  if ((tree === undefined) !== (flags.ended === true))
    throw new CommandError(exitCodes.usage, "either a pattern or --ended must be given");
  const exclusions = readExclusions(host.stateDirectory);
  const removed = tree === undefined ? endedOf(exclusions) : selected(exclusions, printable(tree), flags);
  if (removed.length === 0)
    throw new CommandError(
      exitCodes.no,
      tree === undefined ? "no exclusion has ended" : `no exclusion has the pattern ${tree}`,
      nearestPattern(tree, exclusions),
    );
  if (tree !== undefined && removed.length > 1 && flags.all !== true)
    throw new CommandError(
      exitCodes.usage,
      [
        `${removed.length} exclusions have the pattern ${tree}:`,
        ...removed.map((one) => formatExclusion(one).replaceAll("\t", "  ")),
      ],
      "select one with --user or --scope, or remove them with --all",
    );
  replaceExclusions(
    host.stateDirectory,
    exclusions.filter((one) => !removed.includes(one)),
  );
  await loadExclusions(host.stateDirectory);
  for (const { tree: pattern, change } of removed)
    warn(change === undefined ? `${pattern} is no longer excluded` : `change ${change.id} has ended`);
}

function endedOf(exclusions: readonly Exclusion[]): readonly Exclusion[] {
  const now = momentNow();
  return exclusions.filter((exclusion) => hasEnded(exclusion, now));
}

function selected(
  exclusions: readonly Exclusion[],
  pattern: string,
  flags: RemoveFlags,
): readonly Exclusion[] {
  const user = flags.user === undefined ? undefined : userId(flags.user);
  return exclusions.filter(
    (one) =>
      one.change === undefined &&
      one.tree === pattern &&
      (user === undefined || one.user === user) &&
      (flags.scope === undefined || one.scope === flags.scope),
  );
}

function nearestPattern(tree: string | undefined, exclusions: readonly Exclusion[]): string {
  const near =
    tree === undefined
      ? undefined
      : nearest(
          tree,
          exclusions.map((one) => one.tree),
        );
  return near === undefined ? "treewarden baseline exclude list shows all" : `perhaps ${near}`;
}

export type ListFlags = Pick<PatternFlags, "output">;

export function listExclusions(flags: ListFlags, host: BaselineHost): void {
  const exclusions = readExclusions(host.stateDirectory);
  if (flags.output === "pretty") {
    process.stdout.write(formatExclusions(exclusions));
    return;
  }
  for (const { tree, user, scope, until, reason, change } of exclusions) {
    process.stdout.write(
      jsonLine("baseline.exclusion", {
        "baseline.exclusion": tree,
        ...(user === undefined ? {} : { "process.user.id": user }),
        ...(scope === undefined ? {} : { "baseline.scope": scope }),
        ...(until === undefined ? {} : { "baseline.exclusion.until": timeText(until) }),
        "baseline.exclusion.reason": reason,
        ...(change === undefined ? {} : { "change.id": change.id, "change.under": [change.under] }),
      }),
    );
  }
}

export interface TestFlags extends PatternFlags {
  readonly capture?: string;
  readonly baseline?: string;
}

/**
 * Prints the unknown trees that the exclusions in force hide, or, with `tree`, those that an exclusion of that pattern
 * would hide. Exit code 1 if it hides none.
 */
export async function testExclusions(
  tree: string | undefined,
  flags: TestFlags,
  host: BaselineHost,
): Promise<void> {
  const { shown, hidden } = await findUnknown(flags, host);
  const excluded =
    tree === undefined
      ? hidden
      : hiddenBy(
          compiledExclusions([exclusionOf(tree, flags)]),
          [...shown, ...hidden.map(({ entry }) => entry)],
          nowSeconds(),
        );
  process.stdout.write(excludedText(excluded, flags.output));
  warn(`${excluded.length} of ${shown.length + hidden.length} unknown trees are hidden`);
  if (excluded.length === 0) process.exitCode = exitCodes.no;
}

function exclusionOf(tree: string, flags: PatternFlags): Exclusion {
  if (flags.for !== undefined && flags.until !== undefined)
    throw new CommandError(exitCodes.usage, "--for and --until must not be used together");
  const until =
    flags.for === undefined ? flags.until : timeText(nowSeconds() + wholeSeconds(flags.for, "--for"));
  if (until !== undefined && parseTime(until) === undefined)
    throw new CommandError(
      exitCodes.usage,
      `--until must be a time such as 2026-01-31T12:00:00Z, not ${shownValue(until)}`,
    );
  const parsed = parseExclusion(
    [
      printable(tree),
      flags.user === undefined ? "-" : String(userId(flags.user)),
      flags.scope ?? "*",
      until ?? "-",
      flags.reason === undefined || flags.reason === "" ? "-" : printable(flags.reason),
    ],
    globCompilers,
  );
  if (typeof parsed === "string") throw new CommandError(exitCodes.usage, parsed);
  if (parsed.until === undefined) return parsed;
  const now = momentNow();
  return { ...parsed, bootEnd: exclusionEnd(parsed.until - now.wall, now).bootEnd };
}
