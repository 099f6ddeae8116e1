// `treewarden events`: shows the content of the journal, oldest first.
import { Command } from "commander";
import { PipeWriter } from "../linux/pipe-writer.ts";
import type { EventRecord } from "../report/event-record.ts";
import { painter, prettyLine } from "../report/pretty.ts";
import type { EventFilter } from "../reporter/event-filter.ts";
import type { JournalReader } from "../reporter/journal-reader.ts";
import { type FilterFlags, filterOf, withFilterOptions } from "./event-filter-options.ts";
import { configOption, type HostFlags, hostConfigOrLastGood, stateDirOption } from "./host-settings.ts";
import { limitOption } from "./limit-option.ts";
import { openJournal } from "./open-journal.ts";
import { hint, mayColour } from "./output.ts";
import { type OutputFormat, outputOption } from "./output-format.ts";
import { rowsCommand, verifyCommand } from "./verify-journal.ts";

interface EventsFlags extends HostFlags, FilterFlags {
  readonly limit?: number;
  readonly follow?: boolean;
  readonly output: OutputFormat;
}

const FOLLOW_MS = 250;
/** Lines after which they are written, so that a long answer needs little memory. */
const LINES_AT_ONCE = 500;

/** The first ten hold the millisecond, the next eight count the records of one process; what follows tells processes apart. */
const UID_CHARACTERS = 18;

const examples = `
Examples:
  treewarden events --since 1h                        what happened in the last hour
  treewarden events --severity high,critical --since yesterday --until today
  treewarden events --rule web/shell-under-web-server --unit nginx --limit 20
  treewarden events --under 812 --follow              what process 812 and its descendants do, as it happens
  treewarden events verify                            whether the journal is as the warden made it
  treewarden show UID                                 all about one of them; its uid is in front of the line
`;

export function eventsCommand(): Command {
  const command = new Command("events").description(
    "show the content of the journal: verdicts, new trees, loss and changes. Of several filters, all must hold",
  );
  return (
    withFilterOptions(command)
      .addOption(limitOption())
      .option("--follow", "keep printing new events (without --since or --limit: only new ones)")
      .addOption(outputOption())
      .addOption(configOption())
      .addOption(stateDirOption())
      .addHelpText("after", examples)
      // Otherwise an option that both have would be taken from the words after `verify`.
      .enablePositionalOptions()
      .addCommand(verifyCommand())
      .addCommand(rowsCommand(), { hidden: true })
      .action(events)
  );
}

async function events(flags: EventsFlags): Promise<void> {
  const filter = filterOf(flags, Date.now());
  using journal = openJournal(hostConfigOrLastGood(flags).config.state_directory);
  const printer = new Printer(flags.output);
  let last = journal.newest();
  for (const record of first(flags, filter, journal, last)) if (!printer.print(record)) return;
  if (!printer.flush()) return;
  if (printer.count === 0 && flags.follow !== true && flags.output === "pretty") hint("no such events");
  while (flags.follow === true) {
    await Bun.sleep(FOLLOW_MS);
    const newest = journal.newest();
    for (const { record } of journal.rows(filter, last, newest)) if (!printer.print(record)) return;
    if (!printer.flush()) return;
    last = newest;
  }
}

/** What is printed of the rows up to `last`. */
function* first(
  { follow, limit }: EventsFlags,
  filter: EventFilter,
  journal: JournalReader,
  last: number,
): Generator<EventRecord> {
  if (limit !== undefined) for (const { record } of journal.newestRows(filter, last, limit)) yield record;
  else if (follow !== true || filter.since !== undefined)
    for (const { record } of journal.rows(filter, 0, last)) yield record;
}

class Printer {
  count = 0;
  private readonly format: (record: EventRecord) => string;
  private readonly output = new PipeWriter();

  constructor(output: OutputFormat) {
    const colour = mayColour(process.stdout);
    this.format =
      output === "json"
        ? (record) => `${JSON.stringify(record)}\n`
        : (record) => uidText(record, colour) + prettyLine(record, colour);
  }

  /** False once nobody reads any more. */
  print(record: EventRecord): boolean {
    this.output.write(this.format(record));
    this.count += 1;
    return this.count % LINES_AT_ONCE > 0 || this.output.flush();
  }

  flush(): boolean {
    return this.output.flush();
  }
}

/** Enough of a uid for `show`, where there is more to show than the line has. */
function uidText(record: EventRecord, colour: boolean): string {
  const uid = record["log.record.uid"];
  if (typeof uid !== "string") return "";
  return `${painter(colour)("dim", uid.slice(0, UID_CHARACTERS).padEnd(UID_CHARACTERS))} `;
}
