// `change begin`, `end` and `list`.
import { timeText } from "../../baseline/baseline-file.ts";
import { ANY_TREE, type Exclusion, hasEnded, parseExclusion } from "../../baseline/exclusions.ts";
import { PACKAGES } from "../../baseline/package-managers.ts";
import type { Config } from "../../config/config.ts";
import { printable } from "../../linux/text.ts";
import { globCompilers } from "../../policy/glob.ts";
import { localTimeOf } from "../../report/local-time.ts";
import { momentNow } from "../../warden/overrides-store.ts";
import { jsonLine } from "../baseline/entry-output.ts";
import { exclusionEnd } from "../baseline/exclusion-end.ts";
import { baselineOf, isNewTo, readExclusions, readKnown, replaceExclusions } from "../baseline/store.ts";
import { wholeSeconds } from "../duration-options.ts";
import { CommandError, exitCodes, hint, warn } from "../output.ts";
import type { OutputFormat } from "../output-format.ts";
import { loadExclusions } from "../request-warden.ts";
import { userId } from "../user-option.ts";
import { collectedChanges } from "./collected.ts";

/** Longest window, in seconds. A change that takes longer than a day must be split into several. */
const LONGEST_S = 86_400;

export interface BeginFlags {
  readonly id: string;
  readonly under: readonly string[];
  readonly for: string;
  readonly user?: string;
}

/** Opens the windows of a change. Windows that it has already are replaced. */
export async function beginChange(flags: BeginFlags, config: Config): Promise<void> {
  const { state_directory: stateDirectory } = config;
  const { id } = flags;
  const seconds = wholeSeconds(flags.for, "--for");
  if (seconds > LONGEST_S) throw new CommandError(exitCodes.usage, `--for ${flags.for}: longer than a day`);
  const ends = exclusionEnd(seconds, momentNow());
  const windows = flags.under.map((under) => windowOf(id, under, ends, flags.user));
  if (readKnown(stateDirectory) === undefined)
    throw new CommandError(
      exitCodes.no,
      "no baseline is in force, so nothing is new",
      "learn and accept one first: treewarden baseline learn --for 24h",
    );
  const others = readExclusions(stateDirectory).filter(({ change }) => change?.id !== id);
  replaceExclusions(stateDirectory, [...others, ...windows]);
  const until = localTimeOf(ends.until * 1_000);
  await loadExclusions(stateDirectory);
  warn(`change ${id} is open until ${until}: what is new below ${flags.under.join(", ")} is no alarm`);
  hint(`end it: treewarden change end --id ${id}`);
}

function windowOf(
  id: string,
  under: string,
  { until, bootEnd }: ReturnType<typeof exclusionEnd>,
  user: string | undefined,
): Exclusion {
  const parsed = parseExclusion(
    [
      ...[ANY_TREE, user === undefined ? "-" : String(userId(user)), "*", timeText(until), "-"],
      ...[`${bootEnd.boot} ${bootEnd.boottime} ${bootEnd.length}`, id, printable(under)],
    ],
    globCompilers,
  );
  if (typeof parsed === "string") throw new CommandError(exitCodes.usage, parsed);
  return parsed;
}

export async function endChange(id: string, { state_directory: stateDirectory }: Config): Promise<void> {
  const exclusions = readExclusions(stateDirectory);
  const others = exclusions.filter(({ change }) => change?.id !== id);
  if (others.length === exclusions.length)
    throw new CommandError(exitCodes.no, `change ${id} has no window`, "treewarden change list");
  replaceExclusions(stateDirectory, others);
  await loadExclusions(stateDirectory);
  warn(`change ${id} has ended`);
  hint(`put what it started into force: treewarden change accept --id ${id}`);
}

export interface ListChangesFlags {
  readonly output: OutputFormat;
}

interface ListedChange {
  readonly id: string;
  readonly windows: readonly Exclusion[];
  readonly trees: number;
  /** Trees that are not in force. */
  readonly unknown: number;
}

/** Shows each change that has a window, or for which trees were collected. */
export async function listChanges({ output }: ListChangesFlags, config: Config): Promise<void> {
  const { state_directory: stateDirectory } = config;
  const now = momentNow();
  const windows = readExclusions(stateDirectory).filter((exclusion) => !hasEnded(exclusion, now));
  const collected = await collectedChanges(stateDirectory);
  const inForce = readKnown(stateDirectory);
  const known = inForce && baselineOf(inForce);
  const ids = new Set([...windows.flatMap(({ change }) => change?.id ?? []), ...collected.keys()]);
  const changes = [...ids].sort().map((id): ListedChange => {
    const entries = collected.get(id) ?? [];
    return {
      id,
      windows: windows.filter(({ change }) => change?.id === id),
      trees: entries.length,
      unknown: entries.filter((entry) => known === undefined || isNewTo(known, entry)).length,
    };
  });
  process.stdout.write(changes.map(output === "json" ? changeJson : changeText).join(""));
  if (changes.length === 0 && output === "pretty") warn("there are no changes");
}

function changeJson({ id, windows, trees, unknown }: ListedChange): string {
  const until = untilOf(windows);
  return jsonLine("change.listed", {
    "change.id": id,
    "change.open": windows.length > 0,
    "change.under": windows.flatMap(({ change }) => change?.under ?? []),
    ...(until === undefined ? {} : { "change.until": timeText(until) }),
    "baseline.trees": trees,
    "change.unknown": unknown,
  });
}

function changeText({ id, windows, trees, unknown }: ListedChange): string {
  const until = untilOf(windows);
  const programs = windows.flatMap(({ change }) => change?.under ?? []).join(", ");
  const state =
    id === PACKAGES
      ? "what package managers started"
      : until === undefined
        ? "ended"
        : `open until ${localTimeOf(until * 1_000)}, below ${programs}`;
  return `${id}  ${state}  ${trees} collected, ${unknown} of them not in force\n`;
}

/** When the last of the windows ends; undefined if there is none. */
function untilOf(windows: readonly Exclusion[]): number | undefined {
  const ends = windows.flatMap(({ until }) => until ?? []);
  return ends.length === 0 ? undefined : Math.max(...ends);
}
