// `baseline compare`: each tree that the baseline does not know, once.
import { contentsText } from "../../baseline/contents.ts";
import { type BaselineEntry, mergeEntries } from "../../baseline/entry.ts";
import { type Exclusion, excludable, hiddenBy } from "../../baseline/exclusions.ts";
import { printable } from "../../linux/text.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { readCandidates } from "./candidates.ts";
import { entriesOf, forrestLinesOf } from "./capture-entries.ts";
import { entryFields, entryLine, jsonLine, nowSeconds } from "./entry-output.ts";
import type { BaselineHost } from "./host.ts";
import {
  baselineOf,
  compiledExclusions,
  isNewTo,
  readBaselineFile,
  readBytes,
  readExclusions,
  readKnown,
} from "./store.ts";

export interface CompareFlags {
  readonly baseline?: string;
  readonly capture?: string;
  readonly format: "trees" | "forrest";
  readonly showExcluded?: boolean;
  readonly output: OutputFormat;
}

export async function compare(flags: CompareFlags, host: BaselineHost): Promise<void> {
  if (flags.format === "forrest") {
    compareForrest(flags);
    return;
  }
  const unknown = await findUnknown(flags, host);
  const { shown, hidden } = unknown;
  const { output: format } = flags;
  let text = "";
  for (const entry of shown)
    text +=
      format === "json"
        ? jsonLine("baseline.unknown", entryFields(entry))
        : `${unknownLine(entry, unknown)}\n`;
  if (flags.showExcluded === true) text += excludedText(hidden, format);
  process.stdout.write(text);
  if (shown.length > 0) process.exitCode = exitCodes.no;
  else if (format === "pretty") warn("nothing new");
  if (hidden.length > 0 && flags.showExcluded !== true)
    hint(`${hidden.length} trees are hidden by exclusions: --show-excluded`);
}

export interface Hidden {
  readonly entry: BaselineEntry;
  readonly exclusion: Exclusion;
}

export interface Unknown {
  readonly shown: readonly BaselineEntry[];
  /** Those of `shown` whose scope, habit and path are known: their executables are new. */
  readonly withNewExecutable: ReadonlySet<BaselineEntry>;
  /** Those of `shown` that are known, but not with this content. */
  readonly withNewContent: ReadonlySet<BaselineEntry>;
  readonly hidden: readonly Hidden[];
}

/** The trees of the journal or of a capture that the baseline does not know, or not with this content, and those among them that exclusions hide. */
export async function findUnknown(
  flags: Pick<CompareFlags, "baseline" | "capture">,
  host: BaselineHost,
): Promise<Unknown> {
  const entries =
    flags.baseline === undefined ? readKnown(host.stateDirectory) : readBaselineFile(flags.baseline).entries;
  if (entries === undefined)
    throw new CommandError(
      exitCodes.usage,
      "there is no baseline in force",
      "learn and accept one, or name a file with --baseline",
    );
  const known = baselineOf(entries);
  // Before they are merged, so that what is shown has the executables that are new and no others.
  const unknown = mergeEntries(
    [(await candidatesOf(flags, host)).filter((entry) => isNewTo(known, entry))],
    false,
  );
  const exclusions = compiledExclusions(readExclusions(host.stateDirectory));
  const now = nowSeconds();
  const shown = unknown.filter((entry) => exclusions.hides(excludable(entry), now) === undefined);
  return {
    shown,
    withNewExecutable: new Set(
      shown.filter((entry) => known.knows({ ...entry, executables: [] }) && !known.knows(entry)),
    ),
    withNewContent: new Set(shown.filter((entry) => known.knows(entry))),
    hidden: hiddenBy(exclusions, unknown, now),
  };
}

/** An unknown entry on one line. */
export function unknownLine(entry: BaselineEntry, { withNewExecutable, withNewContent }: Unknown): string {
  if (withNewContent.has(entry))
    return `${entryLine(entry)}  (known, with another content: ${contentsText(entry.contents)})`;
  if (!withNewExecutable.has(entry)) return entryLine(entry);
  return `${entryLine(entry)}  (known habit and path, another executable: ${entry.executables.map(({ path }) => path).join(" ")})`;
}

/** What runs: as the running warden found it, or as a capture shows it. */
async function candidatesOf(
  flags: Pick<CompareFlags, "capture">,
  host: BaselineHost,
): Promise<readonly BaselineEntry[]> {
  if (flags.capture === undefined) return readCandidates(host.stateDirectory);
  const { entries, losses, unreadable } = entriesOf(flags.capture);
  if (losses > 0) warn(`the capture has ${losses} losses: there may have been more trees`);
  if (unreadable > 0) warn(`${unreadable} programs of the capture could not be read, and are not compared`);
  return entries;
}

export function excludedText(hidden: readonly Hidden[], format: OutputFormat): string {
  let text = "";
  for (const { entry, exclusion } of hidden) {
    text +=
      format === "json"
        ? jsonLine("baseline.excluded", { ...entryFields(entry), "baseline.exclusion": exclusion.tree })
        : `excluded by ${exclusion.tree}: ${entryLine(entry)}\n`;
  }
  return text;
}

/** for-rest's own comparison: lines that are not in a file of lines. */
function compareForrest(flags: CompareFlags): void {
  if (flags.capture === undefined || flags.baseline === undefined)
    throw new CommandError(
      exitCodes.usage,
      "--format forrest compares a capture with a file of lines",
      "give --capture and --baseline",
    );
  const bytes = readBytes(flags.baseline);
  if (bytes === undefined) throw new CommandError(exitCodes.usage, `there is no ${flags.baseline}`);
  const reference = new Set(new TextDecoder().decode(bytes).split("\n"));
  const unknown = forrestLinesOf(flags.capture).filter((line) => !reference.has(line));
  process.stdout.write(unknown.map((line) => `${printable(line)}\n`).join(""));
  if (unknown.length > 0) process.exitCode = exitCodes.no;
}
