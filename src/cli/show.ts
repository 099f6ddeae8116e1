// `treewarden show UID`: one record of the journal with its whole lineage, what followed, and how to go on.
import { Command } from "commander";
import { bootTimeMs } from "../linux/clock.ts";
import type { EventRecord } from "../report/event-record.ts";
import { localTime, localTimeOf } from "../report/local-time.ts";
import { type Paint, painter, prettyLine, verdictText } from "../report/pretty.ts";
import type { EventFilter } from "../reporter/event-filter.ts";
import type { JournalReader } from "../reporter/journal-reader.ts";
import { FactsReader } from "../sensor/procfs/facts-reader.ts";
import { creationTime } from "../vocabulary/process-key.ts";
import { configOption, type HostFlags, hostConfigOrLastGood, stateDirOption } from "./host-settings.ts";
import { openJournal } from "./open-journal.ts";
import { mayColour } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { connectionLines } from "./show/connection-lines.ts";
import { factLines } from "./show/fact-lines.ts";
import { findRecord } from "./show/find-record.ts";
import { ancestorsIn, lineageLines } from "./show/lineage-lines.ts";
import { nextCommands } from "./show/next-commands.ts";

interface ShowFlags extends HostFlags {
  readonly output: OutputFormat;
}

const HOUR_MS = 3_600_000;
/** What followed is shown for this long, because later its pids may be those of other processes. */
const AFTER_MS = HOUR_MS;
const AFTER_SHOWN = 20;

const examples = `
Examples:
  treewarden show 01M804HGX3                    the uid as \`events\` shows it, or any beginning that is unambiguous
  treewarden show 01M804HGX3 --output json      the record, and those that followed
`;

export function showCommand(): Command {
  return new Command("show")
    .description("show one verdict with its whole lineage, what followed, and the commands to go on with")
    .argument("<uid>", "log.record.uid of the record, or the beginning of one")
    .addOption(outputOption())
    .addOption(configOption())
    .addOption(stateDirOption())
    .addHelpText("after", examples)
    .action((uid: string, flags: ShowFlags) => show(uid, flags));
}

function show(uid: string, flags: ShowFlags): void {
  const { config } = hostConfigOrLastGood(flags);
  // Opened first: only root may read /proc of other users, and opening the journal drops the rights of root.
  const boot = bootTimeMs();
  using processes = new FactsReader();
  using journal = openJournal(config.state_directory);
  const record = findRecord(journal, uid);
  const first = firstOf(journal, record);
  const after = followersOf(journal, first);
  if (flags.output === "json") {
    process.stdout.write([record, ...after].map((each) => `${JSON.stringify(each)}\n`).join(""));
    return;
  }
  const isLive = (each: EventRecord): boolean => {
    const pid = each["process.pid"];
    const startTicks = typeof pid === "number" ? processes.startTicks(pid) : undefined;
    if (typeof pid !== "number" || startTicks === undefined) return false;
    return creationTime({ pid, startTicks, startExact: true }, boot) === each["process.creation.time"];
  };
  const sections = [
    headline(record, painter(mayColour(process.stdout))),
    ...section("lineage", lineageOf(record, first, isLive)),
    ...section("facts", factLines(record)),
    ...section("connections", connectionLines(recordsUnder(journal, first))),
    ...section("afterwards", afterLines(first, after)),
    ...section("how often", frequency(journal, record)),
    ...section("next", nextCommands(first, isLive(first))),
  ];
  process.stdout.write(`${sections.join("\n")}\n`);
}

/** The full verdict that a record of repeated ones names; the record itself if there is none. */
function firstOf(journal: JournalReader, record: EventRecord): EventRecord {
  const uid = record["policy.first_uid"];
  if (typeof uid !== "string") return record;
  const found = journal.newestRows({ uid }, journal.newest(), 1);
  return found[0]?.record ?? record;
}

function headline(record: EventRecord, paint: Paint): string {
  const { timestamp } = record;
  const severity = record["policy.severity"];
  const tags = record["policy.tags"];
  const isVerdict = record["policy.outcome"] !== undefined;
  return [
    ...(typeof severity === "string" ? [severity.toUpperCase()] : []),
    isVerdict ? verdictText(record, paint) : String(record["event.name"]),
    ` ${localTime(timestamp) ?? String(timestamp)} `,
    ...(Array.isArray(tags) ? tags : []),
  ].join(" ");
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)];
}

function lineageOf(
  record: EventRecord,
  first: EventRecord,
  isLive: (process: EventRecord) => boolean,
): string[] {
  if (first["process.pid"] === undefined) return [];
  const isOther = first !== record;
  const note = isOther ? [`of the first of them, ${String(first["log.record.uid"])}`] : [];
  if (ancestorsIn(first).length === 0) note.push("of its ancestors only the tree is recorded");
  return [...note, ...lineageLines(first, isLive)];
}

function timeOf(record: EventRecord): number {
  return Date.parse(String(record.timestamp));
}

/** The records of the process and of its descendants, from this one on. */
function* recordsUnder(journal: JournalReader, record: EventRecord): Generator<EventRecord> {
  const under = record["process.pid"];
  const since = timeOf(record);
  if (typeof under !== "number" || Number.isNaN(since)) return;
  for (const row of journal.rows({ since, until: since + AFTER_MS, under })) yield row.record;
}

/** Later records of the process and of its descendants. */
function followersOf(journal: JournalReader, record: EventRecord): readonly EventRecord[] {
  const followers: EventRecord[] = [];
  for (const each of recordsUnder(journal, record)) {
    if (each["log.record.uid"] === record["log.record.uid"]) continue;
    followers.push(each);
    if (followers.length > AFTER_SHOWN) break;
  }
  return followers;
}

function afterLines(record: EventRecord, after: readonly EventRecord[]): string[] {
  if (record["process.pid"] === undefined) return [];
  if (after.length === 0) return ["nothing that was reported, in the hour after it"];
  const lines = after.slice(0, AFTER_SHOWN).map((each) => prettyLine(each, false).trimEnd());
  return after.length > AFTER_SHOWN ? [...lines, "... more: see below"] : lines;
}

/** How many verdicts there were by the same rule, with the same outcome, on the same exact tree. */
function frequency(journal: JournalReader, record: EventRecord): string[] {
  const [name, ruleset] = [record["security_rule.name"], record["security_rule.ruleset.name"]];
  if (typeof name !== "string" || typeof ruleset !== "string") return [];
  const now = Date.now();
  let all = 0;
  let lastHour = 0;
  let first = Number.POSITIVE_INFINITY;
  const filter: EventFilter = { rule: { ruleset, name } };
  for (const { record: each } of journal.rows(filter)) {
    const isAlike =
      each["tree.exact"] === record["tree.exact"] && each["policy.outcome"] === record["policy.outcome"];
    if (!isAlike) continue;
    const count = Number(each["policy.count"] ?? 1);
    const time = timeOf(each);
    all += count;
    if (now - time <= HOUR_MS) lastHour += count;
    first = Math.min(first, time);
  }
  const what = "by this rule on this tree, with this outcome";
  const since = Number.isFinite(first) ? `, the first ${localTimeOf(first)}` : "";
  return [`${lastHour} in the last hour ${what}`, `${all} in the whole journal${since}`];
}
